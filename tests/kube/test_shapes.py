"""The types that answers are checked for are those of Kubernetes' own models, in every kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import models

from aws_setup.engine.decoding import Undecodable
from aws_setup.kube import shapes
from aws_setup.kube.shapes import checked

KINDS = [
    name
    for name in models.__all__
    if f"{name}List" in models.__all__ and name != "V1ControllerRevision"
]
"""The models of everything that the API server lists, but what only controllers write and read."""


def fields(model: str, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield path, name and type of each field that an answer of a kind may have where it is read.

    A type is that of the client's models: str, int, object, Dict[str, str], V1Pod, List[V1Pod].
    """
    described = getattr(models, model)
    for attribute, kind in described.openapi_types.items():
        name = described.attribute_map[attribute]
        where = f"{path}.{name}".strip(".")
        around = path.rpartition(".")[2]
        if (around, name) not in shapes.OF_OTHER_KINDS:
            yield where, name, kind
        inner = kind.removeprefix("List[").removesuffix("]")
        if name in shapes.READ_INSIDE and hasattr(models, inner) and path.count(".") < 12:
            yield from fields(inner, where)


def expected(name: str) -> str:
    """Return the types as which a field of a name is checked, as a regular expression."""
    for names, pattern in (
        (shapes.NUMBERS, "int"),
        (shapes.TEXTS, "str|datetime"),
        (shapes.STRING_MAPS, r"Dict\[str, (str|bytes)\]"),
        (shapes.OBJECTS, r"V\w+|object"),
        (shapes.LISTS, r"List\[\w+\]"),
    ):
        if name in names:
            return pattern
    return ".*"


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_has_a_field_of_another_type_where_it_is_read(kind: str) -> None:
    wrong = [it for it in fields(kind) if not re.fullmatch(expected(it[1]), it[2])]
    assert not wrong


def test_the_kinds_are_those_of_the_client() -> None:
    assert {"V1Pod", "V1Job", "V1Service", "V1Ingress", "V1CustomResourceDefinition"} < {*KINDS}
    read = {name for kind in KINDS for _, name, _ in fields(kind)}
    assert shapes.READ_INSIDE - {"items"} <= read, "each name is one of the API's"


@pytest.mark.parametrize(
    "found",
    [
        {"status": {"containerStatuses": [{"name": "a", "user": {"linux": {"uid": 0}}}]}},
        {"status": {"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["b"]}}},
        {"spec": {"volumes": [{"name": "v", "image": {"reference": "a:1"}}]}},
        {"spec": {"selector": {"env": "prod", "failed": "no"}}},
        {"spec": {"csi": {"volumeAttributes": {"partition": "1"}}}},
        {"status": {"nodeAllocatableResourceClaimStatuses": [{"containers": ["a"]}]}},
    ],
)
def test_what_is_not_read_may_have_any_type(found: dict[str, Any]) -> None:
    answer = {"items": [{"metadata": {"name": "x"}, **found}]}
    assert checked(answer) == answer


@pytest.mark.parametrize(
    ("found", "named"),
    [
        ({"status": {"containerStatuses": [{"image": 1}]}}, "status.containerStatuses.image"),
        ({"spec": {"template": {"spec": {"containers": ["a"]}}}}, "spec.template.spec.containers"),
        ({"status": {"succeeded": "1"}}, "status.succeeded"),
        ({"status": {"containerStatuses": [{"state": {"waiting": "x"}}]}}, "state.waiting"),
    ],
)
def test_what_is_read_has_its_type(found: dict[str, Any], named: str) -> None:
    with pytest.raises(Undecodable, match=re.escape(named)):
        checked({"metadata": {"name": "x"}, **found})
