"""A sample of hostile environments; `python -m tests.trust --hostile` tries all of them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.rehearsal.core.faults import FaultRules
from aws_setup.rehearsal.core.types import AwsError, Call
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from aws_setup.rehearsal.vms.fake_shell import FakeShell
from tests.support.script_runs import Zygote
from tests.trust.hostile import CASES, MIDDLE, _not_injected, run_cases
from tests.trust.world import world

SAMPLE = (
    "disk full, create",
    "terminal closed, create",
    "IAM lag, configure",
    "no capacity in any zone, configure",
)

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.timeout(600)
def test_a_run_in_a_hostile_world_ends_well_or_says_why_not(tmp_path: Path) -> None:
    cases = [case for case in CASES if str(case) in SAMPLE]
    assert len(cases) == len(SAMPLE)
    with world(Zygote(), tmp_path / "work") as made:
        ended = list(run_cases(made, cases))
    assert [(str(case), why) for case, why in ended if why] == []
    assert len(ended) == len(cases)


def test_a_world_leaves_the_classes_as_they_were(tmp_path: Path) -> None:
    before = KubeApiServer.answer, FakeShell.run
    with world(Zygote(), tmp_path / "work"):
        tapped = KubeApiServer.answer, FakeShell.run
        assert all(now is not then for now, then in zip(tapped, before, strict=True))
    assert (KubeApiServer.answer, FakeShell.run) == before


def test_a_fault_that_met_no_call_is_noticed() -> None:
    world: Any = SimpleNamespace(cloud=SimpleNamespace(faults=FaultRules()))
    world.cloud.faults.add({"fault": "fail", "code": "Throttling", "action": "ec2.StopInstances"})
    assert "StopInstances" in _not_injected(world)
    with pytest.raises(AwsError):
        world.cloud.faults.before(Call("ec2", "StopInstances", {}, "us-east-1", ""))
    assert _not_injected(world) == ""


def test_each_command_has_its_cases() -> None:
    cases = {(case.phase, case.name) for case in CASES}
    assert len(cases) == len(CASES)
    names = {name for phase, name in cases if phase == "destroy"}
    assert len(names) >= 6
    assert all((phase, name) in cases for phase in MIDDLE if phase != "create" for name in names)
