"""What a cluster puts into the user's VPC: its security group and its network interfaces.

https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.context import call_ec2
from aws_setup.rehearsal.eks.model import Cluster
from aws_setup.rehearsal.rules import AwsError, Call

INTERFACES = 2
"""Network interfaces of a control plane; EKS makes two to four of them, in different zones."""


def create_cluster_security_group(cloud: Cloud, call: Call, *, name: str, vpc_id: str) -> str:
    """Make the cluster security group, which lets its members talk to each other."""
    number = secrets.randbelow(10**10)
    made = call_ec2(
        cloud,
        call,
        "CreateSecurityGroup",
        GroupName=f"eks-cluster-sg-{name}-{number}",
        Description="EKS created security group applied to ENI that is attached to EKS Control "
        "Plane master nodes, as well as any managed workloads.",
        VpcId=vpc_id,
        TagSpecifications=_tags("security-group", name, number),
    )
    group_id = str(made["GroupId"])
    cloud.backend("ec2", call.region).create_tags([group_id], {"aws:eks:cluster-name": name})
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}
    call_ec2(
        cloud,
        call,
        "AuthorizeSecurityGroupIngress",
        GroupId=group_id,
        IpPermissions=[rule],
    )
    return group_id


def _tags(kind: str, name: str, number: int) -> list[dict[str, Any]]:
    tags = {
        "Name": f"eks-cluster-sg-{name}-{number}",
        f"kubernetes.io/cluster/{name}": "owned",
    }
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": listed}]


def create_control_plane_interfaces(
    cloud: Cloud, call: Call, *, name: str, subnets: Sequence[Mapping[str, Any]], groups: list[str]
) -> list[str]:
    """Make the control plane's network interfaces, each in another zone, and return their ids."""
    by_zone = {one["AvailabilityZone"]: one["SubnetId"] for one in reversed(subnets)}
    made = []
    for subnet_id in sorted(by_zone.values())[:INTERFACES]:
        answer = call_ec2(
            cloud,
            call,
            "CreateNetworkInterface",
            SubnetId=subnet_id,
            Groups=groups,
            Description=f"Amazon EKS {name}",
        )
        made.append(str(answer["NetworkInterface"]["NetworkInterfaceId"]))
    _attach(cloud, call, made)
    return made


def _attach(cloud: Cloud, call: Call, ids: Sequence[str]) -> None:
    """Mark the interfaces as attached by EKS: the user can neither detach nor delete them."""
    backend = cloud.backend("ec2", call.region)
    for one in ids:
        interface = backend.enis[one]
        interface.status = "in-use"
        interface.requester_managed = True


def remove_interfaces(cloud: Cloud, call: Call, cluster: Cluster) -> None:
    """Delete the control plane's interfaces; those that are gone already are fine."""
    backend = cloud.backend("ec2", call.region)
    for one in cluster.interfaces:
        if one in backend.enis:
            backend.enis[one].status = "available"
            call_ec2(cloud, call, "DeleteNetworkInterface", NetworkInterfaceId=one)
    cluster.interfaces.clear()


def remove_security_group(cloud: Cloud, call: Call, cluster: Cluster) -> None:
    """Delete the cluster security group; EKS leaves it behind when something still uses it."""
    group_id = cluster.vpc.get("clusterSecurityGroupId")
    try:
        if group_id:
            call_ec2(cloud, call, "DeleteSecurityGroup", GroupId=group_id)
    except AwsError as error:
        if error.code not in {"DependencyViolation", "InvalidGroup.NotFound"}:
            raise
