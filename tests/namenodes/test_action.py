"""The bodies of PUTs, field by field against recorded requests of `wsk`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.step import Action
from aws_setup.namenodes.action import (
    ANNOTATION,
    Body,
    CurrentAction,
    DesiredAction,
    action_body,
    limits_body,
    next_version,
    parse,
)
from aws_setup.namenodes.step import NameNodeContext, plan_actions, sends_jar
from tests.support.openwhisk import KIND, MAIN, QuickClock, client_of, desired, jar_of, make_jar

RECORDED = {
    "namespace": "_",
    "name": "namenode0",
    "exec": {"kind": KIND, "code": "", "main": MAIN},
    "annotations": [
        {"key": "web-export", "value": True},
        {"key": "raw-http", "value": False},
        {"key": "final", "value": True},
        {"key": "require-whisk-auth", "value": False},
    ],
    "parameters": [{"key": "actionMemory", "value": 20000}],
    "limits": {"memory": 20000, "concurrency": 4},
}
"""What `wsk -i action create namenode0 JAR --main … --web true --kind … --memory 20000
--concurrency 4 --param actionMemory 20000 --web-secure false` sends, less the code."""


UP_TO_DATE = (Action.EXISTS, False)
UPDATE = (Action.UPDATE, True)
LIMITS = (Action.UPDATE, False)
CREATE = (Action.CREATE, True)
"""What a run does about an action, and whether it sends the jar."""


def planned(
    current: CurrentAction | None, goal: DesiredAction, *, force: bool = False
) -> tuple[Action, bool]:
    """Return what a run would do about one action, and whether it would send the jar."""
    ctx = NameNodeContext(
        clock=QuickClock(),
        client=client_of("http://127.0.0.1:9"),
        desired=goal,
        existing={"nn0": current} if current else {},
        force=force,
    )
    [row] = plan_actions(ctx, ["nn0"])
    return row.action, sends_jar(row)


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
    sent = document(action_body("namenode0", desired(jar), jar, version="0.0.1"))
    assert base64.b64decode(sent["exec"].pop("code")) == path.read_bytes()
    mark = sent["annotations"].pop()
    expected: dict[str, Any] = json.loads(json.dumps(RECORDED))
    expected["exec"].pop("code")
    assert sent == expected
    assert mark["key"] == ANNOTATION
    assert mark["value"]["jar_sha256"] == jar.sha256


def test_body_announces_its_exact_length_and_shares_the_code(tmp_path: Path) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    body = action_body("namenode0", desired(jar), jar, version="0.0.1")
    assert body.length == len(body.head + bytes(body.code) + body.tail)
    assert body.code is jar.code


def test_limits_body_has_no_code_and_keeps_the_memory_parameter_in_step(tmp_path: Path) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    existing = parse(entry(action_body("nn0", desired(jar), jar, version="0.0.1"), "0.0.1"))
    sent = document(limits_body(existing, desired(None, memory=512), version="0.0.2"))
    assert "exec" not in sent
    assert sent["limits"] == {"memory": 512, "concurrency": 4}
    assert sent["parameters"] == [{"key": "actionMemory", "value": 512}]


def test_limits_body_keeps_the_other_limit(tmp_path: Path) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    existing = parse(entry(action_body("nn0", desired(jar), jar, version="0.0.1"), "0.0.1"))
    only_concurrency = desired(None, memory=None, concurrency=9)
    sent = document(limits_body(existing, only_concurrency, version="0.0.2"))
    assert sent["limits"] == {"concurrency": 9}
    assert sent["parameters"] == [{"key": "actionMemory", "value": 20000}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, UP_TO_DATE),
        ({"version": "0.0.2"}, UPDATE),
        ({"limits": {"memory": 256, "concurrency": 4}}, LIMITS),
        ({"limits": {"memory": 20000, "concurrency": 1}}, LIMITS),
        ({"annotations": []}, UPDATE),
        ({"exec": {"kind": "generic-namenode:5", "main": MAIN}}, UPDATE),
        ({"exec": {"kind": KIND, "main": "a.B"}}, UPDATE),
        ({"parameters": [{"key": "actionMemory", "value": 1}]}, LIMITS),
    ],
)
def test_a_run_sends_the_least_that_is_needed(
    tmp_path: Path, change: dict[str, Any], expected: tuple[Action, bool]
) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    current = entry(action_body("nn0", desired(jar), jar, version="0.0.1"), "0.0.1")
    assert planned(parse(current | change), desired(jar)) == expected


def noted(action: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return an action whose annotation another program has set, without a new version."""
    kept = [note for note in action["annotations"] if note["key"] != key]
    return action | {"annotations": [*kept, {"key": key, "value": value}]}


def test_what_openwhisk_keeps_of_another_programs_changes_is_reset(tmp_path: Path) -> None:
    """A PUT keeps annotations and limits that it does not name: the NameNode stayed as it was."""
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    ours = entry(action_body("nn0", desired(jar), jar, version="0.0.1"), "0.0.1")
    ours["limits"] |= {"timeout": 60000, "logs": 10}
    closed = parse(noted(ours, "require-whisk-auth", True))
    assert planned(closed, desired(jar)) == LIMITS
    sent = document(limits_body(closed, desired(None), version="0.0.2"))
    assert {"key": "require-whisk-auth", "value": False} in sent["annotations"]
    damaged = parse(noted(ours, ANNOTATION, {"settings": "x"}))
    assert planned(damaged, desired(jar)) == UPDATE, "it counts as made by another program"

    slow = parse(ours | {"name": "nn2", "version": "0.0.2", "limits": {"timeout": 100}})
    names = ["nn0", "nn1", "nn2"]
    ctx = NameNodeContext(
        clock=QuickClock(),
        client=client_of("http://127.0.0.1:9"),
        desired=desired(jar),
        existing={"nn0": parse(ours), "nn1": parse(ours), "nn2": slow},
    )
    rows = plan_actions(ctx, names)
    assert [row.action for row in rows] == [Action.EXISTS, Action.EXISTS, Action.UPDATE]
    assert "timeout: 100 -> 60000" in {str(drift) for drift in rows[2].found.drift}  # type: ignore[union-attr]
    body = document(action_body("nn2", ctx.desired, jar, version="0.0.3"))
    assert body["limits"] == {"memory": 20000, "concurrency": 4, "timeout": 60000, "logs": 10}


def test_another_jar_and_force_send_the_code_and_missing_actions_are_created(
    tmp_path: Path,
) -> None:
    jar = jar_of(make_jar(tmp_path / "a.jar"))
    other = jar_of(make_jar(tmp_path / "b.jar", seed=2))
    current = parse(entry(action_body("nn0", desired(jar), jar, version="0.0.1"), "0.0.1"))
    assert planned(current, desired(other)) == UPDATE
    assert planned(current, desired(jar), force=True) == UPDATE
    assert planned(None, desired(jar)) == CREATE


def test_versions_count_up_like_openwhisk_s() -> None:
    assert next_version(None) == "0.0.1"
    assert next_version(parse({"name": "a", "version": "1.2.9"})) == "1.2.10"


def test_new_limits_do_not_make_the_code_of_a_changed_action_known(
    tmp_path: Path,
) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar"))
    current = parse(entry(action_body("nn0", desired(jar), jar, version="0.0.1"), "0.0.5"))
    after = entry(limits_body(current, desired(None, memory=512), version="0.0.6"), "0.0.6")
    assert planned(parse(after), desired(jar, memory=512)) == UPDATE
