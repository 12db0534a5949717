"""The deployment's cluster, as EKS describes it."""

from __future__ import annotations

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item


def cluster_of(ctx: Context, *, fresh: bool = False) -> Item | None:
    """Return the cluster as EKS describes it; None when it does not exist."""
    items = ctx.inventory.all("eks cluster", fresh=fresh)
    return items[0] if items else None


def active_cluster(ctx: Context) -> Item | None:
    """Return the cluster when its API server is running; None when it is not."""
    cluster = cluster_of(ctx)
    return cluster if cluster and cluster.get("endpoint") and is_active(cluster) else None


def is_active(cluster: Item) -> bool:
    """Say whether EKS runs the cluster's API server."""
    return cluster["status"] in ("ACTIVE", "UPDATING")
