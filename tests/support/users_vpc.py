"""A VPC as a user has it, to be adopted: no tag and no launch setting says what its subnets are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.aws import client, where

EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class UsersVpc:
    """Ids of the VPC: `subnets` are two public and two private ones, each pair in two zones."""

    id: str
    gateway: str
    nat: str
    public_table: str
    private_table: str
    subnets: Sequence[str]


def make_users_vpc(name: str = "mine", *, network: str = "10.0", prefix: int = 20) -> UsersVpc:
    """Make the VPC with an internet gateway, a NAT gateway, and a route table for each kind.

    Args:
        name: its Name tag.
        network: the first two numbers of its addresses.
        prefix: the length of the subnets' prefixes.
    """
    ec2 = client("ec2")
    name_tag = {"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": name}]}
    made = ec2.create_vpc(CidrBlock=f"{network}.0.0/16", TagSpecifications=[name_tag])
    vpc = made["Vpc"]["VpcId"]
    for switch in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{switch: {"Value": True}})
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    public = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=public, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)
    subnets = []
    for number, zone in enumerate(2 * ("us-east-1a", "us-east-1b")):
        cidr = f"{network}.{16 * number}.0/{prefix}"
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]
        subnets.append(subnet["SubnetId"])
    for subnet_id in subnets[:2]:
        ec2.associate_route_table(RouteTableId=public, SubnetId=subnet_id)
    main = [*where(vpc_id=vpc), {"Name": "association.main", "Values": ["true"]}]
    private = ec2.describe_route_tables(Filters=main)["RouteTables"][0]["RouteTableId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"]
    nat = made["NatGatewayId"]
    ec2.create_route(RouteTableId=private, DestinationCidrBlock=EVERYWHERE, NatGatewayId=nat)
    return UsersVpc(vpc, gateway, nat, public, private, subnets)


def users_vpc(name: str = "mine") -> str:
    """Make such a VPC and return its id."""
    return make_users_vpc(name).id
