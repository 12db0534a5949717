"""Whether what has the cluster's tag is this deployment's: a cluster's name alone proves nothing.

EKS has one cluster of a name in a region at a time. A colleague may have had one of this name
before, or may have it now, and what such a cluster has made carries the same tag. So the tag counts
where the cluster is this deployment's, and only inside of the deployment's VPC or for what is not
older than that cluster.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, cluster_tag

CONTROLLER_TAG = "elbv2.k8s.aws/cluster"
"""Tag key of all that the AWS Load Balancer Controller makes; the value is the cluster's name.

pkg/deploy/tracking/provider.go in github.com/kubernetes-sigs/aws-load-balancer-controller
"""


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
    by_controller = tag_of(item, CONTROLLER_TAG) == ctx.config.eks_cluster_name
    return by_controller or tag_of(item, cluster_tag(ctx.config)) == "owned"


def own_cluster(ctx: Context) -> Item | None:
    """Return the deployment's cluster, if it existed when the run asked for it."""
    cluster = cluster_of(ctx)
    return cluster if cluster and _is_own(ctx, cluster) else None


def made_by_own_cluster(ctx: Context, item: Item, *, since: datetime) -> bool:
    """Whether the tags and the time of something say that the deployment's cluster made it."""
    cluster = own_cluster(ctx)
    return (
        cluster is not None
        and has_cluster_tag(ctx, item)
        and not tag_of(item, DEPLOYMENT_TAG)
        and since >= cluster["createdAt"].replace(microsecond=0)  # EC2 may tell whole seconds.
    )


def volumes(ctx: Context, *states: str) -> list[Item]:
    """Return the volumes of this deployment and of its cluster.

    The StorageClass of the deployment tags its volumes. Those of other classes have the tag of the
    cluster alone: they are the cluster's while it exists, and as far as they are not older.

    Args:
        ctx: the context.
        states: the states of EC2 that count; none for all.
    """
    found = _tagged(ctx, DEPLOYMENT_TAG, ctx.config.deployment_name, states)
    if own_cluster(ctx):
        found += [
            volume
            for volume in _untagged(ctx, states)
            if made_by_own_cluster(ctx, volume, since=volume["CreateTime"])
        ]
    return found


def find_volumes(ctx: Context) -> tuple[list[Item], list[Item]]:
    """Return the volumes of this deployment and its cluster, and those in doubt, in every state.

    In doubt are those that a cluster of the configured name made, where nothing says which one;
    none while that name is the one of a cluster of others.
    """
    certain = _tagged(ctx, DEPLOYMENT_TAG, ctx.config.deployment_name, ())
    doubtful: list[Item] = []
    for volume in _untagged(ctx, ()) if owns_cluster(ctx) else ():
        own = made_by_own_cluster(ctx, volume, since=volume["CreateTime"])
        (certain if own else doubtful).append(volume)
    return certain, doubtful


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
