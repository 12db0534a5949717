"""What a run says about the deadline: one line, and the same as data for --json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from aws_setup.aws.context import Context
from aws_setup.aws.deadline import Schedules
from aws_setup.aws.errors import AWS_ERRORS
from aws_setup.aws.paused import deadline_of, display_time, stopped_by_deadline
from aws_setup.config.durations import NEVER
from aws_setup.engine.plan import shorten
from aws_setup.errors import Problem
from aws_setup.infrastructure.deadline_role import NOTHING_STOPS
from aws_setup.pause.deadline import owns_schedules, read_schedules
from aws_setup.pause.deadline_targets import Stoppable, stoppable
from aws_setup.pause.schedule_cover import Covered, covered

SCRIPT = "python create_aws_infrastructure.py"


_SAID = ("text", "warning")
"""Fields that are printed, or are in the document as a warning."""


@dataclass(frozen=True)
class DeadlineReport:
    """The deadline at the end of a run.

    `state` is one of: set, partial (some machines are not stopped, also after the deadline), fired
    (the deadline has stopped the machines), paused (by hand), passed (all machines run all the
    same), never, none (no deadline, or no permission to list it). `warning` says what nothing will
    stop.
    """

    auto_pause_after: str
    state: str
    deadline: datetime | None = None
    paused_at: datetime | None = None
    text: str = ""
    warning: Problem | None = None

    def document(self) -> dict[str, object]:
        """Return the fields of the --json document."""
        times = {"deadline": self.deadline, "paused_at": self.paused_at}
        dates = {key: moment and moment.isoformat() for key, moment in times.items()}
        shown = {key: value for key, value in asdict(self).items() if key not in _SAID}
        return shown | dates


def deadline_report(ctx: Context) -> DeadlineReport | None:
    """Return the report of the deployment, as its inventory has it; None for nothing to stop."""
    after = ctx.config.auto_pause_after
    try:
        parts = stoppable(ctx)
        schedules = read_schedules(ctx) if parts else None
    except AWS_ERRORS:
        if after == NEVER:
            return _unwanted(None, ctx.clock.today())
        return DeadlineReport(after, "none", text=f"No deadline is known: {NOTHING_STOPS}.")
    if not parts:
        return None
    deadline = schedules.deadline if schedules else None
    if not any(part.runs for part in parts) and any(part.paused for part in parts):
        return _paused(after, parts, deadline)
    if after == NEVER:
        # Until create has deleted them, schedules stop the machines, whatever the key says now.
        own = schedules and owns_schedules(ctx, schedules)
        return _unwanted(deadline if own else None, ctx.clock.today())
    return _running(ctx, parts, schedules)


def _unwanted(deadline: datetime | None, now: datetime) -> DeadlineReport:
    """Return the report of auto_pause_after: never; `deadline` is what create has not removed."""
    if deadline is None or deadline <= now:
        text = f"auto_pause_after is never: {NOTHING_STOPS}; {SCRIPT} pause stops it."
        return DeadlineReport(NEVER, "never", text=text)
    text = (
        f"AWS still stops machines at {display_time(deadline)}: auto_pause_after is never, and "
        f"{SCRIPT} create removes that deadline."
    )
    return DeadlineReport(NEVER, "set", deadline, text=text)


def _running(
    ctx: Context, parts: Sequence[Stoppable], schedules: Schedules | None
) -> DeadlineReport:
    """Return the report of machines that run, and may have a deadline."""
    after = ctx.config.auto_pause_after
    deadline = schedules.deadline if schedules else None
    if schedules is None or deadline is None:
        return _without(after, parts)
    now, passed = ctx.clock.today(), deadline <= ctx.clock.today()
    running = [one for one in covered(ctx, schedules, parts, deadline) if one.part.runs]
    late = [one for one in running if passed and one.part.target.ends(deadline) < now]
    missing = [one.part for one in running if one in late or not (one.exact or one.like)]
    if passed:
        return _passed(after, parts, deadline, missing)
    report = _coming(after, deadline, deadline - now, missing, fix=_fix(parts))
    return report if missing else _uncertain(report, running, fix=_fix(parts))


def _uncertain(report: DeadlineReport, running: Sequence[Covered], *, fix: str) -> DeadlineReport:
    """Return the report with a warning of schedules that these scripts have not written so."""
    other = [one.part for one in running if not one.exact]
    if not other:
        return report
    names = _names(other)
    why = (
        "their schedules are not as this version writes them: another version has set them, or "
        "their machines were replaced"
    )
    warning = Problem(f"whether the deadline stops {names} is not certain", why, fix)
    return replace(report, warning=warning)


def _paused(after: str, parts: Sequence[Stoppable], deadline: datetime | None) -> DeadlineReport:
    """Return the report of a deployment of which nothing runs."""
    fired = _fired(parts)
    if not fired:
        text = f"The deployment is paused; {SCRIPT} resume sets a new deadline."
        return DeadlineReport(after, "paused", deadline, text=text)
    at = min(fired)
    text = f"Paused at {display_time(at)} by the deadline; start it: {SCRIPT} resume"
    return DeadlineReport(after, "fired", deadline or at, at, text)


def _without(after: str, parts: Sequence[Stoppable]) -> DeadlineReport:
    """Return the report of machines for which no schedule exists."""
    why = "its machines run, and no deadline is set"
    runs = any(part.runs for part in parts)
    warning = Problem(NOTHING_STOPS, why, _fix(parts)) if runs else None
    text = f"No deadline is set: {NOTHING_STOPS}."
    return DeadlineReport(after, "none", text=text, warning=warning)


def _passed(
    after: str, parts: Sequence[Stoppable], deadline: datetime, missed: Sequence[Stoppable]
) -> DeadlineReport:
    """Return the report of machines that run after the deadline; `missed` run on for ever.

    A schedule is invoked once, and repeats for a while what is refused: after that nothing stops
    its machines, nor those that were started by hand since.
    """
    fired = _fired(parts)
    at = min(fired, default=None)
    if not missed:
        running = [part for part in parts if part.runs]
        if not running:
            text = f"The deadline passed at {display_time(deadline)}; no machine runs."
            return DeadlineReport(after, "passed", deadline, at, text)
        last = max(part.target.ends(deadline) for part in running)
        text = (
            f"AWS began to stop the machines at {display_time(deadline)}; {_names(running)} still "
            f"run, and are to stop by {display_time(last)}."
        )
        return DeadlineReport(after, "fired" if fired else "passed", deadline, at, text)
    fix, names = _fix(parts), _names(missed)
    text = f"The deadline passed at {display_time(deadline)}, but {names} run: {fix}."
    why = f"the deadline passed at {display_time(deadline)}, and its machines run all the same"
    warning = Problem(f"nothing will stop {names} by itself", why, fix)
    return DeadlineReport(after, "partial" if fired else "passed", deadline, at, text, warning)


def _coming(
    after: str, deadline: datetime, left: timedelta, missing: Sequence[Stoppable], *, fix: str
) -> DeadlineReport:
    """Return the report of a deployment whose machines run; `missing` have no schedule."""
    if missing:
        names = _names(missing)
        text = f"AWS stops machines at {display_time(deadline)}, but not {names}."
        why = f"their schedules of {display_time(deadline)} are missing or were changed"
        warning = Problem(f"nothing will stop {names} by itself", why, fix)
        return DeadlineReport(after, "partial", deadline, text=text, warning=warning)
    text = (
        f"AWS stops all machines at {display_time(deadline)}, in {_duration(left)}; all data is "
        f"kept. To move it: {SCRIPT} extend 6h"
    )
    return DeadlineReport(after, "set", deadline, text=text)


def _fix(parts: Sequence[Stoppable]) -> str:
    """Return what stops the machines, and what sets a deadline: create starts nothing paused."""
    if any(part.paused for part in parts):
        return (
            f"run {SCRIPT} pause, which stops the machines now; {SCRIPT} resume starts what is "
            "paused and sets a new deadline"
        )
    return f"run {SCRIPT} create, which sets the deadline; {SCRIPT} pause stops the machines now"


def _names(parts: Sequence[Stoppable]) -> str:
    """Return what some schedules stop: the steps of VMs, each once, and the groups."""
    return shorten(list(dict.fromkeys(part.target.slug for part in parts)))


def _fired(parts: Sequence[Stoppable]) -> list[datetime]:
    """Return the deadlines that have stopped something, by its tags."""
    stopped = [item for part in parts for item in part.items if stopped_by_deadline(item)]
    return [moment for moment in map(deadline_of, stopped) if moment]


def _duration(left: timedelta) -> str:
    """Return a time that is left; over three hours in full hours."""
    minutes = int(left.total_seconds() // 60)
    if minutes > 180:
        minutes = round(minutes / 60) * 60
    days, hours = divmod(minutes // 60, 24)
    parts = [(days, "d"), (hours, "h"), (minutes % 60, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "a minute"
