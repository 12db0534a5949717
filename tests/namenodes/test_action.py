"""The bodies of PUTs, field by field against what `wsk` was seen to send."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from aws_setup.namenodes.action import (
    ANNOTATION,
    Body,
    Deed,
    action_body,
    deed,
    limits_body,
    next_version,
    parse,
)
from tests.support.openwhisk import KIND, MAIN, jar_of, make_jar, wanted

RECORDED = {
    "namespace": "_",
    "name": "namenode0",
    "exec": {"kind": KIND, "code": "", "main": MAIN},
    "annotations": [
        {"key": "web-export", "value": True},
        {"key": "raw-http", "value": False},
        {"key": "final", "value": True},
    ],
    "parameters": [{"key": "actionMemory", "value": 20000}],
    "limits": {"memory": 20000, "concurrency": 4},
}
"""What `wsk -i action create namenode0 JAR --main … --web true --kind … --memory 20000
--concurrency 4 --param actionMemory 20000` sends, less the code."""


def document(body: Body) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(body.head + bytes(body.code) + body.tail)
    return loaded


def entry(body: Body, version: str) -> dict[str, Any]:
    """Return what OpenWhisk would list after this PUT."""
    held = document(body)
    notes = [*held["annotations"], {"key": "exec", "value": KIND}]
    short = {key: held[key] for key in ("name", "limits")}
    return short | {"version": version, "annotations": notes, "exec": {"binary": True}}


def test_body_is_wsk_s_plus_one_annotation(tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", size=5000)
    jar = jar_of(path)
    sent = document(action_body("namenode0", wanted(jar), jar, version="0.0.1"))
    assert base64.b64decode(sent["exec"].pop("code")) == path.read_bytes()
    mark = sent["annotations"].pop()
    expected: dict[str, Any] = json.loads(json.dumps(RECORDED))
    expected["exec"].pop("code")
    assert sent == expected
    assert mark["key"] == ANNOTATION
    assert mark["value"]["jar_sha256"] == jar.sha256


def test_body_announces_its_exact_length_and_shares_the_code(tmp_path: Path) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    body = action_body("namenode0", wanted(jar), jar, version="0.0.1")
    assert body.length == len(body.head + bytes(body.code) + body.tail)
    assert body.code is jar.code


def test_limits_body_has_no_code_and_keeps_the_memory_parameter_in_step(tmp_path: Path) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    existing = parse(entry(action_body("nn0", wanted(jar), jar, version="0.0.1"), "0.0.1"))
    sent = document(limits_body(existing, wanted(None, memory=512), version="0.0.2"))
    assert "exec" not in sent
    assert sent["limits"] == {"memory": 512, "concurrency": 4}
    assert sent["parameters"] == [{"key": "actionMemory", "value": 512}]


def test_limits_body_leaves_what_was_not_asked_for(tmp_path: Path) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    existing = parse(entry(action_body("nn0", wanted(jar), jar, version="0.0.1"), "0.0.1"))
    only_concurrency = wanted(None, memory=None, concurrency=9)
    sent = document(limits_body(existing, only_concurrency, version="0.0.2"))
    assert sent["limits"] == {"concurrency": 9}
    assert sent["parameters"] == [{"key": "actionMemory", "value": 20000}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Deed.NOTHING),
        ({"version": "0.0.2"}, Deed.UPDATE),
        ({"limits": {"memory": 256, "concurrency": 4}}, Deed.LIMITS),
        ({"limits": {"memory": 20000, "concurrency": 1}}, Deed.LIMITS),
        ({"annotations": []}, Deed.UPDATE),
        ({"exec": {"kind": "generic-namenode:5", "main": MAIN}}, Deed.UPDATE),
        ({"exec": {"kind": KIND, "main": "a.B"}}, Deed.UPDATE),
        ({"parameters": [{"key": "actionMemory", "value": 1}]}, Deed.LIMITS),
    ],
)
def test_what_is_to_be_done(tmp_path: Path, change: dict[str, Any], expected: Deed) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    there = entry(action_body("nn0", wanted(jar), jar, version="0.0.1"), "0.0.1")
    assert deed(parse(there | change), wanted(jar)) is expected


def test_another_jar_and_force_send_the_code_and_a_missing_action_is_made(tmp_path: Path) -> None:
    jar = jar_of(make_jar(tmp_path / "a.jar"))
    other = jar_of(make_jar(tmp_path / "b.jar", seed=2))
    there = parse(entry(action_body("nn0", wanted(jar), jar, version="0.0.1"), "0.0.1"))
    assert deed(there, wanted(other)) is Deed.UPDATE
    assert deed(there, wanted(jar), force=True) is Deed.UPDATE
    assert deed(None, wanted(jar)) is Deed.CREATE


def test_versions_count_up_like_openwhisk_s() -> None:
    assert next_version(None) == "0.0.1"
    assert next_version(parse({"name": "a", "version": "1.2.9"})) == "1.2.10"


def test_limits_of_an_action_somebody_else_changed_do_not_make_its_code_known(
    tmp_path: Path,
) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    there = parse(entry(action_body("nn0", wanted(jar), jar, version="0.0.1"), "0.0.5"))
    after = entry(limits_body(there, wanted(None, memory=512), version="0.0.6"), "0.0.6")
    assert deed(parse(after), wanted(jar, memory=512)) is Deed.UPDATE
