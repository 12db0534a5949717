"""The subnets in which the nodes of the cluster are launched."""

from __future__ import annotations

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.errors import SetupError
from aws_setup.infrastructure.subnet_routes import is_public, route_tables


def node_subnets(ctx: Context) -> list[str]:
    """Return the cluster's subnets for nodes: private ones unless eks_nodes_public is set.

    Raises:
        SetupError: the cluster has no subnet of that kind.
    """
    cluster = cluster_of(ctx) or {}
    ids = cluster.get("resourcesVpcConfig", {}).get("subnetIds", [])
    subnets = ctx.aws.ec2.describe_subnets(SubnetIds=ids)["Subnets"] if ids else []
    tables = route_tables(ctx, subnets[0]["VpcId"]) if subnets else []
    public = ctx.config.eks_nodes_public
    matching = [
        item["SubnetId"] for item in subnets if is_public(item["SubnetId"], tables) == public
    ]
    if not matching:
        raise SetupError(
            f"the cluster has no {'public' if public else 'private'} subnets",
            f"its subnets are {', '.join(ids) or 'unknown'}",
            f"set eks_nodes_public: {not public}",
        )
    return sorted(matching)
