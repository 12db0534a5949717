"""The IAM role of the EKS cluster: trust policy, managed policy, and IAM's slow spreading."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry, retry_not_found
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list, tags
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.errors import SetupError

CLUSTER_POLICY = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
"""https://docs.aws.amazon.com/eks/latest/userguide/cluster-iam-role.html"""


def trust_policy(service: str, *actions: str) -> str:
    """Return the trust policy that lets an AWS service assume a role, as JSON text."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(actions) if actions else "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass(frozen=True)
class ClusterRole(Step):
    """The role that EKS's control plane assumes."""

    name: str = "eks cluster role"
    part: str = "eks"
    adopted: bool = False

    def find(self, ctx: Context) -> Found | None:
        """Return the role; one of the same name without our tag is not ours to change."""
        items = ctx.inventory.all("eks cluster role")
        if not items:
            self._refuse_missing(ctx)
            return None
        role = items[0]
        drift = () if self.adopted else self._drift(ctx, role)
        return Found(role["Arn"], "available", {"role_name": role["RoleName"]}, drift)

    def _refuse_missing(self, ctx: Context) -> None:
        if self.adopted:
            raise SetupError(
                f"there is no IAM role {ctx.config.eks_iam_role_name}",
                "create_eks_iam_role is False, so it has to exist",
                "set create_eks_iam_role: True, or correct eks_iam_role_name",
            )

    def _drift(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        if tag_of(role, DEPLOYMENT_TAG) != ctx.config.deployment_name:
            owner = tag_of(role, DEPLOYMENT_TAG) or "somebody else"
            mend = "choose another eks_iam_role_name, or use it with create_eks_iam_role: False"
            return (Drift("owner", owner, ctx.config.deployment_name, mend, DriftKey.OWNER),)
        attached = ctx.aws.iam.list_attached_role_policies(RoleName=role["RoleName"])
        arns = {policy["PolicyArn"] for policy in attached["AttachedPolicies"]}
        if CLUSTER_POLICY not in arns:
            return (Drift("policy", "none", "AmazonEKSClusterPolicy"),)
        return ()

    def create(self, ctx: Context) -> Found:
        """Make the role and attach its policy."""
        name = ctx.config.eks_iam_role_name
        try:
            role: Any = ctx.aws.iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=trust_policy("eks.amazonaws.com"),
                Description="Assumed by the control plane of the EKS cluster of LambdaFS",
                Tags=as_list(tags(ctx.config, self.name)),  # type: ignore[arg-type]
            )["Role"]
        except ClientError as error:
            if error_code(error) != "EntityAlreadyExists":
                raise
            get = ctx.aws.iam.get_role
            role = retry_not_found(lambda: get(RoleName=name)["Role"], clock=ctx.clock)
            if tag_of(role, DEPLOYMENT_TAG) != ctx.config.deployment_name:
                raise
        return self.update(ctx, Found(role["Arn"], "available", {"role_name": name}))

    def update(self, ctx: Context, found: Found) -> Found:
        """Attach the policy."""
        ctx.aws.iam.attach_role_policy(
            RoleName=ctx.config.eks_iam_role_name, PolicyArn=CLUSTER_POLICY
        )
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Detach every policy and delete the role, when it carries this deployment's tag."""
        delete_role(ctx, ctx.config.eks_iam_role_name)


def delete_role(ctx: Context, name: str) -> None:
    """Detach and delete the policies of a role, and the role; gone already is fine."""
    iam = ctx.aws.iam
    try:
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
    except iam.exceptions.NoSuchEntityException:
        return
    # A repeat after a lost answer finds a policy gone: that says nothing about the role.
    for policy in attached:
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    for own in inline:
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.delete_role_policy(RoleName=name, PolicyName=own)
    delete_with_retry(
        ctx,
        f"IAM role {name}",
        lambda: iam.delete_role(RoleName=name),
        gone={"NoSuchEntity"},
    )
