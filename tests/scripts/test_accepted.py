"""What AWS accepts and works on later is done only when it exists; its reason is told if not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

ONLY_GROUPS: dict[str, Any] = {
    "create_eks_cluster": False,
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
    "autoscaling_group_desired_capacity": 1,
    "autoscaling_group_max_size": 1,
}
NO_CAPACITY = [
    {"fault": "no-capacity", "zone": f"us-east-1{letter}", "instance_type": "*"}
    for letter in "abcdef"
]


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    return prepare(tmp_path / "work", **ONLY_GROUPS)


@pytest.mark.kind("A2")
def test_a_group_without_its_machines_is_not_done(cloud: RehearsalCloud, folder: Path) -> None:
    cloud.faults.add(*NO_CAPACITY)
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 1
    (problem,) = ended.document["problems"][:1]
    assert "0 of 1 machine in service" in problem["what"]
    assert "InsufficientInstanceCapacity" in problem["why"]
    assert "another instance type" in problem["hint"]
    # Again: still not "as the configuration wants it".
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 1
    plan = run(SCRIPT, folder, "plan", "--json").document
    drifted = [step for step in plan["steps"] if step["name"].startswith("auto-scaling")]
    assert {step["action"] for step in drifted} == {"update"}
    status = run(SCRIPT, folder, "status", "--json").document
    states = [step["state"] for step in status["steps"] if step["name"].startswith("auto-scaling")]
    assert states == ["0 of 1 machine"] * 3
    assert "auto scaling" not in status["prices"]["parts"]
    cloud.faults.clear()
    scaling = client("autoscaling")
    for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
        name = group["AutoScalingGroupName"]
        scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    billed = run(SCRIPT, folder, "status", "--json").document["prices"]["parts"]["auto scaling"]
    assert billed == pytest.approx(3 * (1.008 + 0.005), abs=1e-3)


@pytest.mark.kind("A2", "A10")
def test_machines_that_end_while_they_start_tell_their_reason(
    cloud: RehearsalCloud, folder: Path
) -> None:
    prepare(folder, **ONLY_GROUPS | {"create_lambda_fs_client_vm": True})
    cloud.faults.add({"fault": "launch-failure"})
    problems = run(SCRIPT, folder, "--yes", "--json").document["problems"]
    told = {problem["what"].split(":")[0]: problem for problem in problems}
    assert any(name.startswith("auto-scaling group") for name in told)
    assert "lambda-fs client" in told
    for problem in told.values():
        assert "Client error on launch" in problem["why"]
        assert "default-kms-key" in problem["hint"]
        assert "run the same command again" not in problem["hint"]


@pytest.mark.kind("A2")
def test_a_nat_gateway_or_cluster_that_fails_later_tells_the_reason(
    cloud: RehearsalCloud, folder: Path
) -> None:
    prepare(folder, **ONLY_GROUPS | {"create_eks_cluster": True})
    only = ("--only", "private route", "--only", "eks cluster")
    why = {"nat-gateway": "Elastic IP address is not in this zone", "cluster": "the role is gone"}
    for kind, message in why.items():
        rule = {"fault": "resource-failure", "kind": kind, "code": "Other", "message": message}
        cloud.faults.add(rule)
    ended = run(SCRIPT, folder, "--yes", "--json", *only)
    assert ended.exit_code == 1
    told = {problem["what"].split(":")[0]: problem for problem in ended.document["problems"]}
    for name, message in (("nat gateway", "not in this zone"), ("eks cluster", "role is gone")):
        assert message in told[name]["why"]
        assert told[name]["hint"]
    status = run(SCRIPT, folder, "status", "--json").document
    states = {step["name"]: step for step in status["steps"]}
    assert states["nat gateway"]["action"] == "create"
    # The failed gateway is billed no more; its address is.
    assert status["prices"]["parts"].get("network", 0.0) == pytest.approx(0.005, abs=1e-3)
    cloud.faults.clear()
    again = run(SCRIPT, folder, "--yes", "--json", "--only", "private route")
    assert again.exit_code == 0


@pytest.mark.kind("A2")
def test_disks_and_interfaces_that_are_not_attached_are_not_done(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(folder, **ONLY_GROUPS | {"create_zookeeper_vms": True})
    only = ("--yes", "--json", "--only", "zookeeper")
    plain = SystemClock.now
    stuck = (("volume", "attaching", "/dev/sdb"), ("interface", "pending", "eni-"))
    for kind, state, name in stuck:
        cloud.faults.add({"fault": "stuck", "kind": kind, "state": state})
        with monkeypatch.context() as patch:
            patch.setattr(SystemClock, "now", lambda clock: plain(clock) * 600)
            ended = run(SCRIPT, folder, *only)
        assert ended.exit_code == 1
        (problem,) = ended.document["problems"]
        assert name in problem["why"]
        assert f"is {state}" in problem["why"]
        assert "stop-instances" in problem["hint"]
        cloud.faults.clear()
    launched = len(cloud.calls.named("RunInstances"))
    assert run(SCRIPT, folder, *only).exit_code == 0
    assert len(cloud.calls.named("RunInstances")) == launched, "the next run goes on"
    cloud.faults.add({"fault": "stuck", "kind": "volume", "state": "error"})
    refused = run(SCRIPT, folder, *only)
    assert refused.exit_code == 2
    problem = refused.document["problems"][0]
    assert "/dev/sdb" in problem["what"]
    assert "state error" in problem["what"] + problem["why"]
    assert "terminate-instances" in problem["hint"]
