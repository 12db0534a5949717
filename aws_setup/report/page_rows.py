"""How every step stands after some runs: the marks with which the architecture is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aws_setup.aws.pricing import HOURS_A_MONTH
from aws_setup.engine.history import PlannedStep, RunRecord
from aws_setup.engine.step import Action
from aws_setup.errors import Problem
from aws_setup.report.architecture_svg import StepMark
from aws_setup.report.gantt_svg import took
from aws_setup.report.timeline import (
    Span,
    SpanOutcome,
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
"""What a look says, of a step that the run did nothing about -> its mark."""

THERE = frozenset({"exists", "created", "updated"})
"""Kinds of what an earlier run left standing."""


def step_marks(records: Iterable[RunRecord]) -> dict[str, StepMark]:
    """Return each step's mark after the runs: the last word about it, and what made it if it is."""
    known: dict[str, StepMark] = {}
    for record in records:
        said = {step: PLANNED[planned.action] for step, planned in record.head.plan.items()}
        if record.events:
            late = {step for step, mark in said.items() if mark.kind == "planned"}
            said |= dict.fromkeys(late, KINDS[SpanOutcome.BLOCKED])
        said |= {span.step: KINDS[span.outcome] for span in spans(record)}
        still = {step for step, mark in said.items() if mark.kind == "exists" and step in known}
        known |= {
            step: mark
            for step, mark in said.items()
            if step not in still or known[step].kind not in THERE
        }
    return known


def records_before(records: Iterable[RunRecord]) -> dict[str, StepMark]:
    """Return the marks of what earlier runs left standing: it exists, as far as the log knows."""
    known = step_marks(records)
    return {step: KINDS[SpanOutcome.EXISTS] for step, mark in known.items() if mark.kind in THERE}


NONE = "–"
"""What stands in a cell that has nothing to say."""

UNKNOWN = StepMark("", "")
NOTHING = PlannedStep("")
NEVER = Span("", 0.0, 0.0, SpanOutcome.BLOCKED)
"""How a step is, what was planned for it and how it ran, where the record does not say."""

RESULTS = {"ok": "done", "leftovers": "left something", "": "did not end"}
"""A run's result -> its word, where that is another."""


@dataclass(frozen=True)
class CostRow:
    """A line of the costs, in US dollars."""

    part: str
    hourly: float

    @property
    def monthly(self) -> float:
        """What it costs in the hours of a month, as AWS counts them."""
        return self.hourly * HOURS_A_MONTH


@dataclass(frozen=True)
class StepRow:
    """A line of the table of steps."""

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
class RunRow:
    """What the page says about one run."""

    command: str
    result: str
    started: str
    took: str
    path: str
    changed: int
    api_calls: str
    problems: tuple[Problem, ...]
    needs_title: str
    steps: tuple[StepRow, ...]


def result_word(record: RunRecord) -> str:
    """Return how a run ended, in a word or two."""
    result = record.end.result if record.end else ""
    return RESULTS.get(result, result)


def cost_rows(records: Sequence[RunRecord]) -> list[CostRow]:
    """Return the costs by part: each script prices its own things, and its newest word counts."""
    by_script = {r.head.script: r.head.parts for r in records if r.head.parts}
    parts: dict[str, float] = {}
    for priced in by_script.values():
        for part, hourly in priced.items():
            parts[part] = parts.get(part, 0.0) + hourly
    return [CostRow(part, hourly) for part, hourly in sorted(parts.items(), key=lambda p: -p[1])]


def run_row(record: RunRecord) -> RunRow:
    """Return what the page says about a run."""
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
        needs_title="After" if deleting else "Needs",
        steps=tuple(
            _line(
                record,
                step,
                found.get(step, NEVER),
                known.get(step, UNKNOWN),
                critical=step in names,
            )
            for step in _steps(record, found)
        ),
    )


def _steps(record: RunRecord, found: Mapping[str, Span]) -> list[str]:
    """Return every step that the run knows of, in the table's order."""
    return list({**record.head.plan, **record.head.needs, **found})


def _line(record: RunRecord, step: str, span: Span, mark: StepMark, *, critical: bool) -> StepRow:
    planned = record.head.plan.get(step, NOTHING)
    return StepRow(
        name=step,
        kind=mark.kind,
        action=planned.action or NONE,
        state=(planned.state if mark.kind == "exists" else "") or mark.word,
        id=span.id or planned.id,
        needs=", ".join(record.head.needs.get(step, ())),
        start=took(span.start) if span.acted else "",
        took=took(span.seconds) if span.acted else "",
        why=span.text,
        critical=critical,
    )
