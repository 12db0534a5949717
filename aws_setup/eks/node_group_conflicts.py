"""What differs of a node group that no update of EKS changes, with what to do about it."""

from __future__ import annotations

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.eks.node_subnets import of_kind
from aws_setup.engine.step import Drift
from aws_setup.infrastructure.iam import node_role_name


def conflicts(ctx: Context, nodes: NodeGroupSpec, group: Item) -> list[Drift]:
    """Return the conflicts of instance type, role and subnets.

    UpdateNodegroupConfig has neither instanceTypes nor nodeRole nor subnets.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
    """
    drift, again = [], _created_again(nodes)
    types = group.get("instanceTypes") or []
    if (types[:1] if nodes.spot else types) != [nodes.instance_type]:
        drift.append(Drift("instance type", ", ".join(types) or "none", nodes.instance_type, again))
    role, wants = str(group["nodeRole"]).rpartition("/")[2], node_role_name(ctx.config)
    if role != wants:
        drift.append(Drift("role", role, wants, f"set eks_node_role_name: {role}"))
    public = ctx.config.eks_nodes_public
    if of_kind(ctx, group.get("subnets") or [], public=not public):
        has, wants = ("private", "public") if public else ("public", "private")
        drift.append(
            Drift("subnets", has, wants, f"set eks_nodes_public: {not public}, or {again}")
        )
    return drift


def _created_again(nodes: NodeGroupSpec) -> str:
    return f"delete the node group {nodes.group} in the EKS console and run configure again"
