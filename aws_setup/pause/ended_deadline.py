"""The deadline where only the nodes have it: it ends with them, in configure's destroy."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context
from aws_setup.aws.deadline import instances_by_group
from aws_setup.engine.step import Found
from aws_setup.infrastructure.deadline_role import DeadlineRole
from aws_setup.pause.deadline import Deadline


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
