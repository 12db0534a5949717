"""Disks of VMs changed by hand: named by the plan, put right or refused with the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

ONLY = ("--only", "zookeeper")


def zookeepers() -> list[Any]:
    filters = [
        {"Name": "tag:lambda-fs:step", "Values": ["zookeeper"]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    answer = client("ec2").describe_instances(Filters=filters)["Reservations"]
    return [one for group in answer for one in group["Instances"]]


@pytest.mark.kind("A2")
def test_disks_that_were_kept_are_deleted_with_their_vm_and_lost_ones_are_named(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder, ec2 = prepare(tmp_path / "work"), client("ec2")
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    first, second = zookeepers()[:2]
    disk = first["BlockDeviceMappings"][-1]
    kept = {"DeviceName": disk["DeviceName"], "Ebs": {"DeleteOnTermination": False}}
    vm = first["InstanceId"]
    ec2.modify_instance_attribute(InstanceId=vm, BlockDeviceMappings=[kept])
    users = ec2.create_volume(AvailabilityZone=first["Placement"]["AvailabilityZone"], Size=9)
    ec2.attach_volume(VolumeId=users["VolumeId"], InstanceId=vm, Device="/dev/sdz")
    plan = run(SCRIPT, folder, "plan", "--json", *ONLY).document
    (row,) = [step for step in plan["steps"] if step["action"] != "exists"]
    assert row["drift"][0]["has"] == f"{vm} {disk['DeviceName']}"
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    (same,) = [one for one in zookeepers() if one["InstanceId"] == vm]
    disks = {it["DeviceName"]: it["Ebs"] for it in same["BlockDeviceMappings"]}
    assert disks[disk["DeviceName"]]["DeleteOnTermination"] is True
    assert disks["/dev/sdz"]["DeleteOnTermination"] is False, "the user's own disk is kept"
    lost = second["BlockDeviceMappings"][-1]
    ec2.detach_volume(VolumeId=lost["Ebs"]["VolumeId"], InstanceId=second["InstanceId"])
    ended = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert ended.exit_code == 2
    (problem,) = ended.document["problems"]
    assert f"disk {lost['DeviceName']} of {second['InstanceId']}" in problem["what"]
    assert f"terminate-instances --instance-ids {second['InstanceId']}" in problem["hint"]
    ec2.terminate_instances(InstanceIds=[second["InstanceId"]])
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
