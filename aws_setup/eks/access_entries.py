"""Access to the cluster: access entries of EKS, and the aws-auth ConfigMap beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, tags
from aws_setup.config.paths import aws_auth_backup_path
from aws_setup.eks.aws_auth import merged, needs_path, principal_of
from aws_setup.engine.receipt import write_private
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.kube.client import CONFIG_MAP, NAMESPACE, Json, KubeError
from aws_setup.kube.connect import active_cluster, cluster_of, kube_client

ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
"""https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html"""

MAX_CONFLICTS = 10
"""Tries to write aws-auth while others write it too."""


def admins(ctx: Context) -> Sequence[str]:
    """Return the principals that administer the cluster: as configured, and always the caller."""
    caller = principal_of(ctx.aws.identity.arn)
    if needs_path(caller):
        role = ctx.aws.iam.get_role(RoleName=caller.rsplit("/", 1)[-1])["Role"]
        caller = role["Arn"]
    return sorted({*ctx.config.cluster_admins, caller})


def mode_of(ctx: Context) -> str:
    """Return the cluster's authentication mode, '' when there is no cluster."""
    return str((cluster_of(ctx) or {}).get("accessConfig", {}).get("authenticationMode", ""))


@dataclass(frozen=True)
class AccessEntries(Step):
    """The access entries of the administrators, with AmazonEKSClusterAdminPolicy."""

    name: str = "cluster access"
    needs: tuple[str, ...] = ("eks cluster",)
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return who has access; None while none of the administrators has."""
        if active_cluster(ctx) is None:
            return None
        if ctx.owned_only:
            ours = self._ours(ctx)
            return Found(", ".join(ours), "available") if ours else None
        if mode_of(ctx) == "CONFIG_MAP":
            return Found("aws-auth only", "CONFIG_MAP", {"principals": []})
        listed = set(_list(ctx, associatedPolicyArn=ADMIN_POLICY))
        wanted = admins(ctx)
        missing = [arn for arn in wanted if arn not in listed]
        if len(missing) == len(wanted) and not self._ours(ctx):
            return None
        drift = tuple(Drift(f"access of {arn}", "none", "administrator") for arn in missing)
        there = [arn for arn in wanted if arn in listed]
        return Found(", ".join(there) or "none", "available", {"principals": there}, drift)

    def create(self, ctx: Context) -> Found:
        """Make an entry for each administrator that has none, and give it the policy."""
        for arn in admins(ctx):
            self._let_in(ctx, arn)
        return Found(", ".join(admins(ctx)), "available", {"principals": admins(ctx)}, ready=False)

    def _let_in(self, ctx: Context, arn: str) -> None:
        eks, cluster = ctx.aws.eks, ctx.config.eks_cluster_name
        try:
            eks.create_access_entry(
                clusterName=cluster,
                principalArn=arn,
                type="STANDARD",
                tags=tags(ctx.config, self.name),
            )
        except ClientError as error:
            if error_code(error) == "InvalidParameterException":
                raise SetupError(
                    f"EKS does not take {arn} as an administrator",
                    str(error.response["Error"].get("Message")),
                    "correct cluster_admins: the user or role must exist",
                ) from error
            if error_code(error) != "ResourceInUseException":
                raise
        eks.associate_access_policy(
            clusterName=cluster,
            principalArn=arn,
            policyArn=ADMIN_POLICY,
            accessScope={"type": "cluster"},
        )

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when Kubernetes lets the caller in: a new entry takes several seconds."""
        door = kube_client(ctx)

        def probe() -> Found | Pending:
            try:
                door.get(NAMESPACE, "kube-system")
            except KubeError as error:
                if error.status in (401, 403):
                    return Pending("the new access entry does not act yet")
                raise
            return Found(found.id, "available", found.facts)

        what = "Kubernetes lets you in"
        return wait_until(what, probe, clock=ctx.clock, deadline=180, pause=2, note=ctx.note)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the entries that this deployment made; the others stay."""
        for arn in self._ours(ctx):
            try:
                ctx.aws.eks.delete_access_entry(
                    clusterName=ctx.config.eks_cluster_name, principalArn=arn
                )
            except ctx.aws.eks.exceptions.ResourceNotFoundException:
                continue

    def _ours(self, ctx: Context) -> list[str]:
        cluster = ctx.config.eks_cluster_name
        found = []
        for arn in _list(ctx):
            answer: Any = ctx.aws.eks.describe_access_entry(clusterName=cluster, principalArn=arn)
            if tag_of(answer["accessEntry"], DEPLOYMENT_TAG) == ctx.config.deployment_name:
                found.append(arn)
        return found


def _list(ctx: Context, **more: str) -> list[str]:
    eks, cluster = ctx.aws.eks, ctx.config.eks_cluster_name
    try:
        return pages(eks, "list_access_entries", "accessEntries", clusterName=cluster, **more)
    except ClientError as error:
        if error_code(error) in ("ResourceNotFoundException", "InvalidRequestException"):
            return []
        raise


@dataclass(frozen=True)
class AwsAuth(Step):
    """The administrators in aws-auth, which clusters still read unless their mode is API."""

    name: str = "aws-auth"
    needs: tuple[str, ...] = ("cluster access", "node role", "invoker-nodes", "core-nodes")
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the ConfigMap, compared with what it should hold; None when there is none."""
        if active_cluster(ctx) is None:
            return None
        if mode_of(ctx) == "API":
            return Found("not read", "the cluster's mode is API")
        there = kube_client(ctx).get(CONFIG_MAP, "aws-auth", "kube-system")
        if there is None:
            return None
        data = dict(there.get("data") or {})
        missing = self._wanted(ctx, data) != data
        drift = (Drift("entries", "incomplete", "every administrator"),) if missing else ()
        return Found("kube-system/aws-auth", "available", {}, drift)

    def _wanted(self, ctx: Context, data: dict[str, str]) -> dict[str, str]:
        role = ctx.found.get("node role")
        return merged(data, admins=admins(ctx), node_roles=[role.id] if role else [])

    def create(self, ctx: Context) -> Found:
        """Read, merge and write with the version that was read, again while others write too."""
        door = kube_client(ctx)
        for attempt in range(1, MAX_CONFLICTS + 1):
            there = door.get(CONFIG_MAP, "aws-auth", "kube-system")
            if there is None:
                self._make(ctx)
                break
            data = dict(there.get("data") or {})
            wanted = self._wanted(ctx, data)
            if wanted == data:
                break
            back_up(ctx, there)
            try:
                door.replace(CONFIG_MAP, there | {"data": wanted}, "kube-system")
                break
            except KubeError as error:
                if error.status != 409 or attempt == MAX_CONFLICTS:
                    raise
                ctx.note("somebody else wrote aws-auth at the same time: reading it again")
                ctx.clock.sleep(0.5 * attempt)
        return Found("kube-system/aws-auth", "available")

    def _make(self, ctx: Context) -> None:
        body: Json = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "aws-auth", "namespace": "kube-system"},
            "data": self._wanted(ctx, {}),
        }
        kube_client(ctx).create(CONFIG_MAP, body, "kube-system")


def back_up(ctx: Context, config_map: Json) -> None:
    """Keep aws-auth as it was, in a file of the owner's beside the receipt."""
    version = config_map["metadata"].get("resourceVersion", "0")
    path = aws_auth_backup_path(ctx.config, version)
    write_private(path, yaml.safe_dump(config_map, sort_keys=False))
    ctx.note(f"aws-auth as it was is in {path}")
