"""Checks of a CreateCluster request.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.eks import responses
from aws_setup.rehearsal.aws.eks.store import call_ec2
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
CLUSTER_POLICY = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"


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
    if CLUSTER_POLICY not in iam.visible_policies(cloud, role):
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
