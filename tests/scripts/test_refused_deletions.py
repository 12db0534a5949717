"""Deletions that AWS refuses with a code that also means "does not exist"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

NO_MACHINES: dict[str, Any] = {
    "create_eks_cluster": False,
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
}
GROUPS = NO_MACHINES | {
    "autoscaling_group_desired_capacity": 1,
    "autoscaling_group_max_size": 1,
}


def refuse_once(cloud: RehearsalCloud, action: str, code: str) -> None:
    cloud.faults.add({"fault": "fail", "action": action, "calls": [1], "code": code})


def protect(name: str, protection: str) -> None:
    client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=name, DeletionProtection=protection
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("protection", ["prevent-force-deletion", "prevent-all-deletion"])
def test_a_protected_auto_scaling_group_is_named_with_the_command(
    cloud: RehearsalCloud, tmp_path: Path, protection: str
) -> None:
    folder = prepare(tmp_path / "work", **GROUPS)
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    scaling = client("autoscaling")
    name = scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["AutoScalingGroupName"]
    protect(name, protection)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code in (1, 3)
    (problem,) = [one for one in ended.document["problems"] if f"{name} is kept" in one["what"]]
    assert f"its deletion protection is {protection}" in problem["why"]
    assert f"--auto-scaling-group-name {name} --deletion-protection none" in problem["hint"]
    left = [
        g["AutoScalingGroupName"]
        for g in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    ]
    assert left == [name]
    protect(name, "none")
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert not scaling.describe_auto_scaling_groups()["AutoScalingGroups"]


@pytest.mark.timeout(120)
def test_a_machine_that_aws_no_longer_knows_does_not_keep_the_others(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work")
    assert run(SCRIPT, folder, "--yes", "--only", "zookeeper").exit_code == 0
    refuse_once(cloud, "TerminateInstances", "InvalidInstanceID.NotFound")
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    groups = client("ec2").describe_instances()["Reservations"]
    states = {machine["State"]["Name"] for group in groups for machine in group["Instances"]}
    assert states <= {"terminated"}


@pytest.mark.timeout(120)
def test_an_ami_that_cannot_be_deregistered_yet_is_tried_again(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work", aws_region="eu-west-1")
    ended = run(SCRIPT, folder, "--yes", "--copy-amis", "--only", "ami copy zookeeper")
    assert ended.exit_code == 0, ended.stderr
    refuse_once(cloud, "DeregisterImage", "InvalidAMIID.Unavailable")
    assert run(SCRIPT, folder, "destroy", "--images", "--yes").exit_code == 0
    assert not client("ec2", "eu-west-1").describe_images(Owners=["self"])["Images"]
