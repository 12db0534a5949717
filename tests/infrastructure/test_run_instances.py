"""The RunInstances calls that complete a VM group."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from aws_setup.infrastructure.run_instances import LaunchRequest, missing_launches
from aws_setup.infrastructure.vm_groups import VmGroup

FIXED = ("10.0.0.4", "10.0.0.5", "10.0.0.6")


def group(count: int, *addresses: str) -> VmGroup:
    fixed = tuple(IPv4Address(address) for address in addresses)
    return VmGroup("zookeeper", "zk", "ZooKeeperVM", "ami-1", "m5.large", count, addresses=fixed)


def instances(*addresses: str) -> list[Any]:
    return [{"PrivateIpAddress": address} for address in addresses]


@pytest.mark.parametrize(
    ("vms", "active", "launches"),
    [
        (group(4), [], [LaunchRequest(4)]),
        (group(4), ["10.0.0.9"], [LaunchRequest(3)]),
        (group(2), ["10.0.0.8", "10.0.0.9"], []),
        (group(1), ["10.0.0.8", "10.0.0.9"], []),
        (group(3, *FIXED), [], [LaunchRequest(1, address) for address in FIXED]),
        (group(3, *FIXED), ["10.0.0.5"], [LaunchRequest(1, FIXED[0]), LaunchRequest(1, FIXED[2])]),
        (
            group(5, *FIXED),
            [FIXED[0], "10.0.0.9"],
            [
                LaunchRequest(1, FIXED[1]),
                LaunchRequest(1, FIXED[2]),
                LaunchRequest(1),
            ],
        ),
    ],
    ids=["none", "some", "complete", "surplus", "fixed", "one fixed exists", "mixed"],
)
def test_the_calls_that_complete_a_group(
    vms: VmGroup, active: list[str], launches: list[LaunchRequest]
) -> None:
    assert missing_launches(vms, instances(*active)) == launches
