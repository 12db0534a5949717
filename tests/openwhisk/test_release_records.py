"""helm's records of a release: what they say without helm."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.errors import SetupError
from aws_setup.openwhisk.manifest import documents
from aws_setup.openwhisk.release_records import newest, pack


def record(number: int, **document: Any) -> dict[str, Any]:
    meta = {"name": f"r.v{number}", "namespace": "ns", "labels": {"version": str(number)}}
    return {"metadata": meta, "data": {"release": pack(document)}}


def test_the_newest_revision_is_the_one_with_the_highest_number() -> None:
    info = {"status": "pending-upgrade", "description": "lambda-fs 0123"}
    manifest = "# Source: a\nkind: Job\n---\n---\nkind: Service\n"
    last = record(10, info=info, config={"a": 1}, manifest=manifest, version=10)
    found = newest([record(9, info={"status": "deployed"}), last, record(2, info={})])
    assert found is not None
    assert (found.status, found.description, found.number) == (*info.values(), 10)
    assert [item["kind"] for item in found.manifest] == ["Job", "Service"]
    assert found.values == {"a": 1}
    assert newest([]) is None
    bare = newest([record(1, info={"status": "deployed"}, config=None)])
    assert bare is not None
    assert (bare.values, bare.manifest) == ({}, [])


@pytest.mark.kind("C7")
@pytest.mark.parametrize("document", [{}, {"info": 1}, {"info": {}, "manifest": "a: ["}])
def test_a_damaged_record_is_named_with_a_fix(document: dict[str, Any]) -> None:
    with pytest.raises(SetupError) as caught:
        newest([record(1, **document)])
    (problem,) = caught.value.problems
    assert "the Secret ns/r.v1" in problem.what
    assert "kubectl -n ns delete secret r.v1" in problem.hint


def test_what_a_text_says_does_not_depend_on_what_was_done_with_it_before() -> None:
    text = "a: &b {c: [1, {d: 2}]}\ne: *b\n---\n- f\n"
    (first, other) = documents(text)
    first["a"]["c"][1]["d"] = first["g"] = 3
    other.append(4)
    assert list(documents(text)) == [{"a": {"c": [1, {"d": 2}]}, "e": {"c": [1, {"d": 2}]}}, ["f"]]


def test_few_lines_that_name_millions_of_values_are_read_at_once() -> None:
    lines = ["v0: &v0 [x, x]", *(f"v{n}: &v{n} [*v{n - 1}, *v{n - 1}]" for n in range(1, 60))]
    (found,) = documents("\n".join(lines))
    assert found["v59"][0] is found["v59"][1] is found["v58"]


def test_a_manifest_may_be_nested_as_deep_as_its_parser_allows() -> None:
    (value,) = documents("[" * 450 + "]" * 450)
    for _ in range(449):
        (value,) = value
    assert value == []
