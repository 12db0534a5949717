"""The IAM role of the EKS cluster, which its control plane assumes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import retry_not_found
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import as_list, tags
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.iam import delete_role
from aws_setup.infrastructure.iam_policies import (
    CLUSTER_POLICY,
    allows_service,
    managed_policy,
    trust_policy,
)
from aws_setup.infrastructure.permissions_boundary import boundary_argument, boundary_drift
from aws_setup.infrastructure.role_tags import TaggedRole, owner_drift, role_facts

CLUSTER_SERVICE = "eks.amazonaws.com"
"""The service that assumes the cluster's role."""

TRUST = "trust"
"""Key of the drift of a role that its service may not assume."""


@dataclass(frozen=True)
class ClusterRole(TaggedRole, Step):
    """The role that EKS's control plane assumes."""

    name: str = "eks cluster role"
    part: str = "eks"
    regional: bool = False
    adopted: bool = False

    def find(self, ctx: Context) -> Found | None:
        """Return the role; one of the same name without this deployment's tag is a conflict."""
        items = ctx.inventory.all("eks cluster role")
        if not items:
            self._refuse_missing(ctx)
            return None
        role = items[0]
        drift = () if self.adopted else self._drift(ctx, role)
        return Found(role["Arn"], "available", role_facts(role), drift)

    def _refuse_missing(self, ctx: Context) -> None:
        if self.adopted:
            raise SetupError(
                f"the IAM role {ctx.config.eks_iam_role_name} does not exist",
                "create_eks_iam_role is False, so it must exist",
                "set create_eks_iam_role: True, or correct eks_iam_role_name",
            )

    def _drift(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        fix = "choose another eks_iam_role_name, or use it with create_eks_iam_role: False"
        used = partial(self._used_in, ctx, role)
        if others := owner_drift(ctx, role, self.name, fix=fix, used_in=used):
            return others
        boundary = boundary_drift(ctx, role)
        attached = ctx.aws.iam.list_attached_role_policies(RoleName=role["RoleName"])
        arns = {policy["PolicyArn"] for policy in attached["AttachedPolicies"]}
        drift = [*boundary]
        if managed_policy(ctx, CLUSTER_POLICY) not in arns:
            drift.append(Drift("policy", "none", "AmazonEKSClusterPolicy"))
        if not allows_service(trust := role["AssumeRolePolicyDocument"], CLUSTER_SERVICE):
            drift.append(
                Drift("trust policy", "not EKS", CLUSTER_SERVICE, key=TRUST, replaces=trust)
            )
        return tuple(drift)

    def _used_in(self, ctx: Context, role: Item) -> str:
        clusters = ctx.inventory.all("eks cluster")
        used = any(cluster.get("roleArn") == role["Arn"] for cluster in clusters)
        return ctx.aws.region if used else ""

    def create(self, ctx: Context) -> Found:
        """Create the role and attach its policy."""
        name = ctx.config.eks_iam_role_name
        own = tags(ctx.config, self.name, region=ctx.aws.region)
        try:
            role: Any = ctx.aws.iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=trust_policy(CLUSTER_SERVICE),
                Description="Assumed by the control plane of the EKS cluster of LambdaFS",
                Tags=as_list(own),  # type: ignore[arg-type]
                **boundary_argument(ctx),
            )["Role"]
        except ClientError as error:
            if error_code(error) != "EntityAlreadyExists":
                raise
            get = ctx.aws.iam.get_role
            role = retry_not_found(lambda: get(RoleName=name)["Role"], clock=ctx.clock)
            if any(drift.fix for drift in self._drift(ctx, role)):
                raise
        return self.update(ctx, Found(role["Arn"], "available", {"role_name": name}))

    def update(self, ctx: Context, found: Found) -> Found:
        """Attach the policy, and let EKS assume the role where its trust policy does not."""
        iam, name = ctx.aws.iam, ctx.config.eks_iam_role_name
        iam.attach_role_policy(RoleName=name, PolicyArn=managed_policy(ctx, CLUSTER_POLICY))
        if any(drift.key == TRUST for drift in found.drift):
            trust = trust_policy(CLUSTER_SERVICE)
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Detach every policy and delete the role, when it carries this deployment's tag."""
        delete_role(ctx, ctx.config.eks_iam_role_name)
