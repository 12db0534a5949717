"""What the deadline stops: the VMs, auto-scaling groups and node groups of a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.deadline import Target, instances_by_group
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.paused import (
    DEADLINE_TAG,
    PAUSED_TAG,
    SIZES_TAG,
    deadline_of,
    format_time,
    group_sizes,
    paused_since,
    stopped_by_deadline,
)
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list
from aws_setup.eks.node_launch_template import every_node_group
from aws_setup.errors import Problem
from aws_setup.infrastructure.scaling_tags import remove_tags, write_marks
from aws_setup.infrastructure.vm_groups import CLIENTS, vm_groups

Write = Callable[[Context, Sequence[Item], dict[str, str]], None]
"""Writes tags of some resources of one kind."""

Remove = Callable[[Context, Sequence[Item], Sequence[str]], None]
"""Removes tags of some resources of one kind."""


@dataclass(frozen=True)
class Stoppable:
    """What one schedule stops: its resources as their API describes them, and its target."""

    target: Target
    items: tuple[Item, ...]
    write: Write
    remove: Remove

    @property
    def in_use(self) -> bool:
        """Whether a machine runs, or should."""
        return any(_in_use(item) for item in self.items if paused_since(item) is None)

    @property
    def runs(self) -> bool:
        """Whether a machine runs, or should, also while a pause or a resume has not ended."""
        return any(map(_in_use, self.items))

    @property
    def paused(self) -> bool:
        """Whether a part of it is paused, by its mark or by the deadline."""
        return any(paused_since(item) for item in self.items)

    def lacks(self, deadline: datetime) -> bool:
        """Return whether a resource does not have the tags of this deadline."""
        return any(_missing(item, deadline) for item in self.items)


def mark(ctx: Context, parts: Sequence[Stoppable], deadline: datetime, *, new: bool) -> None:
    """Write the deadline and the sizes of groups, each set of tags in one call for each kind.

    What an earlier deadline has stopped becomes paused by its mark in the same call: a later
    deadline must not make it look like stopped by hand.

    Args:
        ctx: the run's context.
        parts: what the deadline stops.
        deadline: the deadline.
        new: only what has none yet; False: only what has one.
    """
    sets: dict[tuple[Write, tuple[tuple[str, str], ...]], list[Item]] = {}
    for part in parts:
        for item in part.items:
            missing = _missing(item, deadline)
            if missing and (deadline_of(item) is None) == new:
                key = part.write, tuple(sorted(missing.items()))
                sets.setdefault(key, []).append(item)
    for (write, marks), items in sets.items():
        write(ctx, items, dict(marks))


def is_marked(part: Stoppable) -> bool:
    """Return whether a resource has the tag of a deadline, which may be no more."""
    return any(tag_of(item, DEADLINE_TAG) for item in part.items)


def unmark(ctx: Context, parts: Sequence[Stoppable]) -> None:
    """Remove the tags of a deadline whose schedules are deleted.

    With them a machine that is stopped by hand would count as one that the deadline has stopped.
    What it has stopped is marked as paused before.
    """
    sets: dict[tuple[Write, str], list[Item]] = {}
    removals: dict[tuple[Remove, tuple[str, ...]], list[Item]] = {}
    for part in filter(is_marked, parts):
        for item in part.items:
            stopped = stopped_by_deadline(item)
            if stopped:
                sets.setdefault((part.write, format_time(stopped)), []).append(item)
            keys = (DEADLINE_TAG,) if paused_since(item) else (DEADLINE_TAG, SIZES_TAG)
            present = tuple(key for key in keys if tag_of(item, key))
            removals.setdefault((part.remove, present), []).append(item)
    for (write, since), items in sets.items():
        write(ctx, items, {PAUSED_TAG: since})
    for (remove, present), items in removals.items():
        remove(ctx, items, present)


def _missing(item: Item, deadline: datetime) -> dict[str, str]:
    """Return the tags that a resource should have and has not."""
    marks = {DEADLINE_TAG: format_time(deadline)}
    stopped = stopped_by_deadline(item)
    if stopped and deadline_of(item) != deadline:
        marks[PAUSED_TAG] = format_time(stopped)
    if "State" not in item and paused_since(item) is None:
        marks[SIZES_TAG] = str(group_sizes(item))
    return {key: value for key, value in marks.items() if tag_of(item, key) != value}


def _in_use(item: Item) -> bool:
    if "State" in item:
        return item["State"]["Name"] in ("pending", "running")
    return group_sizes(item).in_use


def stoppable(ctx: Context, *, fresh: bool = False) -> list[Stoppable]:
    """Return everything that the deadline stops, clients first.

    Args:
        ctx: the run's context.
        fresh: ask AWS again: machines may have been launched since the inventory was read.
    """
    return [*_vms(ctx, fresh=fresh), *_groups(ctx, fresh=fresh), *_node_groups(ctx, fresh=fresh)]


def _vms(ctx: Context, *, fresh: bool) -> Iterator[Stoppable]:
    """Yield the VMs, those of a step one after the other.

    Each has a schedule of its own: EC2 refuses a whole call that names a machine which no longer
    exists, and the others of its step would run on.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
    """
    by_step = instances_by_group(ctx.inventory.all("instances", fresh=fresh))
    order = [group.step for group in vm_groups(ctx.config)]
    for step in sorted(by_step, key=lambda name: (name not in CLIENTS, name not in order, name)):
        for item in sorted(by_step[step], key=lambda item: str(item["InstanceId"])):
            ids = {"InstanceIds": [item["InstanceId"]]}
            target = Target(step, "ec2:stopInstances", ids, later=step not in CLIENTS)
            yield Stoppable(target, (item,), _write_vms, _remove_vms)


def _groups(ctx: Context, *, fresh: bool) -> Iterator[Stoppable]:
    for item in ctx.inventory.all("auto-scaling groups", fresh=fresh):
        if str(item.get("Status") or ""):
            continue  # It is being deleted.
        name = item["AutoScalingGroupName"]
        parameters = {"AutoScalingGroupName": name, "MinSize": 0, "DesiredCapacity": 0}
        target = Target(name, "autoscaling:updateAutoScalingGroup", parameters)
        yield Stoppable(target, (item,), _write_group, _remove_group)


def _node_groups(ctx: Context, *, fresh: bool) -> Iterator[Stoppable]:
    found = ctx.inventory.all("node groups", fresh=fresh)
    items = {item["nodegroupName"]: item for item in found}
    for spec in every_node_group(ctx.config):
        item = items.get(spec.group)
        if item is None or tag_of(item, DEPLOYMENT_TAG) != ctx.config.deployment_name:
            continue
        if item["status"] == "DELETE_FAILED":
            ctx.warn(_not_deleted(spec.group))
        if item["status"] != "DELETING":
            parameters = {
                "ClusterName": ctx.config.eks_cluster_name,
                "NodegroupName": spec.group,
                "ScalingConfig": {"MinSize": 0, "DesiredSize": 0},
            }
            target = Target(spec.group, "eks:updateNodegroupConfig", parameters)
            yield Stoppable(target, (item,), _write_node_group, _remove_node_group)


def _not_deleted(group: str) -> Problem:
    """Return the warning of a node group that EKS changes no more, while its nodes may run."""
    return Problem(
        f"the deadline may not stop the node group {group}",
        "its deletion failed (DELETE_FAILED), so that EKS may refuse to change its size; its nodes "
        "may still run, and cost money",
        "run `python configure_eks_cluster.py`, which re-creates it, or destroy",
    )


def _write_vms(ctx: Context, items: Sequence[Item], marks: dict[str, str]) -> None:
    ids = [item["InstanceId"] for item in items]
    written: Any = as_list(marks)
    ctx.aws.ec2.create_tags(Resources=ids, Tags=written)


def _remove_vms(ctx: Context, items: Sequence[Item], keys: Sequence[str]) -> None:
    removed: Any = [{"Key": key} for key in keys]
    ctx.aws.ec2.delete_tags(Resources=[item["InstanceId"] for item in items], Tags=removed)


def _write_group(ctx: Context, items: Sequence[Item], marks: dict[str, str]) -> None:
    write_marks(ctx, [item["AutoScalingGroupName"] for item in items], marks)


def _remove_group(ctx: Context, items: Sequence[Item], keys: Sequence[str]) -> None:
    remove_tags(ctx, [item["AutoScalingGroupName"] for item in items], keys)


def _write_node_group(ctx: Context, items: Sequence[Item], marks: dict[str, str]) -> None:
    for item in items:
        ctx.aws.eks.tag_resource(resourceArn=item["nodegroupArn"], tags=marks)


def _remove_node_group(ctx: Context, items: Sequence[Item], keys: Sequence[str]) -> None:
    for item in items:
        ctx.aws.eks.untag_resource(resourceArn=item["nodegroupArn"], tagKeys=list(keys))
