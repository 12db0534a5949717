"""AWS's managed policies that the roles have, and the trust policies, as documents."""

from __future__ import annotations

import json
from typing import Any

from aws_setup.aws.context import Context

CLUSTER_POLICY = "AmazonEKSClusterPolicy"
"""https://docs.aws.amazon.com/eks/latest/userguide/cluster-iam-role.html"""


NODE_POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryPullOnly",
)
"""https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html"""

WIDER_POLICIES = ("AmazonEC2ContainerRegistryReadOnly",)
"""Policies of earlier versions that one of NODE_POLICIES replaces; detached once that is there."""

EBS_POLICIES = ("AmazonEBSCSIDriverPolicyV2", "service-role/AmazonEBSCSIDriverPolicy")
"""The recommended policy, and the older one where the first does not exist.

https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html
"""

AUDIENCE = "sts.amazonaws.com"
"""Audience of the tokens that EKS issues to service accounts."""


EC2_PRINCIPALS = {"aws-cn": "ec2.amazonaws.com.cn"}
"""Partition -> EC2's service principal where it is not ec2.amazonaws.com; EKS has one for all.

https://docs.amazonaws.cn/en_us/eks/latest/userguide/create-node-role.html
"""


def managed_policy(ctx: Context, name: str) -> str:
    """Return the ARN of a policy of AWS in the caller's partition; a path is part of its name."""
    return f"arn:{ctx.aws.partition}:iam::aws:policy/{name}"


def trust_policy(service: str, *actions: str) -> str:
    """Return the trust policy that lets an AWS service assume a role, as JSON text."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(actions) if actions else "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allows_service(trust: Any, service: str) -> bool:
    """Whether a trust policy lets a service assume a role, whatever conditions it has besides."""
    statements = trust.get("Statement") or []
    return any(
        statement.get("Effect") == "Allow"
        and "sts:AssumeRole" in _listed(statement.get("Action"))
        and service in _listed((statement.get("Principal") or {}).get("Service"))
        for statement in _listed(statements)
    )


def _listed(value: Any) -> list[Any]:
    """Return what a policy says as a single value or as a list."""
    return list(value) if isinstance(value, list) else [value]


def web_identity_trust(provider_arn: str, *, subject: str) -> str:
    """Return the trust policy that lets one service account of a cluster assume a role.

    https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    """
    issuer = provider_arn.split(":oidc-provider/", 1)[1]
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer}:aud": AUDIENCE, f"{issuer}:sub": subject}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
