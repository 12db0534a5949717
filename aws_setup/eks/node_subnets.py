"""The subnets in which the nodes of the cluster are launched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.errors import SetupError
from aws_setup.infrastructure.subnet_routes import is_public, route_tables


def node_subnets(ctx: Context) -> list[str]:
    """Return the cluster's subnets for nodes: private ones unless eks_nodes_public is set.

    Raises:
        SetupError: the cluster has no subnet of that kind.
    """
    public = ctx.config.eks_nodes_public
    ids = _network(ctx).get("subnetIds", [])
    matching = of_kind(ctx, ids, public=public)
    if not matching:
        raise SetupError(
            f"the cluster has no {'public' if public else 'private'} subnets",
            f"its subnets are {', '.join(ids) or 'unknown'}",
            f"set eks_nodes_public: {not public}",
        )
    return sorted(matching)


def of_kind(ctx: Context, ids: Iterable[str], *, public: bool) -> list[str]:
    """Return those of some subnets of the cluster's VPC that are public, or that are private."""
    vpc = _network(ctx).get("vpcId")
    tables = route_tables(ctx, vpc) if vpc else []
    return [subnet for subnet in ids if vpc and is_public(subnet, tables) == public]


def _network(ctx: Context) -> Any:
    """Return the cluster's network settings (VpcConfigResponse), {} without a cluster."""
    return (cluster_of(ctx) or {}).get("resourcesVpcConfig", {})
