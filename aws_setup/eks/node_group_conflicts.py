"""What differs of a node group that no update of EKS changes, with what to do about it."""

from __future__ import annotations

from aws_setup.aws.inventory import Item
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.engine.step import Drift
from aws_setup.infrastructure.iam import node_role_name


def conflicts(config: Config, nodes: NodeGroupSpec, group: Item) -> list[Drift]:
    """Return the conflicts of instance type and role.

    UpdateNodegroupConfig has neither instanceTypes nor nodeRole.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
    """
    drift = []
    types = group.get("instanceTypes") or []
    if (types[:1] if nodes.spot else types) != [nodes.instance_type]:
        fix = f"delete the node group {nodes.group} in the EKS console and run configure again"
        drift.append(Drift("instance type", ", ".join(types) or "none", nodes.instance_type, fix))
    role, wants = str(group["nodeRole"]).rpartition("/")[2], node_role_name(config)
    if role != wants:
        drift.append(Drift("role", role, wants, f"set eks_node_role_name: {role}"))
    return drift
