"""What is wrong with a node group, and what helps: failures, and what no update of EKS changes."""

from __future__ import annotations

from collections.abc import Collection

from aws_setup.aws.context import Context
from aws_setup.aws.error_messages import CAPACITY as NO_CAPACITY
from aws_setup.aws.inventory import Item
from aws_setup.aws.reasons import fix_then, health_issues, known_fix
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.eks.node_subnets import cluster_subnets, of_kind
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.eks_deletions import RE_CREATED
from aws_setup.infrastructure.iam import node_role_name

CAPACITY = ("InsufficientInstanceCapacity", "Unsupported", "Ec2InstanceTypeDoesNot")
"""Codes of EKS and EC2 of a failure that another zone or instance type avoids."""

HINT_RERUN = "run the same command again"

RECREATE = "run configure again: it re-creates the node group"


def failure_of(nodes: NodeGroupSpec, group: Item) -> SetupError:
    """Return why a node group failed, with the fix for that cause in its state."""
    why, status = reasons_of(group), str(group["status"])
    again = RECREATE if status in RE_CREATED else HINT_RERUN
    lacks = _lacks_capacity(why)
    return SetupError(
        f"the node group is {status}",
        why or "EKS gives no reason",
        capacity_hint(nodes, status) if lacks else fix_then(why, again),
    )


def pending_hint(nodes: NodeGroupSpec, group: Item) -> str:
    """Return what helps when a node group is not ACTIVE in time; '' without a known cause."""
    why = reasons_of(group)
    return capacity_hint(nodes, str(group["status"])) if _lacks_capacity(why) else known_fix(why)


def subnets_without_capacity(found: Found) -> Collection[str]:
    """Return the subnets of a group that is replaced because AWS had no machines for it there."""
    groups = [drift.replaces for drift in found.drift if drift.replaces]
    lacking = [group for group in groups if _lacks_capacity(reasons_of(group))]
    return [subnet for group in lacking for subnet in group.get("subnets", ())]


def _lacks_capacity(why: str) -> bool:
    """Tell whether another zone or instance type avoids a failure."""
    return any(code in why for code in CAPACITY) or known_fix(why) == NO_CAPACITY.hint


def capacity_hint(nodes: NodeGroupSpec, status: str) -> str:
    """Return what helps where AWS has no machines; the network keeps its zones.

    Another type is a conflict of a node group that EKS has not given up: it goes on trying.
    """
    other = f"set another openwhisk_{nodes.role}_instance_type"
    if status == "CREATING":
        given_up = "when EKS has given up, after about half an hour, it re-creates the node group"
        return f"{HINT_RERUN}: it waits on; {given_up}, also with another type ({other})"
    if status not in RE_CREATED:
        waits = f"{HINT_RERUN} later: EKS launches them when there are some"
        return f"{waits}; or {other}, then {_created_again(nodes)}"
    if nodes.count > 1:
        return f"{other}, and {RECREATE}"
    return f"{RECREATE}, in another zone unless volumes are in this one; or {other} before"


def reasons_of(group: Item) -> str:
    """Return the health issues of a node group as text, '' without any."""
    return "; ".join(health_issues(group))


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
    return [*drift, *_subnets_left(ctx, group, again)]


def _subnets_left(ctx: Context, group: Item, again: str) -> list[Drift]:
    """Return the conflict of nodes in subnets that the cluster has no longer."""
    subnets = group.get("subnets") or ()
    offered = cluster_subnets(ctx) if subnets else ()
    left = [subnet for subnet in subnets if offered and subnet not in offered]
    if not left:
        return []
    return [Drift("subnets", ", ".join(left), "those of the cluster", again)]


def older_kubernetes(ctx: Context, group: Item) -> str:
    """Return the cluster's version of Kubernetes where the nodes have another; '' otherwise."""
    cluster = ctx.found.get("eks cluster")
    wants = str(cluster.facts.get("version") or "") if cluster else ""
    return wants if wants and group.get("version", wants) != wants else ""


def _created_again(nodes: NodeGroupSpec) -> str:
    return f"delete the node group {nodes.group} in the EKS console and run configure again"
