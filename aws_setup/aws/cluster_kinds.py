"""Kinds of the inventory that are found by names: the cluster's, and what AWS makes for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aws_setup.aws.filters import literal
from aws_setup.aws.session import Aws, pages
from aws_setup.config import Config

Item = Mapping[str, Any]

MANAGED_GROUPS = "managed security groups"
"""Kind of the groups that AWS makes: the VPCs' default ones, the cluster's own (EKS), and those of
Classic Load Balancers (Kubernetes). One call lists them: they are told apart by their names.

https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html
"""

BALANCER_GROUP = "k8s-elb-"
"""Start of the name of the security group that Kubernetes makes for a Classic Load Balancer.

It changes the rules of that one alone, and not of a group that the Service names:
buildELBSecurityGroupList in github.com/kubernetes/cloud-provider-aws (pkg/providers/v1/aws.go).
"""

LOAD_BALANCERS = "classic load balancers"
"""Kind of the Classic Load Balancers of the region, which Kubernetes makes for Services."""


def managed_groups(aws: Aws, config: Config) -> list[Item]:
    """Read the security groups that have no tag of the deployment, in all VPCs of the region."""
    cluster = f"eks-cluster-sg-{literal(config.eks_cluster_name)}-*"
    filters = [{"Name": "group-name", "Values": ["default", cluster, f"{BALANCER_GROUP}*"]}]
    return pages(aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)


def load_balancers(aws: Aws, config: Config) -> list[Item]:
    """Read the Classic Load Balancers of the region."""
    return pages(aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")


def eks_cluster(aws: Aws, config: Config) -> list[Item]:
    """Read the cluster of the configured name."""
    try:
        return [aws.eks.describe_cluster(name=config.eks_cluster_name)["cluster"]]
    except aws.eks.exceptions.ResourceNotFoundException:
        return []


def node_groups(aws: Aws, config: Config) -> list[Item]:
    """Read the node groups of the cluster."""
    cluster = config.eks_cluster_name
    try:
        names = pages(aws.eks, "list_nodegroups", "nodegroups", clusterName=cluster)
    except aws.eks.exceptions.ResourceNotFoundException:
        return []
    found: list[Item] = []
    for name in map(str, names):
        # It may have been deleted since it was listed.
        with suppress(aws.eks.exceptions.ResourceNotFoundException):
            asked = aws.eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)
            found.append(asked["nodegroup"])
    return found


def cluster_role(aws: Aws, config: Config) -> list[Item]:
    """Read the role of the configured name."""
    try:
        return [aws.iam.get_role(RoleName=config.eks_iam_role_name)["Role"]]
    except aws.iam.exceptions.NoSuchEntityException:
        return []
