"""How long whole runs take on AWS's latencies: in virtual time, so that no load matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.report.timeline import spans
from tests.support.kube import tool
from tests.support.virtual_time import LIMIT, virtual_world

pytestmark = pytest.mark.timeout(400)


def test_everything_is_made_and_deleted_within_five_percent_of_awss_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        before = {resource.id for resource in world.cloud.snapshot()}
        world.create()
        world.configure()
        assert world.seconds["create"] + world.seconds["configure"] <= 1.05 * LIMIT.create
        done = world.destroy()
        assert world.seconds["destroy"] <= 1.05 * LIMIT.destroy
        assert done["leftovers"] == []
        assert {resource.id for resource in world.cloud.snapshot()} <= before
        ran = {span.step: span for span in spans(world.records()[-1])}
    nodes = [ran["core-nodes"], ran["invoker-nodes"]]
    beside = ("openwhisk release", "openwhisk public address", "nat gateway", "zookeeper")
    assert all(ran[step].start < 5 for step in (*beside, "core-nodes", "invoker-nodes"))
    assert max(ran[step].end for step in beside) < min(span.end for span in nodes)
    assert ran["eks cluster"].start - max(span.end for span in nodes) < 1
