"""What a run says about the deadline: one line, and the same as data for --json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS
from aws_setup.aws.paused import deadline_of, display_time, stopped_by_deadline
from aws_setup.config.durations import NEVER
from aws_setup.engine.plan import shorten
from aws_setup.errors import Problem
from aws_setup.infrastructure.deadline_role import NOTHING_STOPS
from aws_setup.pause.deadline import read_schedules, wanted_schedules
from aws_setup.pause.deadline_targets import Stoppable, stoppable

SCRIPT = "python create_aws_infrastructure.py"


_SAID = ("text", "warning")
"""Fields that are printed, or are in the document as a warning."""


@dataclass(frozen=True)
class DeadlineReport:
    """The deadline at the end of a run.

    `state` is one of: set, partial (some machines are not stopped), fired (the deadline has stopped
    machines), paused (by hand), passed (machines run all the same), never, none (no deadline, or no
    permission to list it). `warning` says what nothing will stop.
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
        schedules = read_schedules(ctx) if parts and after != NEVER else None
    except AWS_ERRORS:
        return DeadlineReport(after, "none", text=f"No deadline is known: {NOTHING_STOPS}.")
    if not parts:
        return None
    deadline = schedules.deadline if schedules else None
    paused = _paused(after, parts, deadline)
    if paused:
        return paused
    if after == NEVER:
        return DeadlineReport(after, "never", text=f"auto_pause_after is never: {_STOP_YOURSELF}")
    if schedules is None or deadline is None:
        text = f"No deadline is set: {NOTHING_STOPS}."
        warning = _NOT_SET if any(part.runs for part in parts) else None
        return DeadlineReport(after, "none", text=text, warning=warning)
    wanted = wanted_schedules(ctx, parts, deadline)
    kept = set(schedules.names) - set(schedules.changed)
    missing = [
        part.target.slug
        for part, name in zip(parts, wanted, strict=True)
        if part.runs and name not in kept
    ]
    return _coming(after, deadline, deadline - ctx.clock.today(), missing)


def _paused(
    after: str, parts: Sequence[Stoppable], deadline: datetime | None
) -> DeadlineReport | None:
    """Return the report of a deployment that is stopped; None for one that runs."""
    fired = _fired(parts)
    if fired:
        at = min(fired)
        text = f"Paused at {display_time(at)} by the deadline; start it: {SCRIPT} resume"
        return DeadlineReport(after, "fired", deadline or at, at, text)
    if any(part.paused for part in parts) and not any(part.runs for part in parts):
        text = f"The deployment is paused; {SCRIPT} resume sets a new deadline."
        return DeadlineReport(after, "paused", deadline, text=text)
    return None


def _coming(
    after: str, deadline: datetime, left: timedelta, missing: Sequence[str]
) -> DeadlineReport:
    """Return the report of a deployment whose machines run; `missing` have no schedule."""
    if left <= timedelta():
        text = f"The deadline passed at {display_time(deadline)}, and machines run: {_AGAIN}"
        return DeadlineReport(after, "passed", deadline, text=text)
    if missing:
        text = f"AWS stops machines at {display_time(deadline)}, but not {shorten(missing)}."
        why = f"their schedules of {display_time(deadline)} are missing or were changed"
        warning = Problem(f"nothing will stop {shorten(missing)} by itself", why, _SET)
        return DeadlineReport(after, "partial", deadline, text=text, warning=warning)
    text = (
        f"AWS stops all machines at {display_time(deadline)}, in {_duration(left)}; all data is "
        f"kept. To move it: {SCRIPT} extend 6h"
    )
    return DeadlineReport(after, "set", deadline, text=text)


_STOP_YOURSELF = f"{NOTHING_STOPS}; {SCRIPT} pause stops it."
_SET = f"run {SCRIPT} create, which sets the deadline; {SCRIPT} pause stops the machines now"
_NOT_SET = Problem(NOTHING_STOPS, "its machines run, and no deadline is set", _SET)
_AGAIN = f"{SCRIPT} pause stops them, {SCRIPT} create sets a new deadline."


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
