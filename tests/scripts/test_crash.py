"""Killed after any write and run again: the same final state, nothing doubled, nothing left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run
from tests.trust.snapshot import Snapshot, differences, take_aws

PARTS = 4
"""The writes of a run are shared out over so many tests, so that all cores work."""


def state(cloud: RehearsalCloud) -> Snapshot:
    """Return the state of AWS, but for the run lock: a run killed at its last write keeps it.

    The next run has nothing to write then, and so no lock to take over.
    """
    found = take_aws(cloud)
    return Counter({line: count for line, count in found.items() if '"run lock"' not in line})


@contextmanager
def world(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[RehearsalCloud]:
    """Run an empty cloud, and prepare a folder for it."""
    with serve(Settings(speed=0)) as cloud:
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
        prepare(folder)
        yield cloud
        assert cloud.clock.failed == []


@pytest.fixture
def undisturbed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Snapshot, Snapshot, list[int]]:
    """Return the empty cloud, what an undisturbed run makes, and the calls to kill it at.

    These are the first call, and each call after a write: one that comes after a read finds the
    cloud as the call before it did. botocore's retries and their pauses are off.
    """
    monkeypatch.setenv("AWS_SETUP_PACE", "0")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with world(monkeypatch, tmp_path / "undisturbed") as cloud:
        empty, before = state(cloud), len(cloud.calls)
        assert run(SCRIPT, tmp_path / "undisturbed", "--yes").exit_code == 0
        calls, writes = cloud.calls[before:], {id(call) for call in cloud.calls.writes()}
        made = state(cloud)
        assert run(SCRIPT, tmp_path / "undisturbed", "destroy", "--yes").exit_code == 0
        assert not differences(empty, state(cloud))
    after = [n + 1 for n, call in enumerate(calls, start=1) if id(call) in writes]
    return empty, made, [1, *after]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_write_can_be_the_last(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    undisturbed: tuple[Snapshot, Snapshot, list[int]],
    part: int,
) -> None:
    """Whatever write was the last, the next run leaves the world as an undisturbed run does.

    From that world destroy leaves nothing, which the undisturbed run and the last one here show.
    """
    empty, made, calls = undisturbed
    assert len(calls) > 40
    for last in calls[part::PARTS]:
        folder = tmp_path / str(last)
        with world(monkeypatch, folder) as cloud:
            cloud.faults.add({"fault": "drop", "from_call": len(cloud.calls) + last})
            run(SCRIPT, folder, "--yes", "--json")
            cloud.faults.clear()
            again = run(SCRIPT, folder, "--yes", "--json")
            assert again.exit_code == 0, f"{last}: {again.document['problems']}"
            assert not differences(made, state(cloud)), f"killed at call {last}"
            if last in calls[-PARTS:]:
                gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
                assert gone.exit_code == 0, (last, gone.document["problems"])
                assert not differences(empty, state(cloud)), f"killed at {last}, destroyed"


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder to start from."""
    return prepare(tmp_path / "work")


@pytest.mark.parametrize("verb", ["create", "destroy"])
def test_every_write_may_lose_its_answer(cloud: RehearsalCloud, folder: Path, verb: str) -> None:
    empty = state(cloud)
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    expected = state(cloud)
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    actions = {call.name for call in cloud.calls.writes()}
    if verb == "destroy":
        assert run(SCRIPT, folder, "--yes").exit_code == 0
    cloud.faults.add(
        *({"fault": "lose-answer", "action": name, "calls": [1]} for name in sorted(actions))
    )
    ended = run(SCRIPT, folder, verb, "--yes", "--json")
    assert ended.exit_code == 0, (ended.document["problems"], ended.document.get("leftovers"))
    assert not differences(expected if verb == "create" else empty, state(cloud))
