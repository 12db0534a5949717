"""Checks of a CreateCluster request, and whether nodes can join their cluster.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html ("Nodes fail to join")
https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.eks import responses
from aws_setup.rehearsal.aws.eks.store import Cluster, Nodegroup, call_ec2
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

NAME = re.compile(r"^[0-9A-Za-z][A-Za-z0-9\-_]{0,99}$")
ROLE_ARN = re.compile(r"^arn:aws[\w-]*:iam::(\d{12}):role/(.+)$")
UNSUPPORTED_ZONE_IDS = ("use1-az3", "usw1-az2", "cac1-az3")
"""Zones without control planes of EKS (network requirements page)."""
MAX_CIDRS = 40
PRIVATE = tuple(
    ipaddress.IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
"""Private ranges, which are not public source addresses."""
CLUSTER_POLICY = "AmazonEKSClusterPolicy"


def check_name(value: str) -> None:
    """Check the name of a cluster or of a node group."""
    if not NAME.match(value):
        raise responses.invalid_parameter(
            f"The name '{value}' is not valid: it must begin with a letter or digit and have "
            "only letters, digits, hyphens and underscores, at most 100"
        )


def check_role_arn(arn: str, account: str) -> str:
    """Check the form and the account of a role ARN and return the role's name."""
    form = ROLE_ARN.match(arn)
    if not form:
        raise responses.invalid_parameter(f"Invalid role ARN: {arn}")
    if form[1] != account:
        raise AwsError(
            "AccessDeniedException", "Cross-account pass role is not allowed.", status=403
        )
    return form[2].rsplit("/", 1)[-1]


def check_cluster_role(cloud: CloudApi, call: Call, arn: str) -> None:
    """Check that EKS can assume the cluster's role and that it has the cluster policy."""
    name = check_role_arn(arn, call.account)
    iam.check_pass_role(cloud, call, arn)
    role = iam.visible_role(cloud, name)
    if role is None or not iam.trusts(role, "eks.amazonaws.com"):
        raise responses.invalid_parameter(
            f"Role with arn: {arn}, could not be assumed because it does not exist or the "
            "trusted entity is not correct"
        )
    if not iam.has_managed_policy(cloud, role, {CLUSTER_POLICY}):
        raise responses.invalid_parameter(
            "The provided role doesn't have the Amazon EKS Managed Policies associated with it. "
            f"Please ensure the following policy is attached: {CLUSTER_POLICY}"
        )


def check_subnets(cloud: CloudApi, call: Call, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the subnets of a request; rejects unknown subnets and several VPCs."""
    if not ids:
        raise responses.invalid_parameter("subnets can not be empty")
    try:
        found = call_ec2(cloud, call, "DescribeSubnets", SubnetIds=list(ids))["Subnets"]
    except AwsError as error:
        raise responses.invalid_parameter(
            f"{error.message} (Service: AmazonEC2; Status Code: 400; Error Code: {error.code})"
        ) from error
    if len({item["VpcId"] for item in found}) > 1:
        raise responses.invalid_parameter("Subnets specified must be in the same VPC")
    return list(found)


def check_zones(cloud: CloudApi, call: Call, found: Sequence[Mapping[str, Any]]) -> None:
    """Check that a cluster's subnets are in two or more zones, all supported by EKS."""
    names = {item["AvailabilityZone"] for item in found}
    for item in found:
        if item["AvailabilityZoneId"] in UNSUPPORTED_ZONE_IDS:
            raise _unsupported(call, item["AvailabilityZone"], _valid_zones(cloud, call))
    if len(names) < 2:
        raise responses.invalid_parameter("Subnets specified must be in at least two different AZs")


def _valid_zones(cloud: CloudApi, call: Call) -> list[str]:
    zones = call_ec2(cloud, call, "DescribeAvailabilityZones")["AvailabilityZones"]
    return [zone["ZoneName"] for zone in zones if zone["ZoneId"] not in UNSUPPORTED_ZONE_IDS]


def _unsupported(call: Call, zone: str, valid: list[str]) -> AwsError:
    cluster = call.params["name"]
    return AwsError(
        "UnsupportedAvailabilityZoneException",
        f"Cannot create cluster '{cluster}' because {zone}, the targeted availability zone, does "
        "not currently have sufficient capacity to support the cluster. Retry and choose from "
        f"these availability zones: {', '.join(valid)}",
        status=400,
        extra={"clusterName": cluster, "validZones": valid},
    )


def check_security_groups(cloud: CloudApi, call: Call, ids: Sequence[str], vpc_id: str) -> None:
    """Check that the additional security groups exist in the VPC of the subnets."""
    if not ids:
        return
    try:
        groups = call_ec2(cloud, call, "DescribeSecurityGroups", GroupIds=list(ids))
    except AwsError as error:
        raise responses.invalid_parameter(error.message) from error
    others = [group["GroupId"] for group in groups["SecurityGroups"] if group["VpcId"] != vpc_id]
    if others:
        raise responses.invalid_parameter(
            f"Security group(s) {others} are not in the same VPC as the subnets"
        )


def check_endpoint(public: bool, private: bool, cidrs: Sequence[str]) -> None:
    """Check the endpoint access: at least one endpoint, at most 40 public CIDRs.

    https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
    """
    if not public and not private:
        raise responses.invalid_parameter("Private and public endpoint access cannot be disabled")
    if len(cidrs) > MAX_CIDRS:
        raise responses.invalid_parameter(f"At most {MAX_CIDRS} public access CIDRs are allowed")
    for cidr in cidrs:
        _cidr(cidr)


def _cidr(cidr: str) -> None:
    try:
        network = ipaddress.ip_network(cidr)
    except ValueError as error:
        raise responses.invalid_parameter(
            f"The following CIDRs are not valid in publicAccessCidrs: {cidr}"
        ) from error
    if any(network.version == 4 and network.subnet_of(item) for item in PRIVATE):
        raise responses.invalid_parameter(
            f"The following CIDRs are reserved and not allowed in publicAccessCidrs: {cidr}"
        )


NODE_POLICIES = {
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKSWorkerNodeMinimalPolicy",
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
    for subnet in check_subnets(cloud, call, group.document["subnets"]):
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
    subnets = check_subnets(cloud, call, group.document["subnets"])
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
    role = iam.visible_role(cloud, check_role_arn(arn, call.account))
    if role is None or not iam.has_managed_policy(cloud, role, NODE_POLICIES):
        return False
    entry = cluster.entries.get(arn)
    return entry is None or entry.principal_id == role.id
