"""What a deployment's cluster leaves and destroy keeps: snapshots of volumes, and its logs.

Both are data that somebody wanted to keep, and both are billed. So they are named, with what they
cost and the commands that delete them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, delete_command, tag_of
from aws_setup.aws.pricing import HOURS_A_MONTH, TABLE
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, cluster_tag
from aws_setup.errors import Problem

GIB = 2**30

LOG_USD = 0.03
"""US dollars a month for a GB of stored logs: https://aws.amazon.com/cloudwatch/pricing/"""


def warn_of_kept_data(ctx: Context, *, logged: bool = False) -> None:
    """Warn of what the cluster of the configured name has left; its deletion deletes none of it.

    Args:
        ctx: the context.
        logged: whether its logs were enabled to the end; they are named even if AWS does not say
            what exists.
    """
    for group in advice(lambda: _log_groups(ctx), lambda _: [_group(ctx, {})] if logged else []):
        ctx.warn(group)
    for problem in advice(lambda: _snapshots(ctx), lambda _: []):
        ctx.warn(problem)


def _log_groups(ctx: Context) -> list[Problem]:
    """Return a warning about each log group that EKS has made, also where no logs are enabled now.

    EKS makes the group when logs are enabled, gives it no tags, and keeps it when they are
    disabled: https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
    """
    logs, prefix = ctx.aws.client("logs"), f"/aws/eks/{ctx.config.eks_cluster_name}/"
    listed = pages(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    return [_group(ctx, item) for item in listed]


def _group(ctx: Context, group: Item) -> Problem:
    name = group.get("logGroupName", f"/aws/eks/{ctx.config.eks_cluster_name}/cluster")
    size = f" ({group['storedBytes'] / GIB:.2f} GiB)" if "storedBytes" in group else ""
    command = f"aws logs delete-log-group --log-group-name {name} --region {ctx.aws.region}"
    why = (
        f"it has the cluster's logs{size}, is billed by CloudWatch (${LOG_USD} a month for each "
        "GB), and is not deleted with the cluster"
    )
    return Problem(f"the log group {name} stays", why, f"delete it with `{command}`")


def _snapshots(ctx: Context) -> list[Problem]:
    """Return the warning about the snapshots that the cluster made for users' VolumeSnapshots.

    The EBS CSI driver tags volumes and snapshots with the cluster's name:
    https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md
    """
    filters: Any = [{"Name": f"tag:{cluster_tag(ctx.config)}", "Values": ["owned"]}]
    found = pages(
        ctx.aws.ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters
    )
    deployment = ctx.config.deployment_name
    kept = [item for item in found if tag_of(item, DEPLOYMENT_TAG) in ("", deployment)]
    return [_kept(ctx, kept)] if kept else []


def _kept(ctx: Context, snapshots: Sequence[Item]) -> Problem:
    ids = [str(item["SnapshotId"]) for item in snapshots]
    size = sum(int(item["VolumeSize"]) for item in snapshots)
    usd = size * TABLE["snapshot-gib"] * HOURS_A_MONTH
    why = (
        f"EKS cluster {ctx.config.eks_cluster_name}, or an earlier one of that name, made them; "
        f"they are billed, at most ${usd:.2f} a month for {size} GiB"
    )
    commands = "; ".join(f"`{delete_command(each)}`" for each in ids)
    return Problem(
        f"snapshots of the cluster's volumes are kept: {', '.join(ids)}",
        why,
        f"if nobody needs them: {commands}",
    )
