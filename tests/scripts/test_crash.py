"""Killed after any write and run again: the same final state, nothing doubled, nothing left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

PARTS = 4
"""The writes of a run are shared out over so many tests, so that all cores work."""


def shape(cloud: RehearsalCloud) -> Counter[tuple[str, str]]:
    """Return how many resources of each kind and step exist."""
    return Counter(
        (resource.kind, resource.tags.get("lambda-fs:step", "")) for resource in cloud.snapshot()
    )


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to start from; botocore's retries and their pauses are off."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return prepare(tmp_path / "work")


@pytest.fixture
def undisturbed(cloud: RehearsalCloud, folder: Path) -> tuple[Counter[tuple[str, str]], list[int]]:
    """Return what an undisturbed run makes, and the calls at which killing it tells something.

    These are the first call, and each call after a write: one that comes after a read finds the
    cloud as the call before it did. All is destroyed again.
    """
    before = len(cloud.calls)
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    made, calls = shape(cloud), cloud.calls[before:]
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    writes = {id(call) for call in cloud.calls.writes()}
    return made, [1, *(n + 1 for n, call in enumerate(calls, start=1) if id(call) in writes)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_write_can_be_the_last(
    cloud: RehearsalCloud,
    folder: Path,
    undisturbed: tuple[Counter[tuple[str, str]], list[int]],
    part: int,
) -> None:
    expected, calls = undisturbed
    empty = shape(cloud)
    assert len(calls) > 40
    for last in calls[part::PARTS]:
        cloud.faults.add({"fault": "drop", "from_call": len(cloud.calls) + last})
        run(SCRIPT, folder, "--yes", "--json")
        cloud.faults.clear()
        again = run(SCRIPT, folder, "--yes", "--json")
        assert again.exit_code == 0, f"{last}: {again.document['problems']}"
        assert shape(cloud) == expected, f"killed at call {last}"
        gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
        assert gone.exit_code == 0, (last, gone.document["problems"])
        assert shape(cloud) == empty, f"killed at call {last}, then destroyed"


@pytest.mark.parametrize("verb", ["create", "destroy"])
def test_every_write_may_lose_its_answer(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    empty = shape(cloud)
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    expected = shape(cloud)
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    actions = {call.name for call in cloud.calls.writes()}
    if verb == "destroy":
        assert run(SCRIPT, folder, "--yes").exit_code == 0
    cloud.faults.add(
        *({"fault": "lose-answer", "action": name, "calls": [1]} for name in sorted(actions))
    )
    ended = run(SCRIPT, folder, verb, "--yes", "--json")
    assert ended.exit_code == 0, (ended.document["problems"], ended.document.get("leftovers"))
    assert shape(cloud) == (expected if verb == "create" else empty)
