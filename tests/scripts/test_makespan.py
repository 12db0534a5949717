"""How long whole runs take on AWS's latencies: in virtual time, so that no load matters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aws_setup.report.timeline import spans
from tests.support.kube import tool
from tests.support.virtual_time import BETWEEN_COMMANDS, LIMIT, VirtualWorld, virtual_world

pytestmark = pytest.mark.timeout(400)


def test_everything_is_made_and_deleted_within_five_percent_of_awss_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        before = {resource.id for resource in world.cloud.snapshot()}
        world.create()
        world.configure()
        made = kinds(world)
        assert world.seconds["create"] + world.seconds["configure"] <= 1.05 * LIMIT.create
        done = world.destroy()
        assert world.seconds["destroy"] <= 1.05 * LIMIT.destroy
        assert done["leftovers"] == []
        assert {resource.id for resource in world.cloud.snapshot()} <= before
        ran = {span.step: span for span in spans(world.records()[-1])}
        stop_and_continue(world, made)
    nodes = [ran["core-nodes"], ran["invoker-nodes"]]
    beside = ("openwhisk release", "openwhisk public address", "nat gateway", "zookeeper")
    assert all(ran[step].start < 5 for step in (*beside, "core-nodes", "invoker-nodes"))
    assert max(ran[step].end for step in beside) < min(span.end for span in nodes)
    assert ran["eks cluster"].start - max(span.end for span in nodes) < 1


def kinds(world: VirtualWorld) -> Counter[tuple[str, str]]:
    """Return how many resources of each kind and step exist."""
    found = world.cloud.snapshot()
    return Counter((one.kind, one.tags.get("lambda-fs:step", "")) for one in found)


def stop_and_continue(world: VirtualWorld, made: Counter[tuple[str, str]]) -> None:
    """Stop runs while what they have asked for is not usable yet; the next ones lose no time."""
    began = world.time.now()
    world.create("--no-wait")
    assert world.seconds["create"] < LIMIT.create / 4, "it does not wait for the cluster"
    for seconds in (1, 300, 150):
        world.configure(stop=seconds)
    world.configure()
    assert world.time.now() - began <= 1.05 * LIMIT.create + 5 * STOP
    assert kinds(world) == made, "nothing is doubled, nothing is missing"
    assert {step["action"] for step in world.configure()["steps"]} == {"exists"}
    began = world.time.now()
    for seconds in (1, 200):
        world.destroy(stop=seconds)
    assert world.destroy()["leftovers"] == []
    assert world.time.now() - began <= 1.05 * LIMIT.destroy + 3 * STOP


STOP = BETWEEN_COMMANDS + 5.0
"""Seconds that a stop costs: the next command, and what it examines."""
