"""Access entries that no longer give access: older than their IAM principal, or deleted.

EKS binds an entry to the unique id of the role or user. One that was deleted and created again has
the same ARN and another id, and Kubernetes answers it 401 until its entry is created again, too.
https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.aws.denials import is_denial
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code, pages
from aws_setup.engine.step import Drift
from aws_setup.engine.wait import Pending

NO_ENTRY = ("ResourceNotFoundException", "InvalidRequestException")
"""No such access entry exists, or the cluster's authentication mode has none."""

STALE = "stale access entry"
"""Key of the drift of an entry that has to be created again."""

NODE_ENTRY = "EC2_LINUX"
"""Type of the entry that EKS makes for the role of managed nodes."""

HAVE_NODES = ("ACTIVE", "DEGRADED", "UPDATING")
"""States of a node group whose entry EKS has made."""


def stale_drift(
    ctx: Context, arn: str, *, created: datetime | None = None, entry: Item | None = None
) -> Drift | None:
    """Return the drift of a principal whose access entry is older than the principal itself.

    Args:
        ctx: the context of the run.
        arn: the principal.
        created: when IAM created the principal, where the caller knows it.
        entry: its access entry, where the caller knows it.
    """
    entry = entry or describe_entry(ctx, arn)
    if entry is None:
        return None
    made = created or principal_created(ctx, arn)
    if made is None or entry["createdAt"] >= made:
        return None
    kind = "user" if ":user/" in arn else "role"
    day = f"{entry['createdAt']:%Y-%m-%d}"
    has = f"of {day}, older than the {kind}, which was deleted and created again"
    return Drift(f"access entry of {arn}", has, "a new entry", key=STALE)


def node_entry_drift(ctx: Context, role: Item) -> Drift | None:
    """Return the drift of the entry that EKS makes for a node role: stale, or deleted by hand.

    Without it the kubelets of nodes that run are refused, and EKS does not make it again.
    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
    """
    arn = str(role["Arn"])
    if entry := describe_entry(ctx, arn):
        return stale_drift(ctx, arn, created=role["CreateDate"], entry=entry)
    mode = ((cluster_of(ctx) or {}).get("accessConfig") or {}).get("authenticationMode")
    if mode in (None, "CONFIG_MAP"):
        return None
    groups = ctx.inventory.all("node groups")
    nodes = [it for it in groups if it["nodeRole"] == arn and it["status"] in HAVE_NODES]
    return Drift(f"access entry of {arn}", "none", "one for nodes", key=STALE) if nodes else None


def renew_node_entry(ctx: Context, arn: str) -> None:
    """Create the access entry of a node role again, also where none is left of the former one."""
    if describe_entry(ctx, arn):
        renew_entry(ctx, arn)
        return
    cluster = ctx.config.eks_cluster_name
    entry = {"clusterName": cluster, "principalArn": arn, "type": NODE_ENTRY}
    _create(ctx, entry)


def describe_entry(ctx: Context, arn: str) -> Item | None:
    """Return the access entry of a principal; None where there is none."""
    try:
        answer: Any = ctx.aws.eks.describe_access_entry(
            clusterName=ctx.config.eks_cluster_name, principalArn=arn
        )
    except ClientError as error:
        if error_code(error) not in NO_ENTRY:
            raise
        return None
    entry: Item = answer["accessEntry"]
    return entry


def principal_created(ctx: Context, arn: str) -> datetime | None:
    """Return when IAM created a role or user; None where IAM does not tell, as of other accounts.

    An older entry is only suspected then, and is left as it is.
    """
    iam, name = ctx.aws.iam, arn.rsplit("/", 1)[-1]
    if arn.split(":")[4] != ctx.aws.identity.account:
        return None
    try:
        if ":user/" in arn:
            return iam.get_user(UserName=name)["User"]["CreateDate"]
        return iam.get_role(RoleName=name)["Role"]["CreateDate"]
    except ClientError as error:
        if error_code(error) != "NoSuchEntity" and not is_denial(error_code(error)):
            raise
        return None


def renew_entry(ctx: Context, arn: str) -> None:
    """Create an access entry again, with the groups, policies and tags of the former one.

    A copy of the former one is kept before it is deleted.
    """
    entry = describe_entry(ctx, arn)
    if entry is None:
        return
    policies = keep_entry(ctx, entry)
    delete_entry(ctx, arn)
    eks, cluster = ctx.aws.eks, ctx.config.eks_cluster_name
    ctx.wait_until(
        f"EKS accepts the new access entry of {arn}",
        lambda: _create(ctx, entry),
        deadline=60,
        pause=2,
    )
    for policy in policies:
        eks.associate_access_policy(
            clusterName=cluster,
            principalArn=arn,
            policyArn=policy["policyArn"],
            accessScope=policy["accessScope"],
        )


def keep_entry(ctx: Context, entry: Item) -> list[Any]:
    """Keep a copy of an access entry that is going to be deleted; return its access policies."""
    arn = str(entry["principalArn"])
    policies = _policies(ctx, arn)
    name = f"access entry {arn.rsplit('/', 1)[-1]}"
    ctx.keep(name, {"accessEntry": dict(entry), "associatedAccessPolicies": policies})
    return policies


def delete_entry(ctx: Context, arn: str) -> None:
    """Delete the access entry of a principal; none is fine."""
    try:
        ctx.aws.eks.delete_access_entry(clusterName=ctx.config.eks_cluster_name, principalArn=arn)
    except ClientError as error:
        if error_code(error) not in NO_ENTRY:
            raise


def _policies(ctx: Context, arn: str) -> list[Any]:
    return pages(
        ctx.aws.eks,
        "list_associated_access_policies",
        "associatedAccessPolicies",
        clusterName=ctx.config.eks_cluster_name,
        principalArn=arn,
    )


def _create(ctx: Context, entry: Item) -> bool | Pending:
    try:
        ctx.aws.eks.create_access_entry(**entry_request(entry))
    except ClientError as error:
        if error_code(error) != "ResourceInUseException":
            raise
        return Pending("EKS still has the former one")
    return True


def entry_request(entry: Item) -> dict[str, Any]:
    """Return the CreateAccessEntry request of an entry like a former one.

    EKS sets groups and user name of all types but STANDARD itself, and a default user name of
    STANDARD contains the ARN, which EKS does not accept from others.
    """
    request: dict[str, Any] = {
        "clusterName": entry["clusterName"],
        "principalArn": entry["principalArn"],
        "type": entry["type"],
        "tags": dict(entry.get("tags") or {}),
    }
    if entry["type"] == "STANDARD":
        request["kubernetesGroups"] = list(entry.get("kubernetesGroups") or [])
        if not str(entry.get("username", "")).startswith("arn:"):
            request["username"] = entry["username"]
    return request
