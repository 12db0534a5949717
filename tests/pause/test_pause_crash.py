"""pause and resume killed after any of their writes and run again: nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import SCRIPT, act, deploy, instances, shape
from tests.support.scripts import run

FEW = {
    "create_ndb_cluster": False,
    "create_hops_fs_client_vm": False,
    "num_openwhisk_invoker_vms": 1,
    "num_namenode_deployments": 5,
}
PAUSE = ("pause", "--deep")


def killing_points(cloud: RehearsalCloud, folder: Path, *words: str) -> list[int]:
    """Run a command undisturbed and return the numbers of the calls that follow its writes."""
    before = len(cloud.calls)
    act(folder, *words)
    writes = {id(call) for call in cloud.calls.writes()}
    made = cloud.calls[before:]
    return [1, *(n + 1 for n, call in enumerate(made, start=1) if id(call) in writes)]


@pytest.mark.timeout(900)
def test_every_write_of_pause_and_of_resume_can_be_the_last(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with EksApiServers(cloud):
        folder = deploy(tmp_path / "work", **FEW)
        before = shape()
        points = {"pause": killing_points(cloud, folder, *PAUSE)}
        paused = shape()
        points["resume"] = killing_points(cloud, folder, "resume")
        assert shape() == before
        assert all(len(numbers) > 12 for numbers in points.values())
        for turn in range(max(map(len, points.values()))):
            for words, expected in ((PAUSE, paused), (("resume",), before)):
                numbers = points[words[0]]
                number = numbers[min(turn, len(numbers) - 1)]
                cloud.faults.add({"fault": "drop", "from_call": len(cloud.calls) + number})
                run(SCRIPT, folder, *words, "--yes", "--json")
                cloud.faults.clear()
                act(folder, *words)
                assert shape() == expected, f"{words[0]} killed at call {number}"
        run(SCRIPT, folder, "pause", "--yes")
        act(folder, "destroy")
        assert not instances()
