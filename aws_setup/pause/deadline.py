"""The deadline: the step that sets, moves and removes what makes AWS stop a deployment by itself.

The order of its writes keeps a run that is killed anywhere safe: a resource has its tags before
its first schedule exists, a new schedule exists before an old one is deleted, and the tags of what
has a schedule change between the two. They are removed when no schedule exists any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.deadline import AFTER_TAG, Schedules, full_minute, schedules_of
from aws_setup.aws.errors import describe_error
from aws_setup.aws.inventory import schedule_group_name
from aws_setup.aws.outages import NO_ANSWER
from aws_setup.aws.paused import display_time
from aws_setup.aws.session import error_code
from aws_setup.aws.tag_drift import Tagged, TaggedItem, is_own
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list, tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config.durations import parse_duration
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import Problem, SetupError
from aws_setup.infrastructure.deadline_role import (
    DeadlineRole,
    checked,
    is_unavailable,
    nothing_denied,
    without_deadline,
    write_deadline_tags,
)
from aws_setup.pause.deadline_targets import Stoppable, is_marked, mark, stoppable, unmark
from aws_setup.pause.schedule_cover import is_stopping, wanted_schedules

NAME = "deadline"

HINT_TAGS = "grant it, then run the same command again; nothing stops by itself any more"

ROLE_LAG = "must allow AWS EventBridge Scheduler to assume the role"
"""Text of CreateSchedule's ValidationException while a new role is not visible yet."""


@dataclass(frozen=True)
class Deadline(Tagged, Step):
    """The schedule group with one schedule for each VM and each group of machines.

    `follows` are the steps whose machines it stops. With `renews` a deployment that is paused gets
    a new deadline, counted from now. `surplus` is set by auto_pause_after: never.
    """

    needs: tuple[str, ...] = (DeadlineRole.name,)
    follows: tuple[str, ...] = ()
    surplus: bool = False
    renews: bool = False
    denied: Callable[[Context], Sequence[str]] = nothing_denied
    name: str = NAME
    part: str = "deadline"

    def find(self, ctx: Context) -> Found | None:
        """Return the schedule group; what it does not stop, and a passed deadline, is drift."""
        role = ctx.found.get(DeadlineRole.name)
        if role and role.skipped:
            return Found("", skipped=role.skipped)
        try:
            group = read_schedules(ctx)
        except (ClientError, *NO_ANSWER) as error:
            if not is_unavailable(ctx, error, service="scheduler"):
                raise
            if ctx.owned_only and isinstance(error, NO_ANSWER):
                ctx.warn(_unseen(ctx, error))
            return None if self.surplus or ctx.owned_only else without_deadline(ctx, error)
        if group is None:
            return _only_tags(ctx) if self.surplus else self._checked(ctx, None)
        if self.surplus and not owns_schedules(ctx, group):
            return None
        return self._checked(ctx, _found(ctx, group, self._drift(ctx, group)))

    def _checked(self, ctx: Context, found: Found | None) -> Found | None:
        """Return what was found, or that it is skipped; a role to be made has asked before."""
        role = ctx.found.get(DeadlineRole.name)
        asks = role and not role.drift and not self.surplus and not ctx.owned_only
        return checked(ctx, found, self.denied) if asks else found

    def _drift(self, ctx: Context, group: Schedules) -> tuple[Drift, ...]:
        config, owner = ctx.config, group.tags.get(DEPLOYMENT_TAG, "")
        if not owns_schedules(ctx, group):
            fix = f"delete the schedule group {schedule_group_name(config)}"
            has = owner or "no deployment"
            return (Drift("owner", has, config.deployment_name, fix, DriftKey.OWNER),)
        if self.surplus or ctx.owned_only:
            return ()
        parts = stoppable(ctx)
        deadline = self._next(ctx, group, parts)
        if deadline != group.deadline:
            has = display_time(group.deadline) if group.deadline else "none"
            return (Drift("deadline", has, display_time(deadline)),) if deadline else ()
        if deadline is None:
            return ()
        now = ctx.clock.today()
        wanted = wanted_schedules(ctx, parts, deadline, now=now)
        missing = wanted.keys() - group.kept
        if missing or any(part.lacks(deadline) for part in parts):
            has = f"{len(wanted) - len(missing)} of {len(wanted)}"
            return (Drift("schedules", has, "all, and the tags for resume"),)
        surplus = [name for name in group.names if name not in wanted and deadline > now]
        return (Drift("schedules", f"{len(surplus)} not needed", "deleted"),) if surplus else ()

    def _next(self, ctx: Context, group: Schedules, parts: Sequence[Stoppable]) -> datetime | None:
        """Return the deadline that the deployment should have; the present one where it fits."""
        present, now = group.deadline, ctx.clock.today()
        if not parts or not (self.renews or any(part.in_use for part in parts)):
            return present
        renew = self.renews and any(part.paused for part in parts)
        if present and present > now and group.after == ctx.config.auto_pause_after and not renew:
            return present
        # A new one while AWS stops the machines would keep the servers running without clients.
        stopping = not self.renews and is_stopping(ctx, group, parts)
        return present if stopping else first_deadline(ctx)

    def tagged(self, ctx: Context, found: Found) -> Sequence[TaggedItem]:
        """Return the schedule group with its tags; who may not write them is warned."""
        group = None if self.surplus else read_schedules(ctx)
        if group is None:
            return []
        write = partial(write_deadline_tags, ctx, partial(_write_tags, ctx))
        return [TaggedItem(group.arn, group.tags, tags(ctx.config, NAME), write)]

    def create(self, ctx: Context) -> Found:
        """Create group and schedules for what exists."""
        role = ctx.found.get(DeadlineRole.name)
        if role and role.skipped:
            return Found("", skipped=role.skipped)
        try:
            return self._apply(ctx)
        except (ClientError, *NO_ANSWER) as error:
            if not is_unavailable(ctx, error, service="scheduler"):
                raise
            return without_deadline(ctx, error)

    def _apply(self, ctx: Context) -> Found:
        group = ensure_group(ctx)
        parts = stoppable(ctx, fresh=True)
        deadline = self._next(ctx, group, parts)
        if deadline:
            set_deadline(ctx, group, parts, deadline)
        return _found(ctx, read_schedules(ctx, fresh=True) or group)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the group, with which AWS deletes its schedules, then the tags of its deadline."""
        if not found.id:
            return
        scheduler, name = ctx.aws.scheduler, schedule_group_name(ctx.config)

        def gone() -> bool | Pending:
            try:
                group = scheduler.get_schedule_group(Name=name)
                if group["State"] != "DELETING":
                    scheduler.delete_schedule_group(Name=name)
            except scheduler.exceptions.ResourceNotFoundException:
                return True
            except scheduler.exceptions.ConflictException:
                return Pending("in use")
            return Pending("DELETING")

        what = f"the schedule group {name} is deleted"
        takes = MEDIANS["schedule group deleted"]
        ctx.wait_until(what, gone, deadline=600, pause=5, usual=takes)
        _remove_tags(ctx)


def _only_tags(ctx: Context) -> Found | None:
    """Return the tags of a deadline without schedules; destroy deletes them with what has them."""
    if ctx.owned_only or not any(map(is_marked, stoppable(ctx))):
        return None
    return Found(schedule_group_name(ctx.config), "only tags")


def _remove_tags(ctx: Context) -> None:
    """Remove the deadline's tags from what exists still; without the permission it is a warning."""
    try:
        unmark(ctx, stoppable(ctx, fresh=True))
    except ClientError as error:
        if not is_unavailable(ctx, error):
            raise
        ctx.warn(Problem("the deadline's tags were not removed", describe_error(error), HINT_TAGS))
    for kind in ("instances", "auto-scaling groups", "node groups", NAME):
        ctx.inventory.refresh(kind)


def _unseen(ctx: Context, error: Exception) -> Problem:
    """Return the warning of a destroy that could not ask for the schedules."""
    name = schedule_group_name(ctx.config)
    what = f"whether the schedule group {name} exists is not known: it was not deleted"
    fix = f"run `aws scheduler delete-schedule-group --name {name}` where the network allows it"
    return Problem(what, describe_error(error), fix)


def owns_schedules(ctx: Context, group: Schedules) -> bool:
    """Return whether a schedule group is this deployment's; another one may have its name."""
    return is_own(group.tags, deployment=ctx.config.deployment_name, step=NAME)


def _write_tags(ctx: Context, arns: Sequence[str], missing: Mapping[str, str]) -> None:
    for arn in arns:
        ctx.aws.scheduler.tag_resource(ResourceArn=arn, Tags=as_list(missing))


def _found(ctx: Context, group: Schedules, drift: tuple[Drift, ...] = ()) -> Found:
    deadline = group.deadline
    at = deadline.isoformat() if deadline else None
    state = f"stops at {display_time(deadline)}" if deadline else "stops nothing yet"
    if deadline and deadline <= ctx.clock.today():
        state = f"passed at {display_time(deadline)}"
    facts = {"deadline": at, "schedules": len(group.names)}
    return Found(schedule_group_name(ctx.config), state, facts, drift, ids=group.names)


def read_schedules(ctx: Context, *, fresh: bool = False) -> Schedules | None:
    """Return the deployment's schedules as the inventory has them; None without a group."""
    return schedules_of(ctx.inventory.all("deadline", fresh=fresh))


def first_deadline(ctx: Context) -> datetime:
    """Return the deadline that auto_pause_after sets now."""
    return full_minute(ctx.clock.today() + parse_duration(ctx.config.auto_pause_after))


def ensure_group(ctx: Context) -> Schedules:
    """Return the schedule group, created where it does not exist.

    Raises:
        SetupError: the group of its name belongs to another deployment.
    """
    config, scheduler = ctx.config, ctx.aws.scheduler
    name = schedule_group_name(config)
    marks = tags(config, NAME) | {AFTER_TAG: config.auto_pause_after}

    def create() -> Schedules | None:
        # A group is ACTIVE from its creation on. While one exists, or is being deleted, its name is
        # taken. https://docs.aws.amazon.com/scheduler/latest/APIReference/API_GetScheduleGroup.html
        with suppress(scheduler.exceptions.ConflictException):
            made = scheduler.create_schedule_group(Name=name, Tags=as_list(marks))
            return Schedules(str(made["ScheduleGroupArn"]), marks)
        return None

    def probe() -> Schedules | Pending:
        state = _state_of_group(ctx, name)
        found = read_schedules(ctx, fresh=True) if state == "ACTIVE" else None
        return found or create() or Pending(state or "not visible yet")

    found = create() if read_schedules(ctx) is None else None
    if found is None:
        what = f"the schedule group {name} exists"
        found = ctx.wait_until(what, probe, deadline=300, pause=3)
    if not owns_schedules(ctx, found):
        raise SetupError(
            f"the schedule group {name} is not managed by this deployment",
            "its tag names another one, or none",
            "delete it, or set auto_pause_after: never",
        )
    return found


def _state_of_group(ctx: Context, name: str) -> str:
    """Return the state of a schedule group, '' where it does not exist."""
    scheduler = ctx.aws.scheduler
    try:
        return str(scheduler.get_schedule_group(Name=name)["State"])
    except scheduler.exceptions.ResourceNotFoundException:
        return ""


def set_deadline(
    ctx: Context, group: Schedules, parts: Sequence[Stoppable], deadline: datetime
) -> None:
    """Make AWS stop `parts` at `deadline`, and at no other time.

    Of one that has passed nothing is deleted: AWS may still carry its schedules out.
    """
    name, now = schedule_group_name(ctx.config), ctx.clock.today()
    wanted = wanted_schedules(ctx, parts, deadline, now=now)
    mark(ctx, parts, deadline, new=True)
    for changed in group.changed:
        _delete_schedule(ctx, changed)
    for schedule, request in wanted.items():
        if schedule not in group.kept:
            _create_schedule(ctx, request)
    mark(ctx, parts, deadline, new=False)
    if group.after != ctx.config.auto_pause_after:
        marks = as_list({AFTER_TAG: ctx.config.auto_pause_after})
        ctx.aws.scheduler.tag_resource(ResourceArn=group.arn, Tags=marks)
    for schedule in group.kept - wanted.keys() if deadline > now else ():
        _delete_schedule(ctx, schedule)
    ctx.note(f"{name}: stops at {display_time(deadline)}")


def _create_schedule(ctx: Context, request: dict[str, Any]) -> None:
    """Create one schedule; its name says its content, so that an existing one is the same.

    CreateSchedule needs scheduler:CreateSchedule on the schedule and iam:PassRole on the role, and
    checks that it can assume the role, which takes seconds to become visible.
    """
    scheduler = ctx.aws.scheduler

    def probe() -> bool | Pending:
        try:
            scheduler.create_schedule(**request)
        except scheduler.exceptions.ConflictException:
            return True
        except ClientError as error:
            lag = error_code(error) == "ValidationException" and ROLE_LAG in str(error)
            if not lag:
                raise
            return Pending("IAM: the role is not visible yet")
        return True

    what = f"EventBridge Scheduler accepts {request['Name']}"
    ctx.wait_until(what, probe, deadline=120, pause=3)


def _delete_schedule(ctx: Context, name: str) -> None:
    scheduler = ctx.aws.scheduler
    try:
        scheduler.delete_schedule(Name=name, GroupName=schedule_group_name(ctx.config))
    except scheduler.exceptions.ResourceNotFoundException:
        return
