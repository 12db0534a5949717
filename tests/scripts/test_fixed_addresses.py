"""Fixed addresses are reserved before anything else starts in their subnet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

SMALL: dict[str, Any] = {
    "vpc_cidr": "10.0.8.0/21",
    "public_subnet_cidrs": ["10.0.8.224/28", "10.0.9.0/28"],
    "private_subnet_cidrs": ["10.0.10.0/28", "10.0.11.0/28"],
    "ndb_manager_private_ip": "10.0.8.230",
    "zookeeper_private_ips": ["10.0.8.233", "10.0.8.234", "10.0.8.235"],
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
    "create_eks_cluster": False,
    "num_ndb_datanodes": 2,
}
"""The first subnet has 11 addresses; four are fixed, and a NAT and four machines want one each."""


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    return prepare(tmp_path / "work", **SMALL)


def machines() -> dict[str, str]:
    """Return the private address of each machine that runs -> its step."""
    filters = [{"Name": "instance-state-name", "Values": ["running"]}]
    answer = client("ec2").describe_instances(Filters=filters)["Reservations"]
    return {
        one["PrivateIpAddress"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]}["lambda-fs:step"]
        for group in answer
        for one in group["Instances"]
    }


@pytest.mark.kind("A1")
def test_every_machine_has_its_fixed_address_in_a_crowded_subnet(
    cloud: RehearsalCloud, folder: Path
) -> None:
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    placed = machines()
    assert placed["10.0.8.230"] == "ndb manager"
    assert [placed[f"10.0.8.23{last}"] for last in (3, 4, 5)] == ["zookeeper"] * 3
    # A replaced machine finds its address free, whatever was launched meanwhile.
    gone = client("ec2").describe_instances(
        Filters=[{"Name": "private-ip-address", "Values": ["10.0.8.234"]}]
    )["Reservations"][0]["Instances"][0]["InstanceId"]
    client("ec2").terminate_instances(InstanceIds=[gone])
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    assert machines()["10.0.8.234"] == "zookeeper"
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0
    assert [item for item in cloud.snapshot() if item.kind in ("vpc", "subnet")] == []


@pytest.mark.kind("A1")
def test_an_address_that_an_own_machine_got_by_chance_is_named_with_its_holder(
    cloud: RehearsalCloud, folder: Path
) -> None:
    prepare(folder, **SMALL | {"create_zookeeper_vms": False})
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    used = machines()
    taken = next(ip for ip, step in used.items() if step.startswith("ndb data nodes"))
    (nat,) = client("ec2").describe_nat_gateways()["NatGateways"]
    busy = {*used, nat["NatGatewayAddresses"][0]["PrivateIp"]}
    free = [f"10.0.8.{last}" for last in range(228, 239) if f"10.0.8.{last}" not in busy]
    addresses = [taken, *free[:2]]
    prepare(folder, **SMALL | {"zookeeper_private_ips": addresses})
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 2
    problem = next(one for one in ended.document["problems"] if taken in one["what"])
    assert "this deployment's own machine ndb-datanode" in problem["why"]
    holder = problem["hint"].split("--instance-ids ")[1].split("`")[0]
    client("ec2").terminate_instances(InstanceIds=[holder])
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    assert machines()[taken] == "zookeeper"
