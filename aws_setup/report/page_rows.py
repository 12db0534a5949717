"""The rows of the page: runs, steps and costs, and the state of every step after some runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.pricing import HOURS_A_MONTH
from aws_setup.engine.history import PlannedStep, RunRecord
from aws_setup.engine.step import Action
from aws_setup.errors import Problem
from aws_setup.report.architecture_svg import StepMark
from aws_setup.report.gantt_svg import took
from aws_setup.report.timeline import (
    SpanOutcome,
    StepSpan,
    critical_path,
    path_seconds,
    spans,
    total_seconds,
)

KINDS: Mapping[str, StepMark] = {
    SpanOutcome.EXISTS: StepMark("exists", "exists"),
    SpanOutcome.CREATED: StepMark("created", "created"),
    SpanOutcome.UPDATED: StepMark("updated", "updated"),
    SpanOutcome.DELETED: StepMark("deleted", "deleted"),
    SpanOutcome.FAILED: StepMark("failed", "failed"),
    SpanOutcome.BLOCKED: StepMark("blocked", "not started"),
    SpanOutcome.UNFINISHED: StepMark("unfinished", "unfinished"),
}
"""Outcome -> its mark."""

PLANNED: Mapping[str, StepMark] = {
    Action.EXISTS: StepMark("exists", "exists"),
    Action.DELETE: StepMark("exists", "exists"),
    Action.CREATE: StepMark("planned", "to create"),
    Action.UPDATE: StepMark("planned", "to update"),
    Action.CONFLICT: StepMark("failed", "conflict"),
    Action.UNKNOWN: StepMark("failed", "unknown"),
}
"""Planned action of a step that the run did not act on -> its mark."""

OF_ANOTHER_VERSION = StepMark("planned", "planned")
"""The mark of an action that this version does not know: a log may be of a later one."""

EXISTING = frozenset({"exists", "created", "updated"})
"""Kinds of marks of resources that exist after a run."""


def step_marks(records: Iterable[RunRecord]) -> dict[str, StepMark]:
    """Return each step's mark after the runs.

    The newest run decides, except that `created` and `updated` stay where later runs only found
    that the step exists.
    """
    known: dict[str, StepMark] = {}
    for record in records:
        marks = {
            step: PLANNED.get(planned.action, OF_ANOTHER_VERSION)
            for step, planned in record.head.plan.items()
        }
        if record.events:
            late = {step for step, mark in marks.items() if mark.kind == "planned"}
            marks |= dict.fromkeys(late, KINDS[SpanOutcome.BLOCKED])
        marks |= {span.step: KINDS[span.outcome] for span in spans(record)}
        known |= {
            step: mark
            for step, mark in marks.items()
            if mark.kind != "exists" or step not in known or known[step].kind not in EXISTING
        }
    return known


def marks_before(records: Iterable[RunRecord]) -> dict[str, StepMark]:
    """Return the marks of what exists after earlier runs, as far as the log knows."""
    known = step_marks(records)
    exists = KINDS[SpanOutcome.EXISTS]
    return {step: exists for step, mark in known.items() if mark.kind in EXISTING}


NONE = "–"
"""The text of a cell without a value."""

UNKNOWN = StepMark("", "")
NOT_PLANNED = PlannedStep("")
NOT_RUN = StepSpan("", 0.0, 0.0, SpanOutcome.BLOCKED)
"""A step's state, plan and span, where the record has none."""

RESULTS = {"ok": "done", "leftovers": "resources remain", "": "did not end"}
"""A run's result -> its text, where that differs."""


@dataclass(frozen=True)
class CostRow:
    """A line of the costs, in US dollars."""

    part: str
    hourly: float

    @property
    def monthly(self) -> float:
        """The costs of a month, with the hours that AWS counts for one."""
        return self.hourly * HOURS_A_MONTH


@dataclass(frozen=True)
class CheckRow:
    """A row of the table of checks."""

    name: str
    result: str
    took: str
    cause: str
    fix: str


def check_row(check: Mapping[str, Any]) -> CheckRow:
    """Return the row of a check of verify; a skipped one took no time."""
    seconds = float(check["seconds"])
    return CheckRow(
        str(check["name"]),
        str(check["result"]),
        NONE if check["result"] == "skipped" else took(seconds),
        str(check["cause"]),
        str(check["fix"]),
    )


@dataclass(frozen=True)
class StepRow:
    """A row of the table of steps."""

    name: str
    kind: str
    action: str
    state: str
    id: str
    needs: str
    start: str
    took: str
    why: str
    critical: bool


@dataclass(frozen=True)
class StepColumn:
    """A column of the table of steps after the name: a field of StepRow, and its title."""

    field: str
    title: str
    number: bool = False


STEP_COLUMNS = (
    StepColumn("action", "Action"),
    StepColumn("state", "State"),
    StepColumn("id", "Id"),
    StepColumn("needs", "Needs"),
    StepColumn("start", "Started at", number=True),
    StepColumn("took", "Took", number=True),
)
"""The columns in their order; `page.css` sets their widths by field."""


@dataclass(frozen=True)
class RunRow:
    """A row of the table of runs, and the run's table of steps."""

    command: str
    result: str
    started: str
    took: str
    path: str
    changed: int
    api_calls: str
    problems: tuple[Problem, ...]
    columns: tuple[StepColumn, ...]
    steps: tuple[StepRow, ...]


def result_word(record: RunRecord) -> str:
    """Return the result of a run as text."""
    result = record.end.result if record.end else ""
    return RESULTS.get(result, result)


def cost_rows(records: Sequence[RunRecord]) -> list[CostRow]:
    """Return the costs by part: of each script the newest prices count, as each prices its own."""
    by_script = {r.head.script: r.head.parts for r in records if r.head.parts}
    parts: dict[str, float] = {}
    for priced in by_script.values():
        for part, hourly in priced.items():
            parts[part] = parts.get(part, 0.0) + hourly
    return [CostRow(part, hourly) for part, hourly in sorted(parts.items(), key=lambda p: -p[1])]


def run_row(record: RunRecord) -> RunRow:
    """Return the row of a run."""
    path, end = critical_path(record), record.end
    found = {span.step: span for span in spans(record)}
    acted = any(span.acted for span in found.values())
    deleting = any(planned.action == "delete" for planned in record.head.plan.values())
    known = step_marks([record])
    names = {link.span.step for link in path} if acted else set()
    return RunRow(
        command=record.head.command,
        result=result_word(record),
        started=record.head.started.replace("T", " ").replace("+00:00", " UTC") or NONE,
        took=took(end.seconds if end else total_seconds(record)),
        path=took(path_seconds(path)) if acted else NONE,
        changed=sum(span.changed for span in found.values()),
        api_calls=str(end.api_calls) if end else NONE,
        problems=end.problems if end else (),
        columns=tuple(
            replace(column, title="After") if deleting and column.field == "needs" else column
            for column in STEP_COLUMNS
        ),
        steps=tuple(
            _step_row(
                record,
                step,
                found.get(step, NOT_RUN),
                known.get(step, UNKNOWN),
                critical=step in names,
            )
            for step in _steps(record, found)
        ),
    )


def _steps(record: RunRecord, found: Mapping[str, StepSpan]) -> list[str]:
    """Return every step of the record, in the table's order."""
    return list({**record.head.plan, **record.head.needs, **found})


def _step_row(
    record: RunRecord, step: str, span: StepSpan, mark: StepMark, *, critical: bool
) -> StepRow:
    planned = record.head.plan.get(step, NOT_PLANNED)
    return StepRow(
        name=step,
        kind=mark.kind,
        action=planned.action or NONE,
        state=(planned.state if mark.kind == "exists" else "") or mark.word,
        id=span.id or planned.id,
        needs=", ".join(record.head.predecessors(step)),
        start=took(span.start) if span.acted else "",
        took=took(span.seconds) if span.acted else "",
        why=span.text,
        critical=critical,
    )
