"""What is wrong with a node group, and what helps: failures, and what no update of EKS changes."""

from __future__ import annotations

from collections.abc import Collection

from aws_setup.aws.context import Context
from aws_setup.aws.error_messages import CAPACITY as NO_CAPACITY
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.reasons import fix_then, health_issues, known_fix
from aws_setup.aws.tag_drift import is_own, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.eks.node_subnets import cluster_subnets, of_kind
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.eks_cluster import restore_tag
from aws_setup.infrastructure.eks_deletions import RE_CREATED
from aws_setup.infrastructure.iam import node_role_name

CAPACITY = ("InsufficientInstanceCapacity", "Unsupported", "Ec2InstanceTypeDoesNot")
"""Codes of EKS and EC2 of a failure that another zone or instance type avoids."""

NO_SCALING_GROUP = "AutoScalingGroupNotFound"
LOST_PARTS = (NO_SCALING_GROUP, "Ec2LaunchTemplateNotFound")
"""Codes of what EKS had made for a node group and somebody has deleted: it never makes it again.

https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html
"""

REPLACED = "replacement"
"""Key of a drift that no update corrects: neither call has a capacityType, and
UpdateNodegroupVersion takes other versions of the same launch template alone.

https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html
"""

NEW_NODES = "its nodes are deleted, then new ones created"

HINT_RERUN = "run the same command again"

RECREATE = "run configure again: it re-creates the node group"


def failure_of(nodes: NodeGroupSpec, group: Item) -> SetupError:
    """Return why a node group failed, with the fix for that cause in its state."""
    why, status = reasons_of(group), str(group["status"])
    if lost_parts(group):
        return SetupError(f"the node group is {status}", why, RECREATE)
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


def owner_drift(ctx: Context, group: Item, step: str) -> tuple[Drift, ...]:
    """Return the conflict of a node group of others; () for the deployment's own.

    One of its two tags may be lost; destroy goes by that of the deployment alone.
    """
    name, owner = ctx.config.deployment_name, tag_of(group, DEPLOYMENT_TAG)
    lost = not ctx.owned_only and is_own(tags_of(group), deployment=name, step=step)
    if owner == name or lost:
        return ()
    fix = f"delete the node group {group['nodegroupName']} in the EKS console"
    fix = fix if owner else f"{restore_tag(group['nodegroupArn'], name)}; else {fix}"
    return (Drift("owner", owner or "none", name, fix, DriftKey.OWNER),)


def lost_parts(group: Item) -> Collection[str]:
    """Return the codes of what somebody has deleted of a node group's own parts."""
    issues = (group.get("health") or {}).get("issues") or []
    return {str(issue.get("code")) for issue in issues} & {*LOST_PARTS}


def broken_drift(group: Item) -> tuple[Drift, ...]:
    """Return the drift of a node group that only a new one replaces: failed, or without a part."""
    lost = lost_parts(group)
    if group["status"] not in RE_CREATED and not lost:
        return ()
    state = f"{group['status']} {reasons_of(group)}".strip()
    wants = f"ACTIVE ({NEW_NODES})" if lost else "ACTIVE"
    return (Drift("status", state, wants, key=DriftKey.STATUS, replaces=group),)


def replacement_drift(ctx: Context, nodes: NodeGroupSpec, group: Item) -> tuple[Drift, ...]:
    """Return the drift of capacity type or launch template: the node group is created again.

    A template that was deleted and created again has another id. Destroy does not ask.
    """
    if ctx.owned_only:
        return ()
    capacity = group.get("capacityType", "ON_DEMAND")
    if capacity != nodes.capacity:
        wants = f"{nodes.capacity} ({NEW_NODES})"
        return (Drift("capacity type", capacity, wants, key=REPLACED, replaces=group),)
    has, template = str(group.get("launchTemplate", {}).get("id", "")), _template(ctx, nodes)
    if not has or has == template or (not template and has in _templates(ctx)):
        return ()
    wants = f"{template or 'a new one'} ({NEW_NODES})"
    return (Drift("launch template", has, wants, key=REPLACED, replaces=group),)


def _template(ctx: Context, nodes: NodeGroupSpec) -> str:
    found = ctx.found.get(f"{nodes.group} template")
    return found.id if found else ""


def _templates(ctx: Context) -> Collection[str]:
    return {str(item["LaunchTemplateId"]) for item in ctx.inventory.all("launch templates")}


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
