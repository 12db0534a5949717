"""Node groups: without nodes during a pause, restored by resume to the sizes in their tags."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.paused import (
    GroupSizes,
    group_sizes,
    pause_marks,
    paused_since,
    paused_sizes,
    resumed_sizes,
    settled_keys,
    settled_marks,
)
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.eks.node_group_problems import (
    NO_SCALING_GROUP,
    failure_of,
    lost_parts,
    reasons_of,
)
from aws_setup.eks.node_groups import DEGRADED_LOOKS, group_facts
from aws_setup.eks.node_launch_template import NodeGroupSpec, every_node_group
from aws_setup.engine.step import CostItem, Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.eks_deletions import RE_CREATED, describe_node_group
from aws_setup.infrastructure.eks_updates import UPDATING, send_update
from aws_setup.infrastructure.instances import active_instances
from aws_setup.pause.vms import NOT_CREATED, create_is_running

WITHOUT_NODES = "its auto-scaling group was deleted, and its nodes; configure re-creates them"

UPDATE_DEADLINE = 3600.0
"""Seconds; EKS drains each node before it terminates it, up to 15 minutes each."""


@dataclass(frozen=True)
class _SizedNodeGroup(Step):
    """A node group whose sizes are changed, with its marks; `needs` and the sizes differ."""

    nodes: NodeGroupSpec
    needs: tuple[str, ...] = ()
    part: str = "eks"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the node group's step."""
        return self.nodes.group

    def find(self, ctx: Context) -> Found | None:
        """Return the node group with its drift; skipped when it is not this deployment's.

        One whose Auto Scaling group was deleted has no nodes, and EKS changes it no more.
        """
        group = describe_node_group(ctx, self.name)
        if group is None or tag_of(group, DEPLOYMENT_TAG) != ctx.config.deployment_name:
            return Found("", skipped=NOT_CREATED)
        if NO_SCALING_GROUP in lost_parts(group):
            return Found("", skipped=WITHOUT_NODES)
        if group["status"] in ("CREATING", "DELETING"):
            raise create_is_running(f"node group {self.name} is {group['status']}")
        drift, ready = self._drift(ctx, group), group["status"] in ("ACTIVE", "DEGRADED")
        since = group.get("createdAt")
        return Found(self.name, group["status"], group_facts(group), drift, ready, since)

    def create(self, ctx: Context) -> Found:
        """Do nothing: the node group is created by configure_eks_cluster.py."""
        return Found("", skipped=NOT_CREATED)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when EKS updates the group no longer and it has as many nodes as it should.

        Raises:
            SetupError: it has failed, or it stays DEGRADED while nodes are missing: AWS cannot
                launch them.
        """
        degraded = itertools.count(1)

        def probe() -> Found | Pending:
            group = _described(ctx, self.name)
            status, reasons = str(group["status"]), reasons_of(group)
            because = f" ({reasons})" if reasons else ""
            if status in RE_CREATED:
                raise failure_of(self.nodes, group)
            if status not in ("ACTIVE", "DEGRADED"):
                return Pending(f"{status}{because}")
            desired = group["scalingConfig"]["desiredSize"]
            nodes = len(active_instances(ctx, self.name, fresh=True))
            if nodes == desired:
                return self._ended(ctx, group)
            if nodes < desired and status == "DEGRADED" and next(degraded) >= DEGRADED_LOOKS:
                raise failure_of(self.nodes, group)
            return Pending(f"{count_of(nodes, 'node')} instead of {desired}{because}")

        return ctx.wait_until(
            f"{self.name} have their new size",
            probe,
            deadline=UPDATE_DEADLINE,
            pause=10,
            usual=MEDIANS["node group update"],
        )

    def _drift(self, ctx: Context, group: Item) -> tuple[Drift, ...]:
        raise NotImplementedError

    def _ended(self, ctx: Context, group: Item) -> Found:
        return Found(self.name, group["status"], group_facts(group), since=group.get("createdAt"))


@dataclass(frozen=True)
class EmptiedNodeGroup(_SizedNodeGroup):
    """A node group without nodes; pods wait, volumes are kept, sizes are in its tags."""

    def _drift(self, ctx: Context, group: Item) -> tuple[Drift, ...]:
        sizes, nodes = group_sizes(group), len(active_instances(ctx, self.name))
        if sizes.minimum or sizes.desired or nodes:
            return (Drift("nodes", str(max(sizes.desired, nodes)), "0"),)
        return () if paused_since(group) else (Drift("state", "in use", "paused"),)

    def update(self, ctx: Context, found: Found) -> Found:
        """Remember the sizes in tags, then set them to 0; sizes in the tags are kept."""
        group = _described(ctx, self.name)
        if paused_since(group) is None:
            marks = pause_marks(ctx.clock.today(), group_sizes(group))
            ctx.aws.eks.tag_resource(resourceArn=group["nodegroupArn"], tags=marks)
        resize(ctx, self.name, group_sizes(group).paused)
        return Found(found.id, "UPDATING", ready=False)


@dataclass(frozen=True)
class RestoredNodeGroup(_SizedNodeGroup):
    """A node group with the nodes that it had before the pause."""

    def _drift(self, ctx: Context, group: Item) -> tuple[Drift, ...]:
        if paused_since(group) is None:
            return ()
        sizes = paused_sizes(group) or group_sizes(group)
        return (Drift("nodes", str(group_sizes(group).desired), str(sizes.desired)),)

    def disks(self, ctx: Context) -> Sequence[CostItem]:
        """The nodes that it has after the pause, their disks and their public addresses."""
        own = [it for it in owned_node_groups(ctx) if it["nodegroupName"] == self.name]
        return [
            CostItem(part, key, resumed_sizes(group).desired * count)
            for group in own
            for part, key, count in node_units(ctx.config, group)
        ]

    def update(self, ctx: Context, found: Found) -> Found:
        """Restore the sizes; `wait` removes the marks."""
        group = _described(ctx, self.name)
        marks = settled_marks(group, ctx.clock.today())
        ctx.aws.eks.tag_resource(resourceArn=group["nodegroupArn"], tags=marks)
        sizes = paused_sizes(group)
        if sizes:
            resize(ctx, self.name, sizes)
        return Found(found.id, "UPDATING", ready=False)

    def _ended(self, ctx: Context, group: Item) -> Found:
        if paused_since(group):
            keys = settled_keys(group)
            ctx.aws.eks.untag_resource(resourceArn=group["nodegroupArn"], tagKeys=keys)
        return super()._ended(ctx, group)


def owned_node_groups(ctx: Context) -> list[Item]:
    """Return the node groups of this deployment; others may have added theirs to the cluster."""
    owner = ctx.config.deployment_name
    return [it for it in ctx.inventory.all("node groups") if tag_of(it, DEPLOYMENT_TAG) == owner]


def node_units(config: Config, group: Item) -> tuple[tuple[str, str, float], ...]:
    """Return what each node of a group is billed for: part, price key and how many units."""
    market = "spot" if group.get("capacityType") == "SPOT" else "ec2"
    kind = f"{market}:{(group.get('instanceTypes') or ['?'])[0]}"
    disk = ("eks", "gp3-gib", float(config.eks_node_disk_size))
    public = (("eks", "ipv4", 1.0),) if config.eks_nodes_public else ()
    return (("eks", kind, 1.0), disk, *public)


def _described(ctx: Context, name: str) -> Item:
    group = describe_node_group(ctx, name)
    if group is None:
        raise SetupError(
            f"the node group {name} no longer exists",
            "it was deleted during this run",
            "run python configure_eks_cluster.py, which creates it again",
        )
    return group


def resize(ctx: Context, name: str, sizes: GroupSizes) -> None:
    """Set the sizes of a node group and return when EKS has accepted them."""
    scaling: Any = {
        "minSize": sizes.minimum,
        "maxSize": max(1, sizes.maximum),
        "desiredSize": sizes.desired,
    }

    def send() -> bool | Pending:
        group = _described(ctx, name)
        if group["status"] == UPDATING:
            return Pending(UPDATING)
        if group["status"] in RE_CREATED:
            raise failure_of(_spec(ctx, name), group)
        if group["scalingConfig"] != scaling:
            ctx.aws.eks.update_nodegroup_config(
                clusterName=ctx.config.eks_cluster_name, nodegroupName=name, scalingConfig=scaling
            )
        return True

    send_update(ctx, f"the size of {name}", send, deadline=UPDATE_DEADLINE)


def _spec(ctx: Context, name: str) -> NodeGroupSpec:
    return next(spec for spec in every_node_group(ctx.config) if spec.group == name)
