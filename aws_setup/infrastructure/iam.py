"""IAM roles with trust and managed policies, that of the EKS nodes among them."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry, wait_visible
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code
from aws_setup.aws.tag_drift import tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list, regional_setting, tags
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.blockers import blocked, users_of_role
from aws_setup.infrastructure.iam_policies import (
    EC2_PRINCIPALS,
    NODE_POLICIES,
    WIDER_POLICIES,
    managed_policy,
    trust_policy,
)
from aws_setup.infrastructure.permissions_boundary import boundary_argument, boundary_drift
from aws_setup.infrastructure.role_tags import TaggedRole, owner_drift, role_facts
from aws_setup.infrastructure.stale_entries import (
    NO_ENTRY,
    STALE,
    node_entry_drift,
    renew_node_entry,
)


def delete_role(ctx: Context, name: str) -> None:
    """Delete a role and its policies; a role that does not exist is fine.

    Raises:
        SetupError: an instance profile of others contains it; then it keeps its policies, too.
    """
    iam, what = ctx.aws.iam, f"IAM role {name}"
    refuse = blocked(ctx, users_of_role, name, what=what)
    refuse()
    try:
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
    except iam.exceptions.NoSuchEntityException:
        return
    # After a lost answer a policy may be gone already, while the role still exists.
    for policy in attached:
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    for policy_name in inline:
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
    delete_with_retry(
        ctx,
        what,
        lambda: iam.delete_role(RoleName=name),
        gone={"NoSuchEntity"},
        refused=refuse,
    )


class ManagedRole(TaggedRole, Step):
    """A role with a trust policy and managed policies; both are restored when they drift."""

    part = "eks"
    regional = False
    named_by: ClassVar[str]
    """The key of the configuration by which another role can be chosen."""
    replaced: tuple[str, ...] = ()
    """Names of AWS's policies that earlier versions attached and that are detached now."""

    @abstractmethod
    def role_name(self, ctx: Context) -> str:
        """Return the role's name."""

    @abstractmethod
    def trust(self, ctx: Context) -> str:
        """Return the trust policy, as JSON text."""

    @abstractmethod
    def policies(self) -> Sequence[Sequence[str]]:
        """Return groups of names of AWS's policies; the first of each that exists is attached."""

    @abstractmethod
    def used_in(self, ctx: Context, role: Item) -> str:
        """Return the region that the role's use proves; '' for none."""

    def find(self, ctx: Context) -> Found | None:
        """Return the role; one of the same name without this deployment's tag is a conflict."""
        name = self.role_name(ctx)
        try:
            role: Any = ctx.aws.iam.get_role(RoleName=name)["Role"]
        except ctx.aws.iam.exceptions.NoSuchEntityException:
            return None
        return Found(role["Arn"], "available", role_facts(role), self._drift(ctx, role))

    def _drift(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        if others := self.of_others(ctx, role):
            return others
        drift = [*boundary_drift(ctx, role)]
        attached = self._attached(ctx)
        if any(not set(group) & attached for group in self._policy_arns(ctx)):
            drift.append(Drift("policies", "incomplete", "as AWS requires"))
        if self._wider(ctx) & attached:
            drift.append(Drift("policies", "wider than needed", "as AWS requires"))
        if not self._trusts(ctx, role):
            policy = role["AssumeRolePolicyDocument"]
            drift.append(Drift("trust policy", "different", "this cluster's", replaces=policy))
        return tuple(drift)

    def of_others(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        """Return the conflict of a role that is not this deployment's in this region; else ().

        Another deployment needs the role that has its tag: nobody is told to delete that one.
        """
        fix = f"choose another {self.named_by}"
        if not tags_of(role).get(DEPLOYMENT_TAG):
            fix = f"{fix}, or delete the role {role['RoleName']} if nothing uses it"
        used = partial(self.used_in, ctx, role)
        return owner_drift(ctx, role, self.name, fix=fix, used_in=used)

    def _trusts(self, ctx: Context, role: Item) -> bool:
        if any(need not in ctx.found for need in self.needs):
            return True
        return bool(role["AssumeRolePolicyDocument"] == json.loads(self.trust(ctx)))

    def _policy_arns(self, ctx: Context) -> list[list[str]]:
        return [[managed_policy(ctx, name) for name in group] for group in self.policies()]

    def _wider(self, ctx: Context) -> set[str]:
        """Return the policies that another one replaces."""
        return {managed_policy(ctx, name) for name in self.replaced}

    def _attached(self, ctx: Context) -> set[str]:
        listed = ctx.aws.iam.list_attached_role_policies(RoleName=self.role_name(ctx))
        return {policy["PolicyArn"] for policy in listed["AttachedPolicies"]}

    def create(self, ctx: Context) -> Found:
        """Create the role and attach its policies."""
        iam, name = ctx.aws.iam, self.role_name(ctx)
        own = tags(ctx.config, self.name, region=ctx.aws.region)
        try:
            iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=self.trust(ctx),
                Description=f"{self.name} of the EKS cluster of LambdaFS",
                Tags=as_list(own),  # type: ignore[arg-type]
                **boundary_argument(ctx),
            )
        except ClientError as error:
            if error_code(error) != "EntityAlreadyExists":
                raise
        found = wait_visible(lambda: self.find(ctx), clock=ctx.clock)
        if found is None or any(drift.fix for drift in found.drift):
            raise SetupError(
                f"the IAM role {name} is not managed by this deployment",
                "it was created by another owner during this run",
                "run the same command again",
            )
        return self.update(ctx, found)

    def update(self, ctx: Context, found: Found) -> Found:
        """Attach missing policies and set the trust policy."""
        iam, name = ctx.aws.iam, self.role_name(ctx)
        attached = self._attached(ctx)
        for group in self._policy_arns(ctx):
            if not set(group) & attached:
                attach_first(ctx, name, group)
        # Only now, so that the nodes can pull images at every moment.
        for arn in self._wider(ctx) & attached:
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=self.trust(ctx))
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Detach every policy and delete the role."""
        delete_role(ctx, self.role_name(ctx))


def attach_first(ctx: Context, role: str, policies: Sequence[str]) -> None:
    """Attach the first of several managed policies that exists in this partition.

    Raises:
        SetupError: none of them exists.
    """
    for arn in policies:
        try:
            ctx.aws.iam.attach_role_policy(RoleName=role, PolicyArn=arn)
        except ctx.aws.iam.exceptions.NoSuchEntityException as error:
            if "policy" not in str(error.response["Error"].get("Message", "")).lower():
                raise  # The role is not visible yet.
            ctx.note(f"the policy {arn} does not exist")
            continue
        return
    raise SetupError(
        f"no policy was attached to {role}",
        f"AWS knows none of {', '.join(policies)}",
        "see docs/configure.md for the policy's text",
    )


def node_role_name(config: Config) -> str:
    """Return the name of the nodes' role; the default is unique in the region."""
    return regional_setting(config, "eks_node_role_name")


@dataclass(frozen=True)
class NodeRole(ManagedRole):
    """The role of the nodes, which EC2 assumes."""

    name: str = "node role"
    named_by = "eks_node_role_name"
    replaced: tuple[str, ...] = WIDER_POLICIES

    def role_name(self, ctx: Context) -> str:
        """Return the configured name; the default is unique in the region."""
        return node_role_name(ctx.config)

    def trust(self, ctx: Context) -> str:
        """Return the policy that lets EC2 assume it."""
        return trust_policy(EC2_PRINCIPALS.get(ctx.aws.partition, "ec2.amazonaws.com"))

    def used_in(self, ctx: Context, role: Item) -> str:
        """Return this region when a node group of the cluster has the role."""
        groups = ctx.inventory.all("node groups")
        used = any(group.get("nodeRole") == role["Arn"] for group in groups)
        return ctx.aws.region if used else ""

    def policies(self) -> Sequence[Sequence[str]]:
        """Return what a node needs, the network plug-in included."""
        return [[policy] for policy in NODE_POLICIES]

    def _drift(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        """Return what differs, the access entry that EKS created for its nodes included."""
        drift = super()._drift(ctx, role)
        if ctx.owned_only or any(item.fix for item in drift) or not cluster_of(ctx):
            return drift
        stale = node_entry_drift(ctx, role)
        return (*drift, stale) if stale else drift

    def update(self, ctx: Context, found: Found) -> Found:
        """Restore policies, trust and the access entry, without which no node can join."""
        updated = super().update(ctx, found)
        if any(drift.key == STALE for drift in found.drift):
            renew_node_entry(ctx, found.id)
        return updated

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the role, and the access entry that EKS created for its nodes.

        The entry remains after the nodes and contains the role's unique id: nodes of a later role
        with the same name could not join.
        """
        if cluster_of(ctx):
            try:
                ctx.aws.eks.delete_access_entry(
                    clusterName=ctx.config.eks_cluster_name, principalArn=found.id
                )
            except ClientError as error:
                if error_code(error) not in NO_ENTRY:
                    raise
        super().delete(ctx, found)
