"""The fixed private addresses: free in a VPC that exists already."""

from __future__ import annotations

from typing import Any

from aws_setup.config.checks import fixed_addresses
from aws_setup.preflight.findings import Answer, refuse
from aws_setup.preflight.needs import Needs
from aws_setup.session import pages


def check(needs: Needs) -> Answer:
    """Check that nothing else holds an address that a machine of this run is to have."""
    wanted = {str(one) for launch in needs.launches for one in launch.addresses}
    vpc = needs.ctx.found.get("vpc")
    if not wanted or vpc is None:
        return Answer()
    filters: Any = [
        {"Name": "vpc-id", "Values": [vpc.id]},
        {"Name": "addresses.private-ip-address", "Values": sorted(wanted)},
    ]
    interfaces = pages(
        needs.ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters
    )
    keys = {str(address): key for key, address in fixed_addresses(needs.config)}
    return Answer.of(
        refuse(
            f"the address {address} ({keys[address]}) is taken",
            f"{_holder(interface)} in {vpc.id} has it",
            f"remove that, or set another {keys[address]} (the NameNode image expects the default)",
        )
        for interface in interfaces
        for address in sorted(_held(interface) & wanted)
    )


def _held(interface: Any) -> set[str]:
    more = {one["PrivateIpAddress"] for one in interface.get("PrivateIpAddresses", [])}
    return more | {interface["PrivateIpAddress"]}


def _holder(interface: Any) -> str:
    instance = interface.get("Attachment", {}).get("InstanceId")
    return f"the machine {instance}" if instance else str(interface["NetworkInterfaceId"])
