"""The verb extend: moves the deadline at which AWS stops the deployment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.deadline import Schedules, full_minute
from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.paused import display_time
from aws_setup.cli.commands import ScriptRun, confirm_writes
from aws_setup.cli.deadline import report_deadline
from aws_setup.config.durations import LONGEST, NEVER, parse_duration
from aws_setup.engine.wording import count_of
from aws_setup.errors import Refused
from aws_setup.infrastructure.renamed_cluster import refuse_renamed
from aws_setup.pause.deadline import read_schedules, set_deadline
from aws_setup.pause.deadline_targets import Stoppable, stoppable
from aws_setup.pause.schedule_cover import is_stopping

CREATE = "run python create_aws_infrastructure.py, which sets one"


def check_duration(verb: str, duration: str | None) -> None:
    """Refuse a duration that is missing or wrong.

    Raises:
        Refused: in one line, before AWS is asked.
    """
    if verb != "extend":
        return
    if not duration:
        raise Refused("extend needs a duration", "none is given", "add one, as in extend 6h")
    try:
        parse_duration(duration)
    except ValueError as error:
        raise Refused(f"extend: {error}", "", "write extend 6h") from None


def extend(run: ScriptRun) -> None:
    """Move the deadline by the duration; one that has passed counts from now.

    Raises:
        Refused: there is no deadline, the deployment is paused or is being stopped, or the new
            deadline is too far away.
    """
    run.ctx.refresh()
    refuse_renamed(run.ctx)
    schedules, parts = read_schedules(run.ctx), stoppable(run.ctx)
    present = _present(run, schedules, parts)
    deadline = full_minute(_moved(run, present))
    if schedules is None:
        return
    run.report.result(f"Deadline: {display_time(present)} -> {display_time(deadline)}")
    confirm_writes(run, "move the deadline")
    run.take_lock()
    try:
        set_deadline(run.ctx, schedules, parts, deadline)
    except (ClientError, BotoCoreError) as error:
        # What has been written is no refusal any more.
        raise to_setup_error(error) from error
    run.ctx.inventory.all("deadline", fresh=True)
    report_deadline(run, run.ctx)


def _present(run: ScriptRun, schedules: Schedules | None, parts: Sequence[Stoppable]) -> datetime:
    """Return the present deadline."""
    config = run.ctx.config
    if config.auto_pause_after == NEVER:
        why = "auto_pause_after is never"
        raise Refused("there is no deadline to move", why, "set auto_pause_after: 12h, then create")
    if schedules is None or schedules.deadline is None:
        why = f"no schedule of {config.deployment_name} exists in {run.ctx.aws.region}"
        raise Refused("there is no deadline to move", why, CREATE)
    hint = "run python create_aws_infrastructure.py resume, which sets a new deadline"
    if not any(part.in_use for part in parts):
        raise Refused("the deployment is paused", "none of its machines runs", hint)
    if is_stopping(run.ctx, schedules, parts):
        # Later schedules would keep the machines running that have not stopped yet, and only them.
        why = f"AWS began to stop its machines at {display_time(schedules.deadline)}"
        raise Refused("the deployment is being stopped", why, hint)
    return schedules.deadline


def _moved(run: ScriptRun, present: datetime) -> datetime:
    now = run.clock.today()
    moved: datetime = max(present, now) + parse_duration(run.duration)
    if moved - now > LONGEST:
        days = LONGEST // timedelta(days=1)
        why = f"{display_time(moved)} is more than {count_of(days, 'day')} from now"
        raise Refused("the deadline is too far away", why, "extend it by less")
    return moved
