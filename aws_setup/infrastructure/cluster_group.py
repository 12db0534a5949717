"""The security group that EKS makes for a cluster, and its rules that somebody may have revoked.

Control plane, nodes and pods are in it. EKS makes it with rules for all traffic within the group
and for all outbound traffic. It makes those within the group again when the cluster is updated,
and not before; without them no node is Ready and no pod reaches another.
https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.cluster_kinds import MANAGED_GROUPS
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.engine.step import Drift
from aws_setup.infrastructure.ingress_rules import (
    ALL_TRAFFIC,
    EVERYWHERE,
    allows,
    leads_out,
    permission,
)
from aws_setup.infrastructure.security_group import authorize

CLUSTER_GROUP = "cluster group"
"""Key of the drift of the cluster's own security group."""

Missing = Mapping[bool, Sequence[tuple[str, dict[str, Any]]]]
"""Whether outbound -> what the rules are called, and their permissions."""


def managed_group(ctx: Context, group_id: str, *, fresh: bool = False) -> Item | None:
    """Return a group that AWS has made, as EC2 lists it."""
    listed = ctx.inventory.all(MANAGED_GROUPS, fresh=fresh)
    return next((group for group in listed if group["GroupId"] == group_id), None)


def cluster_group_drift(ctx: Context, group_id: str) -> list[Drift]:
    """Return which of the rules that EKS makes are gone from the cluster's group."""
    group = managed_group(ctx, group_id)
    lacking = missing(group) if group else {}
    return [
        Drift(f"{title} in {group_id}", "not allowed", "allowed", key=CLUSTER_GROUP)
        for rules in lacking.values()
        for title, _ in rules
    ]


def restore_cluster_group(ctx: Context, group_id: str) -> None:
    """Authorize the rules that are gone, as EKS does; without tags, as EKS's rules have none."""
    group = managed_group(ctx, group_id, fresh=True)
    for outbound, rules in (missing(group) if group else {}).items():
        authorize(ctx, "", group_id, [rule for _, rule in rules], outbound=outbound)


def missing(group: Item) -> Missing:
    """Return the rules that a cluster's group lacks.

    EKS lets its user take away the rule for all outbound traffic and put narrower ones in its
    place. So that is missing only where nothing leads out of the group: nodes then reach neither
    the VMs nor a registry.
    """
    own = str(group["GroupId"])
    within = permission(ALL_TRAFFIC, own)
    outbound = {**group, "IpPermissions": group.get("IpPermissionsEgress") or []}
    ingress = [] if allows(group, ALL_TRAFFIC, own) else [("traffic within the group", within)]
    egress: list[tuple[str, dict[str, Any]]] = []
    if not leads_out(group):
        egress.append(("outbound traffic", permission(ALL_TRAFFIC, EVERYWHERE)))
    elif not any(allows(outbound, ALL_TRAFFIC, target) for target in (own, EVERYWHERE)):
        egress.append(("outbound traffic within the group", within))
    return {False: ingress, True: egress}
