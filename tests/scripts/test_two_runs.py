"""Two runs at once on one deployment: one of them changes it, the other is refused or waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.run_lock import RunLock
from aws_setup.engine.write_guard import guarding
from aws_setup.infrastructure.leftovers import leftovers
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.script_runs import Request, Zygote
from tests.support.scripts import Ended, prepare, run

MODULE = Path(SCRIPT.name).stem
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its runs")

SECOND = {8: "create", 13: "destroy", 19: "pause", 26: "allow-my-ip"}
"""Before which write of the first run a second one starts; the first few are dry runs."""

FEW: dict[str, Any] = {"create_eks_cluster": False, "create_ndb_cluster": False}


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    return prepare(tmp_path / "work", **FEW)


def shape(cloud: RehearsalCloud) -> Counter[tuple[str, str]]:
    """Return how many resources of each kind and step exist."""
    return Counter((item.kind, item.tags.get("lambda-fs:step", "")) for item in cloud.snapshot())


class Intruders:
    """Starts a second process at some writes of the first run; `ended` is how each ended."""

    def __init__(self, runs: Zygote, folder: Path, verbs: Mapping[int, str]) -> None:
        self._runs, self._folder, self._verbs, self._write = runs, folder, verbs, 0
        self._mutex = threading.Lock()
        self.ended: dict[str, Ended] = {}

    def __call__(self) -> None:
        with self._mutex:
            self._write += 1
            verb = self._verbs.get(self._write)
            if verb:
                words = (verb, "--yes", "--json")
                request = Request(MODULE, words, self._folder, dict(os.environ))
                second = self._runs.start(request, name=verb)
                self.ended[verb] = Ended(second.wait(), second.stdout, second.stderr)


@linux_only
def test_while_a_run_writes_every_other_one_is_refused(cloud: RehearsalCloud, folder: Path) -> None:
    empty = shape(cloud)
    intruders = Intruders(Zygote(), folder, SECOND)
    with guarding(intruders):
        first = run(SCRIPT, folder, "create", "--yes", "--json")
    assert first.exit_code == 0, first.document["problems"]
    assert intruders.ended.keys() == set(SECOND.values())
    for verb, ended in intruders.ended.items():
        assert ended.exit_code == 2, (verb, ended.stdout, ended.stderr)
        (problem,) = ended.document["problems"]
        assert problem["what"] == "another run is changing lambda-fs"
        assert "has run create since" in problem["why"]
        assert "--break-lock" in problem["hint"]
    made = shape(cloud)
    again = run(SCRIPT, folder, "create", "--yes", "--json")
    assert {step["action"] for step in again.document["steps"]} == {"exists"}
    assert shape(cloud) == made
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert shape(cloud) == empty


@pytest.mark.parametrize("between", ["create", "destroy"])
def test_a_run_that_comes_between_examination_and_first_write_is_taken_into_account(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    assert run(SCRIPT, folder, "create", "--yes").exit_code == 0
    complete = shape(cloud)
    if between == "create":
        assert run(SCRIPT, folder, "destroy", "--yes", "--only", "lambda-fs client").exit_code == 0
    else:
        (folder / "config_aws.yaml").write_text(
            (folder / "config_aws.yaml").read_text() + "tags: {team: storage}\n"
        )
        assert run(SCRIPT, folder, "destroy", "--yes", "--only", "hopsfs client").exit_code == 0
    acquire = RunLock.acquire
    started: list[bool] = []

    def later(lock: RunLock) -> None:
        if not started:
            started.append(True)
            ended = run(SCRIPT, folder, between, "--yes", "--json")
            assert ended.exit_code == 0, ended.document["problems"]
        acquire(lock)

    monkeypatch.setattr(RunLock, "acquire", later)
    ended = run(SCRIPT, folder, "create", "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    assert started
    assert shape(cloud) == complete, "nothing is doubled, and nothing is missing"


def _whole_create(cloud: RehearsalCloud, folder: Path) -> None:
    ended = run(SCRIPT, folder, "create", "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]


def _begun_create(cloud: RehearsalCloud, folder: Path) -> subprocess.Popen[bytes]:
    """Start a create, and stop its process when it has begun to write."""
    words = [
        sys.executable,
        str(Path(__file__).parents[2] / SCRIPT.name),
        "create",
        "--yes",
        "--quiet",
    ]
    begun = subprocess.Popen([*words, "-y", str(folder / "config_aws.yaml")], cwd=folder)
    while not any(call.name == "ec2.CreateVpc" for call in cloud.calls.writes()):
        assert begun.poll() is None
        time.sleep(0.01)
    begun.send_signal(signal.SIGSTOP)
    return begun


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
@pytest.mark.parametrize("other", [_whole_create, _begun_create])
def test_a_destroy_that_found_nothing_does_not_report_what_another_run_makes(
    cloud: RehearsalCloud,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    other: Callable[[RehearsalCloud, Path], subprocess.Popen[bytes] | None],
) -> None:
    empty = shape(cloud)
    begun: list[subprocess.Popen[bytes] | None] = []

    def later(*words: Any, **options: Any) -> Any:
        if not begun:
            begun.append(other(cloud, folder))
        return leftovers(*words, **options)

    monkeypatch.setattr("aws_setup.cli.destroy.leftovers", later)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    if begun[0] is None:
        assert ended.exit_code == 0, ended.document["problems"]
        assert shape(cloud) == empty, "what had been made by then is deleted"
        return
    begun[0].kill()
    begun[0].wait()
    assert ended.exit_code == 2
    (problem,) = ended.document["problems"]
    assert problem["what"] == "another run is changing lambda-fs"
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert shape(cloud) == empty


def test_extend_takes_the_lock_before_it_moves_the_deadline(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "create", "--yes").exit_code == 0
    before = len(cloud.calls.writes())
    assert run(SCRIPT, folder, "extend", "6h", "--yes").exit_code == 0
    written = [call.name for call in cloud.calls.writes()[before:]]
    assert written[0] == "ssm.PutParameter"
    assert "scheduler.CreateSchedule" in written
