"""The fixed private addresses: free in a VPC that exists already."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from aws_setup.aws.session import pages
from aws_setup.config.cross_checks import fixed_addresses
from aws_setup.infrastructure.run_instances import holder_of_address
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse


def check(needs: PlannedResources) -> CheckResult:
    """Check that the addresses of this run's machines are in their subnet, and nobody's."""
    wanted = {str(one) for launch in needs.launches for one in launch.addresses}
    vpc = needs.ctx.found.get("vpc")
    if not wanted or vpc is None:
        return CheckResult()
    return CheckResult.of([*_outside(needs, wanted), *_taken(needs, wanted, vpc.id)])


def _outside(needs: PlannedResources, wanted: set[str]) -> Iterator[Finding]:
    """An adopted subnet has the range that it has."""
    subnet = needs.ctx.found.get("public subnet 1")
    cidr = str(subnet.facts.get("cidr") or "") if subnet else ""
    for address in sorted(wanted) if cidr else ():
        if IPv4Address(address) not in IPv4Network(cidr):
            yield refuse(
                f"the address {address} ({_keys(needs)[address]}) is not in the public subnet",
                f"its range is {cidr}",
                "set an address of that range; the NameNode image expects the default one, so "
                "it must be built anew for another",
            )


def _taken(needs: PlannedResources, wanted: set[str], vpc: str) -> Iterator[Finding]:
    filters: Any = [
        {"Name": "vpc-id", "Values": [vpc]},
        {"Name": "addresses.private-ip-address", "Values": sorted(wanted)},
    ]
    for interface in pages(
        needs.ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters
    ):
        held = sorted(_held(interface) & wanted)
        # A machine that shuts down gives its address back: the launch waits for that.
        for address in [one for one in held if not holder_of_address(needs.ctx, one)]:
            key = _keys(needs)[address]
            yield refuse(
                f"the address {address} ({key}) is taken",
                f"{_holder(interface)} in {vpc} has it",
                f"remove that, or set another {key} (the NameNode image expects the default)",
            )


def _keys(needs: PlannedResources) -> dict[str, str]:
    return {str(address): key for key, address in fixed_addresses(needs.config)}


def _held(interface: Any) -> set[str]:
    more = {one["PrivateIpAddress"] for one in interface.get("PrivateIpAddresses", [])}
    return more | {interface["PrivateIpAddress"]}


def _holder(interface: Any) -> str:
    instance = interface.get("Attachment", {}).get("InstanceId")
    return f"the machine {instance}" if instance else str(interface["NetworkInterfaceId"])
