"""The RunInstances calls that complete a VM group."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from aws_setup.infrastructure.run_instances import missing_launches
from aws_setup.infrastructure.vm_groups import VmGroup

FIXED = ("10.0.0.4", "10.0.0.5", "10.0.0.6")


def group(count: int, *addresses: str) -> VmGroup:
    fixed = tuple(IPv4Address(address) for address in addresses)
    return VmGroup("zookeeper", "zk", "ZooKeeperVM", "ami-1", "m5.large", count, addresses=fixed)


def instances(*machines: str) -> list[Any]:
    """Return instances by address, with a name where one follows after a space."""
    pairs = [machine.partition(" ") for machine in machines]
    return [
        {"PrivateIpAddress": address, "Tags": [{"Key": "Name", "Value": name}] if name else []}
        for address, _, name in pairs
    ]


@pytest.mark.parametrize(
    ("vms", "active", "launches"),
    [
        (group(3), [], ["zk-0", "zk-1", "zk-2"]),
        (group(4), ["10.0.0.9 zk-1"], ["zk-0", "zk-2", "zk-3"]),
        (group(3), ["10.0.0.9"], ["zk-1", "zk-2"]),
        (group(2), ["10.0.0.8", "10.0.0.9"], []),
        (group(1), ["10.0.0.8", "10.0.0.9"], []),
        (group(3, *FIXED), [], [f"zk-{index} {FIXED[index]}" for index in range(3)]),
        (group(3, *FIXED), ["10.0.0.5 zk-1"], ["zk-0 10.0.0.4", "zk-2 10.0.0.6"]),
        (group(3, *FIXED), ["10.0.0.5 zk-0"], ["zk-1 10.0.0.4", "zk-2 10.0.0.6"]),
        (
            group(5, *FIXED),
            ["10.0.0.4 zk-0", "10.0.0.9 zk-3"],
            ["zk-1 10.0.0.5", "zk-2 10.0.0.6", "zk-4"],
        ),
    ],
    ids=[
        "none",
        "some",
        "one without a name",
        "complete",
        "surplus",
        "fixed",
        "one fixed exists",
        "with another's name",
        "mixed",
    ],
)
def test_the_calls_that_complete_a_group(
    vms: VmGroup, active: list[str], launches: list[str]
) -> None:
    found = missing_launches(vms, instances(*active))
    assert [f"{launch.name} {launch.address}".strip() for launch in found] == launches
