"""The end of the deadline: after all machines, and in configure's destroy if only nodes have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aws_setup.aws.context import Context, Step
from aws_setup.aws.deadline import instances_by_group
from aws_setup.eks.active_cluster import SkipIfUnreachable
from aws_setup.eks.node_groups import NodeGroup
from aws_setup.engine.step import Found
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.deadline_role import DeadlineRole
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.pause.deadline import NAME, Deadline


def deadline_last(steps: Sequence[Step]) -> list[Step]:
    """Return the steps for deletion: the deadline goes after every machine that it stops.

    So what a destroy leaves running, because it was killed or AWS refused a deletion, still stops.
    Not for --only: to delete the deadline alone must not delete the machines.
    """
    found = {step.name for step in steps if isinstance(step, Deadline)}
    return [_before_deadline(step) for step in steps] if found else list(steps)


def _before_deadline(step: Step) -> Step:
    if isinstance(step, AutoScalingGroup | VmGroupStep):
        return replace(step, follows=(*step.follows, NAME))
    if isinstance(step, NodeGroup):
        return replace(step, also=(NAME,))
    if isinstance(step, SkipIfUnreachable):
        if isinstance(step.inner, NodeGroup):
            # One that could not be examined keeps the deadline, and the cluster: EKS deletes none
            # that has a node group.
            return replace(step, inner=_before_deadline(step.inner), within="")
        return replace(step, beside=(*step.beside, NAME))
    if isinstance(step, Deadline):
        return replace(step, needs=(DeadlineRole.name,))
    # With auto_pause_after: never the role goes last in create, where both are surplus.
    return replace(step, needs=()) if isinstance(step, DeadlineRole) else step


def is_used(ctx: Context) -> bool:
    """Whether the deadline stops more than nodes: VMs, or scaling groups."""
    vms = instances_by_group(ctx.inventory.all("instances"))
    return bool(vms or ctx.inventory.all("auto-scaling groups"))


@dataclass(frozen=True)
class EndedDeadline(Deadline):
    """The schedule group, where only nodes have it."""

    def find(self, ctx: Context) -> Found | None:
        """Return the group; None where it stops more than nodes."""
        return None if is_used(ctx) else super().find(ctx)


@dataclass(frozen=True)
class EndedDeadlineRole(DeadlineRole):
    """The role of the deadline, where only nodes have it."""

    def find(self, ctx: Context) -> Found | None:
        """Return the role; None where the deadline stops more than nodes."""
        return None if is_used(ctx) else super().find(ctx)
