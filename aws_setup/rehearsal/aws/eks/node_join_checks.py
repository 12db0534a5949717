"""Whether nodes can join their cluster: routes, access to the API server, and permissions.

https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html ("Nodes fail to join")
https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.eks import validation
from aws_setup.rehearsal.aws.eks.store import Cluster, Nodegroup, call_ec2
from aws_setup.rehearsal.core.types import Call, CloudApi

NODE_POLICIES = {
    "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
    "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy",
}
"""A node needs one of them to join (create-node-role page)."""


def _routes(cloud: CloudApi, call: Call, subnet_id: str, vpc_id: str) -> list[dict[str, Any]]:
    """Return the routes of a subnet: of its route table, else of the VPC's main table."""
    for name, value in (("association.subnet-id", subnet_id), ("association.main", "true")):
        filters = [{"Name": name, "Values": [value]}, {"Name": "vpc-id", "Values": [vpc_id]}]
        tables = call_ec2(cloud, call, "DescribeRouteTables", Filters=filters)["RouteTables"]
        if tables:
            return list(tables[0]["Routes"])
    return []


def _default_route(cloud: CloudApi, call: Call, subnet: dict[str, Any]) -> dict[str, Any]:
    """Return the subnet's active default route; empty for none."""
    for route in _routes(cloud, call, subnet["SubnetId"], subnet["VpcId"]):
        if route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("State") != "blackhole":
            return route
    return {}


def public_subnet_without_addresses(cloud: CloudApi, call: Call, group: Nodegroup) -> str:
    """Return a subnet with a route to the internet gateway that assigns no public address."""
    for subnet in validation.check_subnets(cloud, call, group.document["subnets"]):
        gateway = _default_route(cloud, call, subnet).get("GatewayId", "")
        if gateway.startswith("igw-") and not subnet["MapPublicIpOnLaunch"]:
            return str(subnet["SubnetId"])
    return ""


def can_join(
    cloud: CloudApi,
    call: Call,
    *,
    cluster: Cluster,
    group: Nodegroup,
    nodes: list[dict[str, Any]],
) -> bool:
    """Return whether the group's nodes reach the API server and are authorized."""
    subnets = validation.check_subnets(cloud, call, group.document["subnets"])
    if not all(_default_route(cloud, call, subnet) for subnet in subnets):
        return False
    return _can_reach_api_server(cloud, call, cluster, nodes) and _has_node_permissions(
        cloud, call, cluster, group
    )


def _can_reach_api_server(
    cloud: CloudApi, call: Call, cluster: Cluster, nodes: list[dict[str, Any]]
) -> bool:
    """Check the endpoint: private with DNS in the VPC, or public and open to the nodes."""
    if cluster.vpc["endpointPrivateAccess"]:
        return all(
            call_ec2(
                cloud, call, "DescribeVpcAttribute", VpcId=cluster.vpc["vpcId"], Attribute=name
            )[name[0].upper() + name[1:]]["Value"]
            for name in ("enableDnsSupport", "enableDnsHostnames")
        )
    allowed = [ipaddress.ip_network(cidr) for cidr in cluster.vpc["publicAccessCidrs"]]
    return all(
        any(ipaddress.ip_address(address) in network for network in allowed)
        for address in _source_addresses(cloud, call, nodes)
    )


def _source_addresses(cloud: CloudApi, call: Call, nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the public source addresses of the nodes."""
    gateways = call_ec2(cloud, call, "DescribeNatGateways")["NatGateways"]
    by_id = {gateway["NatGatewayId"]: gateway["NatGatewayAddresses"][0] for gateway in gateways}
    for node in nodes:
        route = _default_route(cloud, call, node)
        if route.get("NatGatewayId") in by_id:
            yield by_id[route["NatGatewayId"]]["PublicIp"]
        else:
            yield node.get("PublicIpAddress") or node["PrivateIpAddress"]


def _has_node_permissions(cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup) -> bool:
    """Check the node role: the worker policy, and an access entry of its unique id."""
    arn = group.document["nodeRole"]
    role = iam.visible_role(cloud, validation.check_role_arn(arn, call.account))
    if role is None or not NODE_POLICIES & iam.visible_policies(cloud, role):
        return False
    entry = cluster.entries.get(arn)
    return entry is None or entry.principal_id == role.id
