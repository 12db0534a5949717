"""Disks of VMs changed by hand: named by the plan, put right or refused with the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

ONLY = ("--only", "zookeeper")
OWNER = "lambda-fs:deployment"


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


def volumes() -> dict[tuple[str, str], Any]:
    """Return VM and device -> the volume there."""
    listed = {it["VolumeId"]: it for it in client("ec2").describe_volumes()["Volumes"]}
    return {
        (vm["InstanceId"], disk["DeviceName"]): listed[disk["Ebs"]["VolumeId"]]
        for vm in zookeepers()
        for disk in vm["BlockDeviceMappings"]
    }


def tags(volume: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in volume["Tags"]}


def zookeeper_row(folder: Path) -> Any:
    plan = run(SCRIPT, folder, "plan", "--json", *ONLY).document
    (row,) = [step for step in plan["steps"] if step["name"] == "zookeeper"]
    return row | {"warnings": [problem["what"] for problem in plan["warnings"]]}


def writes(cloud: RehearsalCloud) -> list[str]:
    return [call.name for call in cloud.calls.writes() if not call.name.startswith("ssm.")]


@pytest.mark.kind("A2")
def test_volumes_changed_by_hand_are_named_and_get_the_settings_and_tags_of_their_launch(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder, ec2 = prepare(tmp_path / "work"), client("ec2")
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    before = volumes()
    (a, b, c) = sorted({vm for vm, _ in before})
    ids = {place: volume["VolumeId"] for place, volume in before.items()}
    faster, dearer, bigger = ids[a, "/dev/sda1"], ids[b, "/dev/sda1"], ids[c, "/dev/sdb"]
    ec2.modify_volume(VolumeId=faster, VolumeType="gp3", Iops=6000, Throughput=500)
    ec2.modify_volume(VolumeId=dearer, VolumeType="io2", Iops=500)
    ec2.modify_volume(VolumeId=bigger, Size=150)
    ec2.delete_tags(Resources=[faster], Tags=[{"Key": "Project"}])
    ec2.delete_tags(Resources=[bigger], Tags=[{"Key": OWNER}])
    ec2.create_tags(Resources=[bigger], Tags=[{"Key": "Team", "Value": "storage"}])
    row = zookeeper_row(folder)
    assert row["action"] == "update"
    drift = {each["what"]: (each["has"], each["wants"]) for each in row["drift"]}
    assert drift[f"disk /dev/sda1 of {a}"] == ("gp3", "gp2")
    assert drift[f"disk /dev/sda1 of {b}"] == ("io2", "gp2")
    assert f"{faster}: Project none" in drift["tags"][0]
    assert f"{bigger}: {OWNER} none" in drift["tags"][0]
    kept = f"disk /dev/sdb of {c} has 150 GiB, 50 more than its AMI"
    assert row["warnings"] == [kept]
    ended = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert ended.exit_code == 0, ended.document["problems"]
    (copy,) = folder.glob("**/*.zookeeper.before.yaml")
    assert "6000" in copy.read_text(), "what somebody had set can be set again"
    after = volumes()
    assert {place: it["VolumeId"] for place, it in after.items()} == ids
    assert {it["VolumeType"] for it in after.values()} == {"gp2"}
    assert tags(after[c, "/dev/sdb"]) == {"Team": "storage"} | tags(before[c, "/dev/sdb"])
    assert tags(after[a, "/dev/sda1"]) == tags(before[a, "/dev/sda1"])
    assert after[c, "/dev/sdb"]["Size"] == 150
    written = len(writes(cloud))
    again = zookeeper_row(folder)
    assert (again["action"], again["warnings"]) == ("exists", [kept])
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert len(writes(cloud)) == written


@pytest.mark.kind("A2")
def test_a_volume_that_cannot_be_changed_yet_or_at_all_is_named_with_what_replaces_it(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder, ec2 = prepare(tmp_path / "work"), client("ec2")
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    (vm, device), volume = next(it for it in volumes().items() if it[0][1] == "/dev/sdb")
    ec2.modify_volume(VolumeId=volume["VolumeId"], VolumeType="gp3")
    code = "VolumeModificationRateExceeded"
    cloud.faults.add({"fault": "fail", "action": "ModifyVolume", "code": code, "message": "Wait."})
    ended = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert ended.exit_code == 1
    (problem,) = ended.document["problems"]
    assert f"disk {device} of {vm} ({volume['VolumeId']}) was modified shortly" in problem["what"]
    assert problem["why"] == "Wait; it should have gp2"
    assert problem["hint"].startswith("run the same command again after ")
    cloud.faults.clear()
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert volumes()[vm, device]["VolumeType"] == "gp2"
    same = [{"ResourceType": "volume", "Tags": volume["Tags"]}]
    zone = {"AvailabilityZone": volume["AvailabilityZone"], "VolumeType": "gp2"}
    plain = ec2.create_volume(**zone, Size=volume["Size"], TagSpecifications=same)["VolumeId"]
    ec2.detach_volume(VolumeId=volume["VolumeId"], InstanceId=vm)
    ec2.attach_volume(VolumeId=plain, InstanceId=vm, Device=device)
    ended = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert ended.exit_code == 2
    (problem,) = ended.document["problems"]
    assert f"disk {device} of {vm}" in problem["what"]
    assert "is not encrypted" in problem["why"] + problem["what"]
    assert f"copy a snapshot of {plain}" in problem["hint"]
    assert f"terminate-instances --instance-ids {vm}" in problem["hint"]


@pytest.mark.kind("A2")
@pytest.mark.parametrize("device", ["/dev/sda1", "/dev/sdb"])
def test_a_detached_disk_of_a_single_vm_is_named_and_can_be_attached_again(
    cloud: RehearsalCloud, tmp_path: Path, device: str
) -> None:
    folder, ec2 = prepare(tmp_path / "work", num_lambda_fs_zk_vms=1), client("ec2")
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    (machine,) = zookeepers()
    vm = machine["InstanceId"]
    disks = {it["DeviceName"]: it["Ebs"]["VolumeId"] for it in machine["BlockDeviceMappings"]}
    with pytest.raises(ClientError, match="Unable to detach root volume"):
        ec2.detach_volume(VolumeId=disks["/dev/sda1"])
    ec2.stop_instances(InstanceIds=[vm])
    ec2.detach_volume(VolumeId=disks[device])
    ended = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert ended.exit_code == 2
    assert f"disk {device} of {vm}" in ended.document["problems"][0]["what"]
    ec2.attach_volume(VolumeId=disks[device], InstanceId=vm, Device=device)
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert [it["InstanceId"] for it in zookeepers()] == [vm]
