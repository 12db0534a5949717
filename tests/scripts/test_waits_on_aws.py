"""How long each wait of a deployment's life lasts after what it waits for, and how often it asks.

In virtual time, so that the figures do not depend on the computer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import create_aws_infrastructure
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.engine import step, wait
from tests.support.kube import tool
from tests.support.virtual_time import virtual_world

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Waited:
    """A wait that did not end at its first poll; seconds since the request, and the polls."""

    what: str
    usual: float
    seconds: float
    polls: int


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[Waited]:
    """The waits of steps, as they end."""
    found: list[Waited] = []
    original = wait.wait_until

    def recorded(what: str, probe: Callable[[], Any], *, clock: Any, **more: Any) -> Any:
        began, polls = clock.now(), 0

        def counted() -> Any:
            nonlocal polls
            polls += 1
            return probe()

        result = original(what, counted, clock=clock, **more)
        if polls > 1:
            seconds = more["passed"] + clock.now() - began
            found.append(Waited(what, more["usual"], seconds, polls))
        return result

    monkeypatch.setattr(step, "wait_until", recorded)
    return found


@dataclass(frozen=True)
class Row:
    """Waits of one kind: their text, when the cloud is ready, and how often they ask at most."""

    text: str
    ready: float
    polls: int


STARTED = 1.0
"""Seconds after which the cloud looks again for machines of a node group that start."""

TABLE = (
    Row(r"the VMs of .* are running", MEDIANS["instance running"], 6),
    Row(r"NAT gateway .* becomes available", MEDIANS["nat available"], 20),
    Row(r"EKS cluster .* becomes ACTIVE", MEDIANS["cluster active"], 18),
    Row(r"the load balancer gets a host name and .*", MEDIANS["load balancer created"], 9),
    Row(r"(kube-proxy|vpc-cni) add-on becomes ACTIVE", MEDIANS["addon active"], 16),
    Row(r".*-nodes become ACTIVE", MEDIANS["node group active"] + STARTED, 16),
    Row(r"the schedule group .* is deleted", MEDIANS["schedule group deleted"], 6),
    Row(r".* are terminated", MEDIANS["instance terminated"], 14),
    Row(r"NAT gateway .* is deleted", MEDIANS["nat deleted"], 16),
    Row(r"the load balancer is deleted", MEDIANS["load balancer deleted"], 18),
    Row(r"node group .* is deleted", MEDIANS["node group deleted"], 18),
    Row(r"EKS cluster .* is deleted", MEDIANS["cluster deleted"], 18),
    Row(r"the VMs of .* are stopped", MEDIANS["instance stopped"], 10),
    Row(r".*-nodes have their new size", MEDIANS["node group update"], 16),
)
"""Transitions with a known median."""

OTHERS = (
    r"EKS accepts (cluster|node group) .*",  # IAM shows the role late: each poll is a write
    r"EventBridge Scheduler accepts .*",  # likewise
    r"elastic IP .* is deleted",  # likewise, until NAT has released it
    r"a 1 GiB volume is created and bound",  # a chain of nodes, images and volumes
    r"OpenWhisk becomes ready",  # likewise
)
"""Waits without one: their pauses are even, and at least 2 % of what has passed."""


def test_waits_lose_two_percent_and_ask_seldom(
    waits: list[Waited], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        world.create()
        world.configure()
        world.run(create_aws_infrastructure, "pause")
        world.run(create_aws_infrastructure, "resume")
        world.destroy()
    seen = set()
    for one in waits:
        row = next((row for row in TABLE if re.fullmatch(row.text, one.what)), None)
        if row is None:
            assert any(re.fullmatch(text, one.what) for text in OTHERS), one
            assert not one.usual, f"{one}: it has a median and no row"
            continue
        seen.add(row.text)
        assert one.usual, f"{one} does not know its median"
        late = one.seconds - row.ready
        assert -1 <= late <= max(0.02 * row.ready, wait.SHORTEST_NEAR), f"{one}: {late:.1f} s late"
        assert one.polls <= row.polls, one
    assert seen == {row.text for row in TABLE}, "a row that nothing tests"
