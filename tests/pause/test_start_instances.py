"""Stopped VMs that AWS cannot start: the disks hold the data, and no advice costs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import prepare, run, write_config

SETTINGS = {
    "num_ndb_datanodes": 2,
    "num_lambda_fs_zk_vms": 1,
    "create_eks_cluster": False,
    "create_autoscaling_groups": False,
    "create_launch_templates": False,
}
STOPPED = "ndb data nodes 1"


def machines() -> list[str]:
    """Return the ids of the group's machines."""
    filters = [
        {"Name": "tag:lambda-fs:step", "Values": [STOPPED]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    found = client("ec2").describe_instances(Filters=filters)["Reservations"]
    return sorted(item["InstanceId"] for group in found for item in group["Instances"])


def disks() -> set[str]:
    return {item["VolumeId"] for item in client("ec2").describe_volumes()["Volumes"]}


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud:
        folder = prepare(tmp_path_factory.mktemp("stopped") / "work", **SETTINGS)
        assert run(SCRIPT, folder, "create", "--yes").exit_code == 0
        assert run(SCRIPT, folder, "pause", "--yes").exit_code == 0
        yield World(cloud, folder)


@pytest.mark.parametrize("cause", ["capacity", "quota"])
def test_machines_that_cannot_start_get_another_type_and_keep_their_disks(
    deployed: RehearsalCloud, folder: Path, cause: str
) -> None:
    ids, before = machines(), disks()
    if cause == "capacity":
        for zone in client("ec2").describe_availability_zones()["AvailabilityZones"]:
            name = zone["ZoneName"]
            deployed.faults.add(
                {"fault": "no-capacity", "zone": name, "instance_type": "r5.4xlarge"}
            )
    else:
        message = "You have requested more vCPU capacity than your current vCPU limit of 20 allows"
        refusal = {"code": "VcpuLimitExceeded", "message": message}
        deployed.faults.add({"fault": "fail", "action": "StartInstances", **refusal})
    ended = run(SCRIPT, folder, "resume", "--yes", "--json")
    assert ended.exit_code == 1
    (problem,) = [it for it in ended.document["problems"] if it["what"].startswith(STOPPED)]
    assert "run the same command again" in problem["hint"]
    assert "destroy" not in problem["hint"]
    assert "ndb_datanode_instance_type" in problem["hint"]
    (command,) = re.findall(r"`aws ec2 modify-instance-attribute (.*?)`", problem["hint"])
    assert command.split()[:2] == ["--instance-id", ids[0]]
    assert "set ndb_num_cpus to the vCPUs of the type before" in problem["hint"]

    write_config(folder, **SETTINGS, ndb_datanode_instance_type="r5.large")
    refused = run(SCRIPT, folder, "resume", "--yes", "--json")
    assert refused.exit_code == 2
    (problem,) = [it for it in refused.document["problems"] if it["what"].startswith(STOPPED)]
    assert 'to lose all data, run destroy --only "ndb manager"' in problem["hint"]
    assert "deletes the disks; or run `aws ec2 modify-instance-attribute" in problem["hint"]
    assert "set ndb_num_cpus to the vCPUs of the type before" in problem["hint"]
    for step in client("ec2").describe_instances()["Reservations"]:
        for item in step["Instances"]:
            if any(tag["Value"].startswith("ndb data nodes") for tag in item["Tags"]):
                client("ec2").modify_instance_attribute(
                    InstanceId=item["InstanceId"], InstanceType={"Value": "r5.large"}
                )
    deployed.faults.clear()
    ended = run(SCRIPT, folder, "resume", "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    assert (machines(), disks()) == (ids, before)
