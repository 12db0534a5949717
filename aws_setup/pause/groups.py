"""Auto-scaling groups: emptied by pause, restored by resume to the sizes in their tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item
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
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.launch_templates import AutoScalingSpec
from aws_setup.infrastructure.run_instances import disk_charges
from aws_setup.infrastructure.scaling_obstacles import check_terminations, held_state
from aws_setup.infrastructure.scaling_tags import remove_tags, write_marks
from aws_setup.pause.vms import NOT_CREATED


@dataclass(frozen=True)
class EmptiedGroup(Step):
    """An auto-scaling group without machines; its sizes before are in its tags.

    Auto Scaling terminates machines and cannot stop them: what is on their disks is lost.
    """

    kind: AutoScalingSpec
    needs: tuple[str, ...] = ()
    part: str = "auto scaling"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the group's step."""
        return f"auto-scaling group {self.kind.group}"

    def find(self, ctx: Context) -> Found | None:
        """Return the group; sizes above 0 and machines are drift."""
        group = _group(ctx, self.name)
        if group is None:
            return Found("", skipped=NOT_CREATED)
        return Found(group["AutoScalingGroupName"], _state(group), drift=_pause_drift(group))

    def create(self, ctx: Context) -> Found:
        """Do nothing: what does not exist has no machines."""
        return Found("", skipped=NOT_CREATED)

    def update(self, ctx: Context, found: Found) -> Found:
        """Remember the sizes in tags, then set them to 0; sizes in the tags are kept."""
        group = _group(ctx, self.name, fresh=True)
        if group is None:
            return Found("", skipped=NOT_CREATED)
        if paused_since(group) is None:
            write_marks(ctx, [found.id], pause_marks(ctx.clock.today(), group_sizes(group)))
        resize(ctx, found.id, group_sizes(group).paused)
        return Found(found.id, "stopping", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the group has no machines.

        Raises:
            SetupError: a setting of the group keeps them.
        """

        def probe() -> Found | Pending:
            group = _group(ctx, self.name, fresh=True)
            machines = len(group["Instances"]) if group else 0
            if not group or not machines:
                return Found(found.id, "paused")
            check_terminations(self.name, group)
            return held_state(group, f"{count_of(machines, 'machine')} left")

        what = f"{self.name} has no machines"
        takes = MEDIANS["instance terminated"]
        return ctx.wait_until(what, probe, deadline=900, pause=8, usual=takes)


@dataclass(frozen=True)
class RestoredGroup(AutoScalingGroup):
    """An auto-scaling group with the sizes that it had before the pause, whatever the keys say."""

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """Nothing: how many machines it gets is in its tags."""
        return ()

    def disks(self, ctx: Context) -> Sequence[CostItem]:
        """The machines that it has after the pause, their addresses and their disks."""
        group = _group(ctx, self.name)
        if group is None:
            return (*super().charges(ctx.config), *super().disks(ctx))
        count = float(resumed_sizes(group).desired)
        each = disk_charges(ctx, self.kind.ami, count=count, part="disks")
        machines = CostItem(self.part, self.kind.price_key, count)
        return (machines, CostItem(self.part, "ipv4", count), *each) if count else ()

    def _paused(self, group: Item) -> Sequence[Drift]:
        if paused_since(group) is None:
            return ()
        sizes = paused_sizes(group)
        return (Drift("state", "paused", f"sizes {sizes}" if sizes else "in use"),)

    def _wanted(self, ctx: Context, group: Item) -> int:
        return int(group["DesiredCapacity"])

    def _size_drift(self, ctx: Context, group: Item, wanted: int) -> list[Drift]:
        """Return nothing: `create` changes the sizes to those of the configuration."""
        return []

    def _sizes(self, ctx: Context, found: Found) -> dict[str, Any]:
        return {}

    def update(self, ctx: Context, found: Found) -> Found:
        """Restore the sizes, then remove the marks."""
        group = _group(ctx, self.name, fresh=True)
        if group is None or paused_since(group) is None:
            return super().update(ctx, found)
        write_marks(ctx, [found.id], settled_marks(group, ctx.clock.today()))
        sizes = paused_sizes(group)
        if sizes:
            resize(ctx, found.id, sizes)
        remove_tags(ctx, [found.id], settled_keys(group))
        return Found(found.id, "starting", found.facts, ready=False, ids=found.ids)


def _group(ctx: Context, step: str, *, fresh: bool = False) -> Item | None:
    items = ctx.inventory.of_step("auto-scaling groups", step, fresh=fresh)
    return items[0] if items else None


def _state(group: Item) -> str:
    return "paused" if paused_since(group) else "available"


def _pause_drift(group: Item) -> tuple[Drift, ...]:
    machines, sizes = len(group["Instances"]), group_sizes(group)
    if machines:
        return (Drift("machines", str(machines), "0 (terminated; their disks are deleted)"),)
    if sizes.minimum or sizes.desired:
        return (Drift("sizes (min/max/desired)", str(sizes), str(sizes.paused)),)
    return () if paused_since(group) else (Drift("state", "in use", "paused"),)


def resize(ctx: Context, group: str, sizes: GroupSizes) -> None:
    """Set the sizes of an auto-scaling group."""
    ctx.aws.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=group,
        MinSize=sizes.minimum,
        MaxSize=sizes.maximum,
        DesiredCapacity=sizes.desired,
    )
