"""Finds moto's EC2 objects, with AWS's codes for those that do not exist; addresses; tags."""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.core.moto import backends_by_region
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource


def ec2_backend(cloud: CloudApi, call: Call) -> Any:
    """Return moto's EC2 backend of the call's region."""
    return cloud.backend("ec2", call.region)


def find_subnet(ec2: Any, subnet_id: str) -> Any:
    """Return a subnet; raises InvalidSubnetID.NotFound."""
    for zone in ec2.subnets.values():
        if subnet_id in zone:
            return zone[subnet_id]
    message = f"The subnet ID '{subnet_id}' does not exist"
    raise AwsError("InvalidSubnetID.NotFound", message)


def find_security_group(ec2: Any, group_id: str) -> Any:
    """Return a security group; raises InvalidGroup.NotFound."""
    found = ec2.get_security_group_from_id(group_id)
    if found is None:
        message = f"The security group '{group_id}' does not exist"
        raise AwsError("InvalidGroup.NotFound", message)
    return found


def find_elastic_address(ec2: Any, allocation_id: str) -> Any:
    """Return an elastic address; raises InvalidAllocationID.NotFound."""
    for address in ec2.addresses:
        if address.allocation_id == allocation_id:
            return address
    message = f"The allocation ID '{allocation_id}' does not exist"
    raise AwsError("InvalidAllocationID.NotFound", message)


def network_interfaces_in(ec2: Any, *, subnet: str = "", vpc: str = "") -> list[Any]:
    """Return the network interfaces of a subnet or of a VPC."""
    return [
        eni
        for eni in list(ec2.enis.values())
        if eni.subnet.id == subnet or eni.subnet.vpc_id == vpc
    ]


def used_addresses(ec2: Any, subnet: Any) -> set[str]:
    """Return the private addresses in use in a subnet."""
    return {
        str(item["PrivateIpAddress"])
        for eni in network_interfaces_in(ec2, subnet=subnet.id)
        for item in eni.private_ip_addresses
    }


def reserved_addresses(subnet: Any) -> set[str]:
    """Return the five addresses that AWS reserves: the first four and the last.

    VPC user guide, "Subnet CIDR reservations": Subnet sizing for IPv4.
    """
    network = ipaddress.ip_network(subnet.cidr_block)
    return {str(network[index]) for index in (0, 1, 2, 3, -1)}


class AddressLottery:
    """The random numbers by which addresses are handed out."""

    def __init__(self) -> None:
        """Start at the first number of the seed."""
        self.random = random.Random(1)

    def draw(self, count: int) -> Iterator[int]:
        """Yield the numbers below `count` in a random order, and draw only those asked for."""
        moved: dict[int, int] = {}
        for left in range(count, 0, -1):
            index = self.random.randrange(left)
            yield moved.get(index, index)
            moved[index] = moved.get(left - 1, left - 1)


def free_addresses(cloud: CloudApi, ec2: Any, subnet: Any) -> Iterator[str]:
    """Yield the subnet's free addresses in a random order: AWS promises none.

    An address in an explicit reservation goes to a request that names it only.
    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-cidr-reservation.html
    """
    taken = used_addresses(ec2, subnet) | reserved_addresses(subnet)
    explicit = [
        ipaddress.ip_network(str(item.cidr))
        for item in subnet._cidr_reservations
        if item.reservation_type == "explicit"
    ]
    network = ipaddress.ip_network(subnet.cidr_block)
    for index in cloud.store_of(AddressLottery).draw(network.num_addresses):
        address = network[index]
        if str(address) not in taken and not any(address in one for one in explicit):
            yield str(address)


def draw_addresses(cloud: CloudApi, ec2: Any, subnet: Any, count: int) -> None:
    """Have moto hand out random free addresses of a subnet to the next `count` interfaces."""
    for address in used_addresses(ec2, subnet):
        subnet._subnet_ips.setdefault(address, None)
    subnet._unused_ips = set(itertools.islice(free_addresses(cloud, ec2, subnet), count))


def count_free_addresses(ec2: Any, subnet: Any) -> int:
    """Return how many addresses of a subnet are free."""
    size = ipaddress.ip_network(subnet.cidr_block).num_addresses
    return size - 5 - len(used_addresses(ec2, subnet))


def check_address(ec2: Any, subnet: Any, address: str) -> None:
    """Reject a private address that cannot be assigned; raises AwsError.

    EC2 API reference, error codes: InvalidIPAddress.InUse, InvalidParameterValue.
    """
    if ipaddress.ip_address(address) not in ipaddress.ip_network(subnet.cidr_block):
        message = f"Address {address} does not fall within the subnet's address range"
        raise AwsError("InvalidParameterValue", message)
    if address in reserved_addresses(subnet):
        message = f"Address {address} is in subnet's reserved address range"
        raise AwsError("InvalidParameterValue", message)
    if address in used_addresses(ec2, subnet):
        raise AwsError("InvalidIPAddress.InUse", f"Address {address} is in use.")


def set_address(eni: Any, address: str) -> None:
    """Set the primary private address of a network interface."""
    eni.private_ip_address = address
    eni.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]


def tags_for(params: dict[str, Any], kind: str) -> dict[str, str]:
    """Return the tags of a request for one type of resource."""
    return {
        tag["Key"]: tag.get("Value", "")
        for specification in params.get("TagSpecifications", [])
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags", [])
    }


def has_internet_gateway(ec2: Any, vpc_id: str) -> bool:
    """Return whether a VPC has an internet gateway."""
    return any(gw.vpc and gw.vpc.id == vpc_id for gw in ec2.internet_gateways.values())


def list_resources(cloud: CloudApi) -> Iterator[Resource]:
    """List EC2's resources in every region that was used."""
    for region, ec2 in backends_by_region("ec2").items():
        for kind, items, bills in _kinds(ec2):
            for item in items:
                name = getattr(item, "group_id", None) or item.id
                state = str(getattr(item, "state", None) or getattr(item, "status", ""))
                tags = {tag["key"]: tag["value"] for tag in item.get_tags()}
                yield Resource("ec2", kind, name, region, state, bills=bills, tags=tags)


def _kinds(ec2: Any) -> Iterator[tuple[str, list[Any], bool]]:
    """Yield kind, objects of moto, and whether they are billed."""
    vpc_ids = {vpc.id for vpc in ec2.vpcs.values() if not vpc.is_default}
    subnets = [subnet for zone in ec2.subnets.values() for subnet in zone.values()]
    groups = [group for of_vpc in ec2.groups.values() for group in of_vpc.values()]
    yield "vpc", [ec2.vpcs[vpc] for vpc in vpc_ids], False
    yield "subnet", [subnet for subnet in subnets if subnet.vpc_id in vpc_ids], False
    yield "security-group", [group for group in groups if group.name != "default"], False
    tables = ec2.route_tables.values()
    yield "route-table", [table for table in tables if not table.main_association_id], False
    yield "internet-gateway", list(ec2.internet_gateways.values()), False
    gone_states = ("deleted", "failed")
    yield "natgateway", [n for n in ec2.nat_gateways.values() if n.state not in gone_states], True
    yield "elastic-ip", list(ec2.addresses), True
    yield "instance", [i for i in ec2.all_instances() if i.state != "terminated"], True
    yield "volume", list(ec2.volumes.values()), True
    yield "network-interface", list(ec2.enis.values()), False
    yield "launch-template", list(ec2.launch_templates.values()), False
    yield "key-pair", list(ec2.key_pairs.values()), False
