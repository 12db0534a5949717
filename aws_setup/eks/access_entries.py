"""The administrators of the cluster, and their access entries in EKS."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from botocore.exceptions import ClientError

from aws_setup.aws.cluster import active_cluster, cluster_of
from aws_setup.aws.context import Context, Step
from aws_setup.aws.denials import is_denial
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import Aws, error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, tags
from aws_setup.config import Config
from aws_setup.eks.former_admins import entry_drift, mark_named, reason_of, remove_former
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.stale_entries import (
    STALE,
    delete_entry,
    describe_entry,
    renew_entry,
    stale_drift,
)
from aws_setup.kube.connect import kube_client
from aws_setup.kube.errors import NO_ACCESS
from aws_setup.kube.objects import NAMESPACE

ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
"""https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html"""

HINT_STALE = (
    "run the same command again; if your role or user was deleted and created again since it got "
    "access, delete its access entry first: aws eks delete-access-entry"
)

_LOCK = threading.Lock()
_ROLES: WeakKeyDictionary[Aws, str] = WeakKeyDictionary()
"""The ARN of the caller's role, read once in a run."""

_ASSUMED = re.compile(r"^arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+$")


CREATOR = "the cluster's creator"
"""Who has access where no access entry is wanted."""


def principal_of(arn: str) -> str | None:
    """Return the IAM principal of a caller's ARN: for an assumed-role session, its role.

    None for the root user and sessions of GetFederationToken, which get no access entry here: EKS
    takes no STS session, and the root user has access only to clusters that it has created.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessEntry.html
    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
    """
    session = _ASSUMED.match(arn)
    if session:
        partition, account, role = session.groups()
        return f"arn:{partition}:iam::{account}:role/{role}"
    if ":iam::" in arn and (":user/" in arn or ":role/" in arn):
        return arn
    return None


def admin_policy(ctx: Context) -> str:
    """Return the ARN of the administrators' access policy in the caller's partition."""
    return f"arn:{ctx.aws.partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}"


def admins(ctx: Context) -> Sequence[str]:
    """Return the principals that administer the cluster: as configured, and the caller if it can.

    Raises:
        SetupError: the caller's role may have a path that cannot be read.
    """
    caller = caller_principal(ctx.aws, ctx.config)
    return sorted({*ctx.config.cluster_admins, *([caller] if caller else [])})


def caller_principal(aws: Aws, config: Config) -> str | None:
    """Return the caller's IAM principal; a role's path is not in the ARN of its session.

    None for a caller that is neither a user nor a role.

    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html: the entry has to
    name the role with its path. A role of the same name in cluster_admins says it, too.

    Raises:
        SetupError: the role cannot be read, and cluster_admins does not name it.
    """
    caller = principal_of(aws.identity.arn)
    if caller is None or caller == aws.identity.arn:
        return caller
    name = caller.rsplit("/", 1)[-1]
    named = [arn for arn in config.cluster_admins if _is_role(arn, caller, name)]
    if named:
        return named[0]
    with _LOCK:
        if aws not in _ROLES:
            _ROLES[aws] = _whole_arn(aws, name)
        return _ROLES[aws]


def _whole_arn(aws: Aws, name: str) -> str:
    """Return a role's ARN with its path; raises SetupError when IAM does not tell it."""
    try:
        return str(aws.iam.get_role(RoleName=name)["Role"]["Arn"])
    except ClientError as error:
        if error_code(error) != "NoSuchEntity" and not is_denial(error_code(error)):
            raise
        raise SetupError(
            f"the whole ARN of your role {name} is not known",
            "the ARN of a session does not contain the role's path, and IAM did not answer: "
            f"{error.response['Error'].get('Message', error_code(error))}",
            "add the role's ARN, path included, to cluster_admins, or get the permission "
            "iam:GetRole",
        ) from error


def _is_role(arn: str, caller: str, name: str) -> bool:
    """Say whether an ARN is of the caller's role: role names are unique within an account."""
    account = caller.partition(":role/")[0]
    return arn.startswith(f"{account}:role/") and arn.endswith(f"/{name}")


def mode_of(ctx: Context) -> str:
    """Return the cluster's authentication mode, '' when there is no cluster."""
    return str((cluster_of(ctx) or {}).get("accessConfig", {}).get("authenticationMode", ""))


@dataclass(frozen=True)
class AccessEntries(Step):
    """The access entries of the administrators, with AmazonEKSClusterAdminPolicy."""

    name: str = "cluster access"
    needs: tuple[str, ...] = ("eks cluster",)
    part: str = "eks"
    ends_with: str = "eks cluster"

    def find(self, ctx: Context) -> Found | None:
        """Return the administrators that have access; None while none of them has."""
        if active_cluster(ctx) is None:
            return None
        if ctx.owned_only:
            owned = self._owned(ctx)
            return Found(", ".join(owned), "available") if owned else None
        if mode_of(ctx) == "CONFIG_MAP":
            return Found("aws-auth only", "CONFIG_MAP", {"principals": []})
        listed, desired = self._entries(ctx), admins(ctx)
        others = entry_drift(ctx, listed, desired)
        if not desired:
            return Found(CREATOR, "available", {"principals": []}, tuple(others))
        missing = [arn for arn in desired if arn not in listed]
        if len(missing) == len(desired) and not self._owned(ctx):
            return None
        granted = [arn for arn in desired if arn in listed]
        drift = (
            *(Drift(f"access of {arn}", "none", "administrator") for arn in missing),
            *(it for arn in granted if (it := stale_drift(ctx, arn, entry=listed[arn]))),
            *others,
        )
        return Found(", ".join(granted) or "none", "available", {"principals": granted}, drift)

    def _entries(self, ctx: Context) -> dict[str, Item]:
        """Return the access entries of all administrators of the cluster, whoever made them."""
        listed = _list(ctx, associatedPolicyArn=admin_policy(ctx))
        described = {arn: describe_entry(ctx, arn) for arn in listed}
        return {arn: entry for arn, entry in described.items() if entry}

    def update(self, ctx: Context, found: Found) -> Found:
        """Create missing entries, and those older than their principals; delete former ones.

        Former ones are of those whom cluster_admins has named and does not name any more.
        """
        stale = [drift.what for drift in found.drift if drift.key == STALE]
        for arn in admins(ctx):
            if any(what.endswith(f" {arn}") for what in stale):
                renew_entry(ctx, arn)
        created, entries = self.create(ctx), self._entries(ctx)
        mark_named(ctx, entries)
        remove_former(ctx, entries, admins(ctx))
        return created

    def create(self, ctx: Context) -> Found:
        """Create an entry for each administrator that has none, and associate the policy."""
        for arn in admins(ctx):
            self._grant_admin(ctx, arn)
        return Found(", ".join(admins(ctx)), "available", {"principals": admins(ctx)}, ready=False)

    def _grant_admin(self, ctx: Context, arn: str) -> None:
        eks, cluster = ctx.aws.eks, ctx.config.eks_cluster_name
        try:
            eks.create_access_entry(
                clusterName=cluster,
                principalArn=arn,
                type="STANDARD",
                tags=tags(ctx.config, self.name) | reason_of(ctx, arn),
            )
        except ClientError as error:
            if error_code(error) == "InvalidParameterException":
                raise SetupError(
                    f"EKS does not accept {arn} as an administrator",
                    str(error.response["Error"].get("Message")),
                    "correct cluster_admins: the user or role must exist",
                ) from error
            if error_code(error) != "ResourceInUseException":
                raise
        eks.associate_access_policy(
            clusterName=cluster,
            principalArn=arn,
            policyArn=admin_policy(ctx),
            accessScope={"type": "cluster"},
        )

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when Kubernetes accepts the caller: a new entry takes several seconds."""
        client = kube_client(ctx)

        def probe() -> Found | Pending:
            try:
                client.get(NAMESPACE, "kube-system")
            except NO_ACCESS as error:
                if caller_principal(ctx.aws, ctx.config) is None:
                    raise no_entry(ctx.aws.identity.arn) from error
                return Pending("the access entry has not taken effect yet")
            return Found(found.id, "available", found.facts)

        what = "Kubernetes accepts your credentials"
        return ctx.wait_until(what, probe, deadline=180, pause=2, hint=HINT_STALE)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the entries that this deployment created; all others stay."""
        for arn in self._owned(ctx):
            delete_entry(ctx, arn)

    def _owned(self, ctx: Context) -> list[str]:
        """Return the principals whose entries carry the tag of this deployment."""
        cluster = ctx.config.eks_cluster_name
        owned = []
        for arn in _list(ctx):
            answer: Any = ctx.aws.eks.describe_access_entry(clusterName=cluster, principalArn=arn)
            if tag_of(answer["accessEntry"], DEPLOYMENT_TAG) == ctx.config.deployment_name:
                owned.append(arn)
        return owned


def no_entry(arn: str) -> SetupError:
    """Return the error of a caller that Kubernetes does not accept and that can have no entry."""
    return SetupError(
        f"Kubernetes does not accept {arn}",
        "it is no IAM user or role, and has access only to a cluster that it has created",
        "use the credentials that created the cluster, or those of a user or role; add that to "
        "cluster_admins in a run with the credentials that created the cluster",
    )


def _list(ctx: Context, **more: str) -> list[str]:
    """Return the principals with entries; none where the cluster's mode has no entries."""
    eks, cluster = ctx.aws.eks, ctx.config.eks_cluster_name
    try:
        return pages(eks, "list_access_entries", "accessEntries", clusterName=cluster, **more)
    except ClientError as error:
        if error_code(error) in ("ResourceNotFoundException", "InvalidRequestException"):
            return []
        raise
