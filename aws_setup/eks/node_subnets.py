"""The subnets in which the nodes of the cluster are launched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.type_offerings import offered_in_zones
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cleanup import PVC_NAME_TAG, PVC_NAMESPACE_TAG
from aws_setup.infrastructure.cluster_parts import volumes
from aws_setup.infrastructure.subnet_routes import is_public, route_tables


def node_subnets(ctx: Context) -> list[str]:
    """Return the cluster's subnets for nodes: private ones unless eks_nodes_public is set.

    Raises:
        SetupError: the cluster has no subnet of that kind.
    """
    public = ctx.config.eks_nodes_public
    ids = cluster_subnets(ctx)
    matching = of_kind(ctx, ids, public=public)
    if not matching:
        raise SetupError(
            f"the cluster has no {'public' if public else 'private'} subnets",
            f"its subnets are {', '.join(ids) or 'unknown'}",
            f"set eks_nodes_public: {not public}",
        )
    return sorted(matching)


def subnets_for(
    ctx: Context, count: int, *, types: Sequence[str], without: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Return the subnets of a new node group with so many nodes, and the types that they offer.

    A subnet whose zone does not offer the first type is left out, and of the other types those that
    not every zone offers: EKS refuses the group at once.
    https://github.com/eksctl-io/eksctl/issues/6461

    A volume stays in its zone, and so must a node that can attach it: fewer nodes than subnets get
    first those of the volumes that the cluster's programs have, OpenWhisk's before others; a single
    one without volumes none of `without`, if there is another one.

    Raises:
        SetupError: the cluster has no subnet for nodes.
    """
    found = node_subnets(ctx)
    # Where EC2 does not tell it, EKS decides.
    offers = advice(lambda: offered_in_zones(ctx.aws, types), lambda _: frozenset())
    zone_of = zones_of(ctx, found) if offers else {}
    good = [subnet for subnet in found if (zone_of.get(subnet, ""), types[0]) in offers]
    chosen = _spread(ctx, good or found, count, without=without)
    if not good:
        return chosen, list(types)
    zones = {zone_of[subnet] for subnet in chosen}
    return chosen, [kind for kind in types if all((zone, kind) in offers for zone in zones)]


def _spread(ctx: Context, found: list[str], count: int, *, without: Collection[str]) -> list[str]:
    if count >= len(found):
        return found
    in_zone = _in_zones_of_volumes(ctx, found)
    if count > 1:
        return [*in_zone, *(subnet for subnet in found if subnet not in in_zone)][:count]
    elsewhere = [subnet for subnet in found if subnet not in without]
    return (in_zone or elsewhere or found)[:1]


def _in_zones_of_volumes(ctx: Context, ids: list[str]) -> list[str]:
    """Return those of some subnets that are in a zone in which the cluster's volumes are."""
    disks = [it for it in volumes(ctx) if tag_of(it, PVC_NAME_TAG)]
    namespace = ctx.config.openwhisk_namespace
    ours = [it for it in disks if tag_of(it, PVC_NAMESPACE_TAG) == namespace]
    zones = {it["AvailabilityZone"] for it in ours or disks}
    if not zones:
        return []
    return sorted(subnet for subnet, zone in zones_of(ctx, ids).items() if zone in zones)


def zones_of(ctx: Context, ids: Sequence[str]) -> dict[str, str]:
    """Return the zones of some subnets."""
    listed = ctx.aws.ec2.describe_subnets(SubnetIds=[*ids])["Subnets"]
    return {it["SubnetId"]: it["AvailabilityZone"] for it in listed}


def of_kind(ctx: Context, ids: Iterable[str], *, public: bool) -> list[str]:
    """Return those of some subnets of the cluster's VPC that are public, or that are private."""
    vpc = _network(ctx).get("vpcId")
    tables = route_tables(ctx, vpc) if vpc else []
    return [subnet for subnet in ids if vpc and is_public(subnet, tables) == public]


def cluster_subnets(ctx: Context) -> list[str]:
    """Return the cluster's subnets, of both kinds; none without a cluster."""
    return list(_network(ctx).get("subnetIds") or ())


def _network(ctx: Context) -> Any:
    """Return the cluster's network settings (VpcConfigResponse), {} without a cluster."""
    return (cluster_of(ctx) or {}).get("resourcesVpcConfig", {})
