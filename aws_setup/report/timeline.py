"""The timeline of a recorded run: its spans and its critical path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from aws_setup.engine.history import RunEnded, RunRecord
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.engine.wait import format_duration
from aws_setup.engine.wording import count_of


class SpanOutcome(StrEnum):
    """How a step ended; `unfinished` when the run ended, or was killed, before it did."""

    EXISTS = "exists"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    FAILED = "failed"
    BLOCKED = "not started"
    UNFINISHED = "unfinished"


PAST: Mapping[Action, SpanOutcome] = {
    Action.CREATE: SpanOutcome.CREATED,
    Action.UPDATE: SpanOutcome.UPDATED,
    Action.DELETE: SpanOutcome.DELETED,
}
"""Action -> the outcome of a step that succeeded; with any other action it existed already."""

WAITED = 1.0
"""Seconds: an existing step that took longer was waited for, such as a cluster that starts."""


@dataclass(frozen=True)
class StepSpan:
    """One step in a run: `start` and `end` are seconds since the run's start.

    A step that never started has both at the time when that was certain. `text` is the cause of
    a failure.
    """

    step: str
    start: float
    end: float
    outcome: SpanOutcome
    id: str = ""
    text: str = ""

    @property
    def seconds(self) -> float:
        """The duration of the step."""
        return self.end - self.start

    @property
    def acted(self) -> bool:
        """Whether the run changed it, tried to, or waited for it to become usable."""
        if self.outcome is SpanOutcome.EXISTS:
            return self.seconds >= WAITED
        return self.outcome is not SpanOutcome.BLOCKED

    @property
    def changed(self) -> bool:
        """Whether the run created, updated or deleted it."""
        return self.outcome in PAST.values()


@dataclass(frozen=True)
class Link:
    """A step on the critical path; `idle` is the time from when it could start to its start.

    `waited_for` is the need that ended last; '' for a step that waited for none. Where that is a
    step that it follows, `span` begins when the wait for that step ended.
    """

    span: StepSpan
    waited_for: str = ""
    idle: float = 0.0


def spans(record: RunRecord) -> list[StepSpan]:
    """Return a span for every step that the run has events of, in the order of their start."""
    last = max((event.at for event in record.events), default=0.0)
    until = max(last, record.end.seconds if record.end else 0.0)
    by_step: dict[str, list[StepEvent]] = {}
    for event in record.events:
        by_step.setdefault(event.step, []).append(event)
    found = [_span(step, events, until) for step, events in by_step.items()]
    return sorted(found, key=lambda span: (span.start, span.end))


def _span(step: str, events: Sequence[StepEvent], until: float) -> StepSpan:
    start = events[0].at
    for event in events:
        if event.kind is EventKind.DONE:
            outcome = PAST.get(event.action, SpanOutcome.EXISTS)
            return StepSpan(step, start, event.at, outcome, event.id)
        if event.kind is EventKind.FAILED:
            return StepSpan(step, start, event.at, SpanOutcome.FAILED, text=event.text)
        if event.kind is EventKind.BLOCKED:
            return StepSpan(step, event.at, event.at, SpanOutcome.BLOCKED)
    return StepSpan(step, start, until, SpanOutcome.UNFINISHED)


def total_seconds(record: RunRecord) -> float:
    """Return the seconds from the run's start to the end of its last step."""
    return max((span.end for span in spans(record)), default=0.0)


def worth_drawing(record: RunRecord) -> bool:
    """Whether the run changed or waited for something, and took a second or more."""
    return total_seconds(record) >= 1 and any(span.acted for span in spans(record))


def critical_path(record: RunRecord) -> list[Link]:
    """Return the chain of steps that determined the duration of the run, the first one first.

    Starting at the step that ended last, each previous step is the need that ended last, or the
    step that it follows and that ended last: actual needs and actual times. The run is shorter
    only if one of these steps is faster.
    """
    ran = {span.step: span for span in spans(record) if span.outcome is not SpanOutcome.BLOCKED}
    chain: list[Link] = []
    span = max(ran.values(), key=lambda candidate: (candidate.end, candidate.seconds), default=None)
    while span:
        need = _last_followed(span, ran, record.head.follows)
        if need:
            span = replace(span, start=need.end)
        else:
            need = _last_need(span, ran, record.head.needs)
        ready = need.end if need else 0.0
        chain.append(Link(span, need.step if need else "", max(0.0, span.start - ready)))
        span = need
    return chain[::-1]


def _last_need(
    span: StepSpan, ran: Mapping[str, StepSpan], needs: Mapping[str, Sequence[str]]
) -> StepSpan | None:
    """Return the need that ended last before the step started."""
    spans_of_needs = [ran[need] for need in needs.get(span.step, ()) if need in ran]
    ended = [need for need in spans_of_needs if need.end <= span.start]
    return max(ended, key=lambda need: need.end, default=None)


def _last_followed(
    span: StepSpan, ran: Mapping[str, StepSpan], follows: Mapping[str, Sequence[str]]
) -> StepSpan | None:
    """Return the followed step that ended last, if the step was still waiting for it then."""
    followed = [ran[name] for name in follows.get(span.step, ()) if name in ran]
    within = [other for other in followed if span.start < other.end <= span.end]
    return max(within, key=lambda other: other.end, default=None)


def path_seconds(path: Iterable[Link]) -> float:
    """Return the seconds that the steps of a critical path took, without the idle times."""
    return sum(link.span.seconds for link in path)


def scaled(record: RunRecord, factor: float) -> RunRecord:
    """Return the record with all times multiplied by `factor`, as for a rehearsal's cloud."""
    events = tuple(replace(event, at=event.at * factor) for event in record.events)
    end = record.end
    if end:
        end = RunEnded(end.result, end.seconds * factor, end.api_calls, end.problems)
    return RunRecord(record.head, events, end)


WIDTH, NAME, TIME = 80, 27, 12
"""Columns of the text timeline, of its step names, and of its durations."""

SIGNS = {
    SpanOutcome.FAILED: "failed",
    SpanOutcome.UNFINISHED: "unfinished",
    SpanOutcome.BLOCKED: "not started",
}
"""Outcomes that are written after the bar: those of steps that did not succeed."""


def text_timeline(record: RunRecord, *, ascii_only: bool = False) -> list[str]:
    """Return the run as lines of at most 80 columns: a bar for each step that acted.

    Bars of the critical path are dark, others light; `ascii_only` draws them as # and -.
    """
    dark, light = ("#", "-") if ascii_only else ("█", "░")
    all_spans = spans(record)
    shown = [span for span in all_spans if span.acted or span.outcome is SpanOutcome.BLOCKED]
    path = critical_path(record)
    if not any(span.acted for span in shown):
        return [f"{record.head.command}: nothing to do, {count_of(len(all_spans), 'step')} existed"]
    names = {link.span.step for link in path}
    total = total_seconds(record)
    lines = [
        f"{'step':<{NAME}} {'took':>{TIME}}  0{format_duration(total):>{WIDTH - NAME - TIME - 4}}"
    ]
    lines += [_line(span, total, dark if span.step in names else light) for span in shown]
    existing = len(all_spans) - len(shown)
    if existing:
        lines.append(f"{existing} more existed already.")
    took = format_duration(path_seconds(path))
    path_text = f"{dark} critical path, {took} of {format_duration(total)}"
    return [*lines, f"{path_text}; {light} in parallel"]


def _line(span: StepSpan, total: float, mark: str) -> str:
    width = WIDTH - NAME - TIME - 3
    begin = min(width - 1, int(width * span.start / total)) if total else 0
    length = max(1, round(width * span.seconds / total)) if total else 1
    bar = " " * begin + mark * min(length, width - begin)
    word = SIGNS.get(span.outcome, "")
    if word:
        bar = f"{bar[: width - len(word) - 1]} {word}"
    if span.outcome is SpanOutcome.BLOCKED:
        bar = word
    name = span.step if len(span.step) <= NAME else f"{span.step[: NAME - 1]}…"
    took = format_duration(span.seconds) if span.acted else ""
    return f"{name:<{NAME}} {took:>{TIME}}  {bar}".rstrip()
