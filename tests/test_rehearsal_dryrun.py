"""Dry runs that name what does not exist answer as the real call would.

EC2 API reference, common query parameters (DryRun) and client error codes.
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.server import RehearsalCloud
from tests.cloud import client, cloud, network, refused, settings

__all__ = ["cloud", "settings"]

GONE = "0123456789abcdef0"
VPC, SUBNET, GROUP = {"VpcId": f"vpc-{GONE}"}, {"SubnetId": f"subnet-{GONE}"}, f"sg-{GONE}"
TABLE, NAT = {"RouteTableId": f"rtb-{GONE}"}, {"NatGatewayId": f"nat-{GONE}"}
GATEWAY = {"InternetGatewayId": f"igw-{GONE}"}
OUT = {"DestinationCidrBlock": "0.0.0.0/0"}
HTTP = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "1.1.1.1/32"}]}
RULE = {"GroupId": GROUP, "IpPermissions": [HTTP]}
ZONE = {"CidrBlock": "10.0.0.0/20", "AvailabilityZone": "us-east-1a"}
INSTANCES = {"InstanceIds": [f"i-{GONE}"]}
ADDRESS = {"AllocationId": f"eipalloc-{GONE}"}
NO_VPC, NO_SUBNET = "InvalidVpcID.NotFound", "InvalidSubnetID.NotFound"
NO_GROUP, NO_TABLE = "InvalidGroup.NotFound", "InvalidRouteTableID.NotFound"
NO_GATEWAY, NO_INSTANCE = "InvalidInternetGatewayID.NotFound", "InvalidInstanceID.NotFound"
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("create_subnet", VPC | ZONE, NO_VPC),
    ("create_security_group", {"GroupName": "x", "Description": "x"} | VPC, NO_VPC),
    ("create_route_table", VPC, NO_VPC),
    ("attach_internet_gateway", GATEWAY | VPC, NO_VPC),
    ("describe_vpc_attribute", VPC | {"Attribute": "enableDnsSupport"}, NO_VPC),
    ("delete_vpc", VPC, NO_VPC),
    ("create_nat_gateway", SUBNET | {"ConnectivityType": "private"}, NO_SUBNET),
    ("describe_subnets", {"SubnetIds": [f"subnet-{GONE}"]}, NO_SUBNET),
    ("delete_subnet", SUBNET, NO_SUBNET),
    ("authorize_security_group_ingress", RULE, NO_GROUP),
    ("revoke_security_group_ingress", RULE, NO_GROUP),
    ("delete_security_group", {"GroupId": GROUP}, NO_GROUP),
    ("create_route", TABLE | OUT | {"GatewayId": f"igw-{GONE}"}, NO_TABLE),
    ("replace_route", TABLE | OUT | {"GatewayId": f"igw-{GONE}"}, NO_TABLE),
    ("delete_route_table", TABLE, NO_TABLE),
    (
        "disassociate_route_table",
        {"AssociationId": f"rtbassoc-{GONE}"},
        "InvalidAssociationID.NotFound",
    ),
    ("delete_internet_gateway", GATEWAY, NO_GATEWAY),
    ("delete_nat_gateway", NAT, "NatGatewayNotFound"),
    ("release_address", ADDRESS, "InvalidAllocationID.NotFound"),
    ("describe_instances", INSTANCES, NO_INSTANCE),
    ("start_instances", INSTANCES, NO_INSTANCE),
    ("terminate_instances", INSTANCES, NO_INSTANCE),
]


def test_unknown_ids(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    answers = [(name, refused(getattr(ec2, name), **call)) for name, call, _ in CASES]
    dry = [(name, refused(getattr(ec2, name), DryRun=True, **call)) for name, call, _ in CASES]
    assert dry == [(name, code) for name, _, code in CASES]
    assert answers == dry


def test_known_ids(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    net = network(ec2)
    before = cloud.snapshot()
    cidr = "10.0.16.0/20"
    calls: list[tuple[Any, dict[str, Any]]] = [
        (ec2.create_subnet, {"VpcId": net.vpc, "CidrBlock": cidr}),
        (ec2.create_route_table, {"VpcId": net.vpc}),
        (ec2.delete_security_group, {"GroupId": net.group}),
        (ec2.authorize_security_group_ingress, {"GroupId": net.group, "IpPermissions": [HTTP]}),
    ]
    for call, params in calls:
        assert refused(call, DryRun=True, **params) == "DryRunOperation"
    assert cloud.snapshot() == before
