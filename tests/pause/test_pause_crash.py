"""pause and resume killed after any of their writes and run again: nothing is lost or doubled."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import SCRIPT, act, deploy, forget_clients, instances, shape
from tests.support.killed import LONG_ANSWERS, KilledRun
from tests.support.script_runs import Request, Zygote
from tests.support.scripts import run

FEW = {
    "create_ndb_cluster": False,
    "create_hops_fs_client_vm": False,
    "num_openwhisk_invoker_vms": 1,
    "num_namenode_deployments": 5,
}
PAUSE = ("pause", "--deep")


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.timeout(900)
def test_every_write_of_pause_and_of_resume_can_be_the_last(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with EksApiServers(cloud):
        folder = deploy(tmp_path / "work", **FEW)
        before = shape()
        act(folder, *PAUSE)
        paused = shape()
        act(folder, "resume")
        assert shape() == before
        for words, expected in ((PAUSE, paused), (("resume",), before)):

            def recover(
                copy: Path, _: int, words: Sequence[str] = words, expected: Any = expected
            ) -> None:
                forget_clients()
                act(copy, *words)
                assert shape() == expected

            script, arguments = Path(SCRIPT.name).stem, (*words, "--yes", "--json")
            request = Request(script, arguments, folder, dict(os.environ), LONG_ANSWERS)
            killed = KilledRun(cloud, request, recover)
            assert killed.play(Zygote(), monkeypatch) == 0
            assert killed.writes > 12
            assert shape() == expected
        run(SCRIPT, folder, "pause", "--yes")
        act(folder, "destroy")
        assert not instances()


def test_pause_and_resume_whose_connections_break_for_good_are_continued(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run itself goes on, without its connection, and ends with a report of what failed."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with EksApiServers(cloud):
        folder = deploy(tmp_path / "work", **FEW)
        shapes = {"resume": shape()}
        calls = len(cloud.calls)
        act(folder, *PAUSE)
        shapes["pause"], middle = shape(), (len(cloud.calls) - calls) // 2
        for words in (("resume",), PAUSE):
            for number in (1, middle):
                cloud.faults.add({"fault": "drop", "from_call": len(cloud.calls) + number})
                broken = run(SCRIPT, folder, *words, "--yes", "--json")
                assert broken.document["result"] in ("ok", "failed", "refused"), broken.stderr
                cloud.faults.clear()
            act(folder, *words)
            assert shape() == shapes[words[0]]
