"""The zones of OpenWhisk's volumes: a group of fewer nodes than zones must have its nodes there.

EBS attaches a volume in its own zone only. Which node of several ends is the choice of the node
group's auto-scaling group, and EKS changes the subnets of no node group: so a group that gets too
few nodes for its zones is created again in the zones of the volumes.
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.eks.node_subnets import zones_of
from aws_setup.engine.step import Drift
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.cleanup import PVC_NAMESPACE_TAG
from aws_setup.infrastructure.cluster_parts import volumes

ZONES = "zones"
"""Key of the drift of a node group that is created again in the zones of the volumes."""

CORE = "core"
"""Role of the nodes on which OpenWhisk's programs with volumes run."""


def volume_zones(ctx: Context) -> list[str]:
    """Return the zones of OpenWhisk's volumes; none where EC2 does not tell them."""

    def read() -> list[str]:
        namespace = ctx.config.openwhisk_namespace
        ours = [item for item in volumes(ctx) if tag_of(item, PVC_NAMESPACE_TAG) == namespace]
        return sorted({str(item["AvailabilityZone"]) for item in ours})

    return advice(read, lambda _: [])


def zone_drift(ctx: Context, nodes: NodeGroupSpec, group: Item) -> list[Drift]:
    """Return what a change of a group's nodes needs, so that some stay where the volumes are.

    It is a conflict where the volumes are in more zones than there would be nodes.
    """
    subnets: Sequence[str] = group.get("subnets") or ()
    if nodes.role != CORE or nodes.count >= len(subnets):
        return []
    zones, used = sorted(set(zones_of(ctx, subnets).values())), volume_zones(ctx)
    if nodes.count >= len(zones) or not used:
        return []
    if len(used) > nodes.count:
        has = f"in {', '.join(zones)}, and OpenWhisk's volumes in {', '.join(used)}"
        return [Drift("nodes", has, count_of(nodes.count, "node"), _more_nodes(nodes, used))]
    wants = f"{', '.join(used)}: its nodes are deleted, then new ones created beside the volumes"
    return [Drift("zones", ", ".join(zones), wants, key=ZONES, replaces=group)]


def _more_nodes(nodes: NodeGroupSpec, used: Sequence[str]) -> str:
    return (
        f"set num_openwhisk_{nodes.role}_vms: {len(used)}, as EBS attaches a volume in its own "
        "zone only; or, without what is registered in OpenWhisk, run "
        '`python configure_eks_cluster.py destroy --only "openwhisk release"` and configure again'
    )
