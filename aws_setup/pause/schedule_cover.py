"""Which machines the schedules of a deadline stop, and which of them AWS has still to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.deadline import Schedules
from aws_setup.aws.inventory import schedule_group_name
from aws_setup.infrastructure.deadline_role import deadline_role_arn
from aws_setup.pause.deadline_targets import Stoppable


@dataclass(frozen=True)
class Covered:
    """A part of the deployment and whether a schedule stops it.

    `like` is set where only a schedule of the same time for the same name exists: it has another
    content, as one of another version of these scripts, or one for a machine that is gone.
    """

    part: Stoppable
    exact: bool
    like: bool = False


def wanted_schedules(
    ctx: Context, parts: Sequence[Stoppable], deadline: datetime, *, now: datetime | None = None
) -> dict[str, dict[str, Any]]:
    """Return the requests of the schedules that stop everything, by their names.

    Args:
        ctx: the run's context.
        parts: what the deadline stops.
        deadline: the deadline.
        now: leave out those whose time has passed: CreateSchedule refuses them.
    """
    group, role = schedule_group_name(ctx.config), deadline_role_arn(ctx)
    coming = [part for part in parts if now is None or part.target.starts(deadline) > now]
    requests = [part.target.schedule(deadline, group=group, role=role) for part in coming]
    return {request["Name"]: request for request in requests}


def covered(
    ctx: Context, schedules: Schedules, parts: Sequence[Stoppable], deadline: datetime
) -> list[Covered]:
    """Return for each part whether a schedule of `deadline` stops it."""
    wanted = wanted_schedules(ctx, parts, deadline)
    others = {_without_digest(name) for name in schedules.kept - wanted.keys()}
    return [
        Covered(part, name in schedules.kept, _without_digest(name) in others)
        for part, name in zip(parts, wanted, strict=True)
    ]


def is_stopping(ctx: Context, schedules: Schedules, parts: Sequence[Stoppable]) -> bool:
    """Return whether AWS carries the deadline out: it has passed, and a machine is still to stop.

    Clients and nodes are stopped first, the servers later, and what is refused is tried again.
    """
    deadline, now = schedules.deadline, ctx.clock.today()
    if deadline is None or deadline > now:
        return False
    return any(
        one.part.in_use and (one.exact or one.like) and one.part.target.ends(deadline) > now
        for one in covered(ctx, schedules, parts, deadline)
    )


def _without_digest(name: str) -> str:
    """Return what and when a schedule stops, without the digest of how."""
    return name.rpartition(".")[0]
