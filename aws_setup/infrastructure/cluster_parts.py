"""Whether what has the cluster's tag is this deployment's: a cluster's name alone proves nothing.

EKS has one cluster of a name in a region at a time. A colleague may have had one of this name
before, or may have it now, and what such a cluster has made carries the same tag. So the tag counts
where the cluster is this deployment's, and only inside of the deployment's VPC or for what is not
older than that cluster.
"""

from __future__ import annotations

from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, cluster_tag


def owns_cluster(ctx: Context) -> bool:
    """Whether the cluster of the configured name is this deployment's, or was if it is gone."""
    clusters = ctx.inventory.all("eks cluster")
    return all(_is_own(ctx, it) for it in clusters) if clusters else ctx.config.create_eks_cluster


def is_part(ctx: Context, item: Item) -> bool:
    """Whether the tags of something in the deployment's VPC are the deployment's or its cluster's.

    What carries another deployment's tag is not, whatever cluster it names.
    """
    owner = tag_of(item, DEPLOYMENT_TAG)
    return owner == ctx.config.deployment_name or (
        not owner and has_cluster_tag(ctx, item) and owns_cluster(ctx)
    )


def has_cluster_tag(ctx: Context, item: Item) -> bool:
    """Whether a cluster of the configured name made it: this deployment's, or another one."""
    return tag_of(item, cluster_tag(ctx.config)) == "owned"


def volumes(ctx: Context, *states: str) -> list[Item]:
    """Return the volumes of this deployment and of its cluster.

    The StorageClass of the deployment tags its volumes. Those of other classes have the tag of the
    cluster alone: they are the cluster's while it exists, and as far as they are not older.

    Args:
        ctx: the context.
        states: the states of EC2 that count; none for all.
    """
    found = _tagged(ctx, DEPLOYMENT_TAG, ctx.config.deployment_name, states)
    for cluster in ctx.inventory.all("eks cluster"):
        if _is_own(ctx, cluster):
            since = cluster["createdAt"].replace(microsecond=0)  # EC2 may tell whole seconds.
            untagged = _untagged(ctx, states)
            found += [volume for volume in untagged if volume["CreateTime"] >= since]
    return found


def doubtful_volumes(ctx: Context) -> list[Item]:
    """Return the volumes that a cluster of the configured name made, and nothing says which one.

    None while that name is the one of a cluster of others.
    """
    if not owns_cluster(ctx):
        return []
    certain = {volume["VolumeId"] for volume in volumes(ctx)}
    return [item for item in _untagged(ctx, ()) if item["VolumeId"] not in certain]


def _is_own(ctx: Context, item: Item) -> bool:
    return tag_of(item, DEPLOYMENT_TAG) == ctx.config.deployment_name


def _untagged(ctx: Context, states: tuple[str, ...]) -> list[Item]:
    found = _tagged(ctx, cluster_tag(ctx.config), "owned", states)
    return [volume for volume in found if not tag_of(volume, DEPLOYMENT_TAG)]


def _tagged(ctx: Context, tag: str, value: str, states: tuple[str, ...]) -> list[Item]:
    filters: list[Any] = [{"Name": f"tag:{tag}", "Values": [value]}]
    if states:
        filters.append({"Name": "status", "Values": [*states]})
    return pages(ctx.aws.ec2, "describe_volumes", "Volumes", Filters=filters)
