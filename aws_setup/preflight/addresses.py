"""Checks that the fixed private addresses are free in an existing VPC."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from aws_setup.aws.session import pages
from aws_setup.config.cross_checks import fixed_addresses
from aws_setup.infrastructure.cluster_members import at_known_addresses
from aws_setup.infrastructure.run_instances import describe_holder, holder_of_address
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse

LOST = "of a lost NDB data node"


def check(planned: PlannedResources) -> CheckResult:
    """Check that the fixed addresses of planned launches are in their subnet, and free."""
    fixed = set(_missing(planned))
    vpc = planned.ctx.found.get("vpc")
    if not fixed or vpc is None:
        return CheckResult()
    return CheckResult.of([*_outside_subnet(planned, fixed), *_in_use(planned, fixed, vpc.id)])


def _missing(planned: PlannedResources) -> Iterator[str]:
    """Yield the fixed addresses at which a machine is missing, also in an incomplete group."""
    for each in vm_groups(planned.config):
        group = at_known_addresses(planned.ctx, each)
        found = planned.ctx.found.get(group.step)
        if found is None and group.step not in planned.to_create:
            continue
        taken = {item["private_ip"] for item in found.facts["instances"]} if found else set()
        yield from (str(address) for address in group.addresses if str(address) not in taken)


def _outside_subnet(planned: PlannedResources, fixed: set[str]) -> Iterator[Finding]:
    """An existing subnet may have any range."""
    subnet = planned.ctx.found.get("public subnet 1")
    cidr = str(subnet.facts.get("cidr") or "") if subnet else ""
    for address in sorted(fixed) if cidr else ():
        if IPv4Address(address) not in IPv4Network(cidr):
            key = _keys(planned).get(address, "")
            yield refuse(
                f"the address {address} ({key or LOST}) is not in the public subnet",
                f"its range is {cidr}",
                "set an address of that range, and rebuild the NameNode image, which expects the "
                "default address"
                if key
                else "restore the subnet in which the other machines of the NDB cluster are",
            )


def _in_use(planned: PlannedResources, fixed: set[str], vpc_id: str) -> Iterator[Finding]:
    filters: Any = [
        {"Name": "vpc-id", "Values": [vpc_id]},
        {"Name": "addresses.private-ip-address", "Values": sorted(fixed)},
    ]
    for interface in pages(
        planned.ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters
    ):
        for address in sorted(_addresses_of(interface) & fixed):
            # A machine that is shutting down releases its address, and the launch waits for that.
            if holder_of_address(planned.ctx, address):
                continue
            key = _keys(planned).get(address, "")
            why, fix = describe_holder(planned.ctx, interface)
            other = f"; or set another {key} (the NameNode image expects the default)"
            yield refuse(
                f"the address {address} ({key or LOST}) is in use",
                f"in {vpc_id}, {why}",
                f"{fix}{other if key else ''}",
            )


def _keys(planned: PlannedResources) -> dict[str, str]:
    return {str(address): key for key, address in fixed_addresses(planned.config)}


def _addresses_of(interface: Any) -> set[str]:
    secondary = {item["PrivateIpAddress"] for item in interface.get("PrivateIpAddresses", [])}
    return secondary | {interface["PrivateIpAddress"]}
