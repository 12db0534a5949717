"""Killed after any write and run again: the same final state, nothing doubled, nothing left."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from create_aws_infrastructure import SCRIPT
from tests.support.killed import LONG_ANSWERS, KilledRun
from tests.support.script_runs import Request, Zygote
from tests.support.scripts import prepare, run
from tests.trust.snapshot import Snapshot, differences, take_aws

LAST = 4
"""After so many of the last writes the world is also destroyed."""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


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
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off botocore's retries and their pauses."""
    monkeypatch.setenv("AWS_SETUP_PACE", "0")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@dataclass(frozen=True)
class Undisturbed:
    """The empty cloud, what a run makes in it, and the numbers of its calls that write."""

    empty: Snapshot
    made: Snapshot
    writes: tuple[int, ...]


def undisturbed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Undisturbed:
    """Return what a run makes that nothing disturbs, and of which destroy leaves nothing."""
    with world(monkeypatch, folder) as cloud:
        empty, before = state(cloud), len(cloud.calls)
        assert run(SCRIPT, folder, "--yes").exit_code == 0
        calls, writes = cloud.calls[before:], {id(call) for call in cloud.calls.writes()}
        made = state(cloud)
        assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
        assert not differences(empty, state(cloud))
    numbers = tuple(n for n, call in enumerate(calls, start=1) if id(call) in writes)
    assert len(numbers) > 40
    return Undisturbed(empty, made, numbers)


def continued(
    cloud: RehearsalCloud, folder: Path, expected: Undisturbed, *, destroyed: bool
) -> None:
    """Run again after a disturbed run, and compare the world with that of the undisturbed one."""
    again = run(SCRIPT, folder, "--yes", "--json")
    assert again.exit_code == 0, again.document["problems"]
    assert not differences(expected.made, state(cloud))
    if destroyed:
        gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
        assert gone.exit_code == 0, gone.document["problems"]
        assert not differences(expected.empty, state(cloud))


@linux_only
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("once")
def test_every_write_can_be_the_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever write was the last, the next run leaves the world as an undisturbed run does.

    From that world destroy leaves nothing, which the undisturbed run and the last ones here show.
    A run killed after a read finds the cloud as the write before it left it.
    """
    folder = tmp_path / "work"
    expected = undisturbed(monkeypatch, tmp_path / "undisturbed")
    with world(monkeypatch, folder) as cloud:
        late = len(expected.writes) - LAST

        def recover(copy: Path, number: int) -> None:
            continued(cloud, copy, expected, destroyed=number > late)

        words, environment = ("--yes", "--json"), dict(os.environ)
        request = Request(Path(SCRIPT.name).stem, words, folder, environment, LONG_ANSWERS)
        killed = KilledRun(cloud, request, recover)
        assert killed.play(Zygote(), monkeypatch) == 0
        assert killed.writes > 40
        assert not differences(expected.made, state(cloud))


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("once")
def test_connections_that_break_for_good_end_a_run_that_the_next_one_continues(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run itself goes on, without its connection, and ends with a report of what failed."""
    expected = undisturbed(monkeypatch, tmp_path / "undisturbed")
    for number in (1, *(write + 1 for write in expected.writes[3::12]), expected.writes[-1] + 1):
        folder = tmp_path / str(number)
        with world(monkeypatch, folder) as cloud:
            cloud.faults.add({"fault": "drop", "from_call": len(cloud.calls) + number})
            broken = run(SCRIPT, folder, "--yes", "--json")
            assert broken.document["result"] in ("ok", "failed", "refused"), broken.stderr
            cloud.faults.clear()
            continued(cloud, folder, expected, destroyed=False)


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
