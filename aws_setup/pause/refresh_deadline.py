"""The deadline at the end of a run: what runs then has one, however the run has ended."""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import wait_visible
from aws_setup.config.durations import NEVER
from aws_setup.eks.node_launch_template import every_node_group
from aws_setup.infrastructure.deadline_role import DeadlineRole
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.pause.deadline import NAME, Deadline, read_schedules
from aws_setup.pause.deadline_targets import stoppable


def refresh_deadline(ctx: Context) -> None:
    """Bring the schedules to the machines that exist now, as after a run that failed.

    Where there are none and machines run, a deadline is set.

    The step of the deadline follows the requests for all machines: where AWS refuses one of them,
    or Ctrl-C comes before, the others run and the step has never started.

    Args:
        ctx: the run's context.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call; not all machines may have a deadline.
        SetupError: a wait for the deadline's role or schedules was too long.
    """
    if ctx.config.auto_pause_after == NEVER:
        return
    for kind in ("instances", "auto-scaling groups", "node groups", "deadline"):
        ctx.inventory.refresh(kind)
    _await_launches(ctx)
    _await_groups(ctx)
    if read_schedules(ctx) is not None:
        step = Deadline()
        found = step.find(ctx)
        if found and found.drift and not any(drift.fix for drift in found.drift):
            ctx.found[NAME] = step.update(ctx, found)
    elif _may_be_set(ctx) and _has_role(ctx):
        ctx.found[NAME] = Deadline().create(ctx)


def _await_launches(ctx: Context) -> None:
    """Return when AWS lists each machine that this run has launched, or after 31 seconds.

    What was launched a moment ago may not be listed yet, and where the answer was lost only the
    token of the request says that a machine may have come.
    https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    """

    def listed(*, fresh: bool) -> bool | None:
        known = {item.get("ClientToken") for item in ctx.inventory.all("instances", fresh=fresh)}
        return ctx.launches <= known or None

    if not listed(fresh=False):
        wait_visible(lambda: listed(fresh=True), clock=ctx.clock)


def _await_groups(ctx: Context) -> None:
    """Return when AWS lists each group of machines that this run has found or made, or after 31 s.

    The step of the deadline follows only the requests for the groups: its list may be from before a
    new one became visible.
    """
    config = ctx.config
    scaling = [f"auto-scaling group {spec.group}" for spec in auto_scaling_specs(config)]
    _await_listed(ctx, "auto-scaling groups", "AutoScalingGroupName", scaling)
    eks = [spec.group for spec in every_node_group(config)]
    _await_listed(ctx, "node groups", "nodegroupName", eks)


def _await_listed(ctx: Context, kind: str, name: str, steps: Sequence[str]) -> None:
    made = {ctx.found[step].id for step in steps if step in ctx.found} - {""}

    def listed(*, fresh: bool) -> bool | None:
        return made <= {item[name] for item in ctx.inventory.all(kind, fresh=fresh)} or None

    if made and not listed(fresh=False):
        wait_visible(lambda: listed(fresh=True), clock=ctx.clock)


def _may_be_set(ctx: Context) -> bool:
    """Return whether machines run, and the plan did not find that this run may set no deadline."""
    planned = [ctx.found.get(name) for name in (DeadlineRole.name, NAME)]
    if any(found is not None and found.skipped for found in planned):
        return False
    return any(part.in_use for part in stoppable(ctx))


def _has_role(ctx: Context) -> bool:
    """Return whether the schedules' role exists as it should; make what is missing of it.

    One that this run may not make, or that is another deployment's, has been reported.
    """
    step, role = DeadlineRole(), ctx.found.get(DeadlineRole.name)
    if role is None or role.drift:
        role = step.find(ctx)
        if role is None:
            role = step.create(ctx)
        elif role.drift and not any(drift.fix for drift in role.drift):
            role = step.update(ctx, role)
        ctx.found[step.name] = role
    return not role.skipped and not any(drift.fix for drift in role.drift)
