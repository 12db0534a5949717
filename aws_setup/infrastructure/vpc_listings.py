"""What of others can be in a VPC, as data: how it is listed, whose it is, and what deletes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SERVICES = (
    (r"AWS Lambda VPC ENI", "a Lambda function", "remove the VPC from the function's settings"),
    (r"RDSNetworkInterface", "an RDS database", "`aws rds delete-db-instance`"),
    (r"EFS mount target", "an EFS file system", "`aws efs delete-mount-target`"),
    (r"ElastiCache", "an ElastiCache cluster", "`aws elasticache delete-cache-cluster`"),
    (
        r"ELB (?:app|net|gwy)/([^/ ]+)/",
        "a load balancer",
        "`aws elbv2 delete-load-balancer --load-balancer-arn $(aws elbv2 describe-load-balancers "
        "--names {0} --query LoadBalancers[0].LoadBalancerArn --output text)`",
    ),
    (
        r"ELB (\S+)",
        "a load balancer",
        "`aws elb delete-load-balancer --load-balancer-name {}`",
    ),
    (r"RedshiftNetworkInterface", "a Redshift cluster", "`aws redshift delete-cluster`"),
    (r"DMSNetworkInterface", "AWS DMS", "`aws dms delete-replication-instance`"),
    (r"ClientVPN Endpoint", "Client VPN", "`aws ec2 disassociate-client-vpn-target-network`"),
    (r"Amazon EKS (\S+)", "another EKS cluster", "`aws eks delete-cluster --name {}`"),
    (
        r"Interface for NAT Gateway (nat-\w+)",
        "a NAT gateway",
        "`aws ec2 delete-nat-gateway --nat-gateway-id {}`",
    ),
    (
        r"Network Interface for Transit Gateway Attachment (tgw-attach-\w+)",
        "a transit gateway",
        "`aws ec2 delete-transit-gateway-vpc-attachment --transit-gateway-attachment-id {}`",
    ),
    (
        r"Route 53 Resolver: (rslvr-\w+-\w+)",
        "a Route 53 resolver",
        "`aws route53resolver delete-resolver-endpoint --resolver-endpoint-id {}`",
    ),
    (
        r"EC2 Instance Connect Endpoint.*?(eice-\w+)",
        "an EC2 Instance Connect Endpoint",
        "`aws ec2 delete-instance-connect-endpoint --instance-connect-endpoint-id {}`",
    ),
    (
        r"AWS created network interface for directory (d-\w+)",
        "a directory",
        "`aws ds delete-directory --directory-id {}`",
    ),
    (r"arn:aws[\w-]*:ecs:", "an ECS task", "`aws ecs delete-service`, or stop the task"),
)
"""Beginning of an interface's description (a pattern), what made it, and how that is deleted."""


def made_by(interface: Any, about: str) -> tuple[str, str]:
    """Return what an interface belongs to, and what deletes it."""
    for pattern, owner, fix in SERVICES:
        if match := re.match(pattern, about):
            return owner, fix.format(*match.groups())
    key = interface["NetworkInterfaceId"]
    owner = str(interface.get("RequesterId") or interface.get("OwnerId", ""))
    if interface.get("RequesterManaged"):
        # Only the service that made it can delete it.
        return owner, f"delete what {owner} made {key} for"
    return owner, f"`aws ec2 delete-network-interface --network-interface-id {key}`"


@dataclass(frozen=True)
class Listing:
    """What else keeps a VPC, or what is in it, from deletion, and the calls that list and end it.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpc.html
    """

    what: str
    operation: str
    key: str
    id_field: str
    command: str
    filter: str = "vpc-id"


LISTINGS = (
    Listing(
        "subnet",
        "describe_subnets",
        "Subnets",
        "SubnetId",
        "delete-subnet --subnet-id {}",
    ),
    Listing(
        "route table",
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        "delete-route-table --route-table-id {}",
    ),
    Listing(
        "network ACL",
        "describe_network_acls",
        "NetworkAcls",
        "NetworkAclId",
        "delete-network-acl --network-acl-id {}",
    ),
    Listing(
        "internet gateway",
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "detach-internet-gateway --internet-gateway-id {} --vpc-id {vpc}",
        filter="attachment.vpc-id",
    ),
    Listing(
        "VPN gateway",
        "describe_vpn_gateways",
        "VpnGateways",
        "VpnGatewayId",
        "detach-vpn-gateway --vpn-gateway-id {} --vpc-id {vpc}",
        filter="attachment.vpc-id",
    ),
    Listing(
        "egress-only internet gateway",
        "describe_egress_only_internet_gateways",
        "EgressOnlyInternetGateways",
        "EgressOnlyInternetGatewayId",
        "delete-egress-only-internet-gateway --egress-only-internet-gateway-id {}",
        filter="",
    ),
)
