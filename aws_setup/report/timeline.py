"""What ran when, and what waited for what: spans and the critical path of a recorded run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from aws_setup.engine.history import RunEnded, RunRecord
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.engine.wait import format_duration


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
"""What was done -> the outcome of a step that ended well; all else was there before."""


WAITED = 1.0
"""Seconds from which on a step that was there already was waited for, as a cluster that starts."""


@dataclass(frozen=True)
class Span:
    """One step in a run: `start` and `end` are seconds since the run's start.

    A step that never started has both at the moment when that was certain. `text` is the reason
    of a failure.
    """

    step: str
    start: float
    end: float
    outcome: SpanOutcome
    id: str = ""
    text: str = ""

    @property
    def seconds(self) -> float:
        """How long the step took."""
        return self.end - self.start

    @property
    def acted(self) -> bool:
        """Whether the run did something about it, tried to, or waited for it to be usable."""
        if self.outcome is SpanOutcome.EXISTS:
            return self.seconds >= WAITED
        return self.outcome is not SpanOutcome.BLOCKED

    @property
    def changed(self) -> bool:
        """Whether the run made, changed or deleted it."""
        return self.outcome in PAST.values()


@dataclass(frozen=True)
class Link:
    """A step on the critical path, and for how long it stood ready before it started.

    `waited_for` is the need that ended last; '' for a step that nothing held back.
    """

    span: Span
    waited_for: str = ""
    idle: float = 0.0


def spans(record: RunRecord) -> list[Span]:
    """Return a span for every step that the run has a word about, in the order of their start."""
    last = max((event.at for event in record.events), default=0.0)
    until = max(last, record.end.seconds if record.end else 0.0)
    by_step: dict[str, list[StepEvent]] = {}
    for event in record.events:
        by_step.setdefault(event.step, []).append(event)
    found = [_span(step, events, until) for step, events in by_step.items()]
    return sorted(found, key=lambda span: (span.start, span.end))


def _span(step: str, events: Sequence[StepEvent], until: float) -> Span:
    start = events[0].at
    for event in events:
        if event.kind is EventKind.DONE:
            outcome = PAST.get(event.action, SpanOutcome.EXISTS)
            return Span(step, start, event.at, outcome, event.id)
        if event.kind is EventKind.FAILED:
            return Span(step, start, event.at, SpanOutcome.FAILED, text=event.text)
        if event.kind is EventKind.BLOCKED:
            return Span(step, event.at, event.at, SpanOutcome.BLOCKED)
    return Span(step, start, until, SpanOutcome.UNFINISHED)


def total_seconds(record: RunRecord) -> float:
    """Return the time from the run's start to the end of its last step."""
    return max((span.end for span in spans(record)), default=0.0)


def worth_drawing(record: RunRecord) -> bool:
    """Whether a run did something that took long enough for a timeline: a second."""
    return total_seconds(record) >= 1 and any(span.acted for span in spans(record))


def critical_path(record: RunRecord) -> list[Link]:
    """Return the chain of steps that decided how long the run took, the first one first.

    From the step that ended last it goes back to the need that ended last before it, and so on:
    real needs and real times. A shorter run needs one of these to be faster.
    """
    ran = {span.step: span for span in spans(record) if span.outcome is not SpanOutcome.BLOCKED}
    chain: list[Link] = []
    span = max(ran.values(), key=lambda one: (one.end, one.seconds), default=None)
    while span:
        before = _held_back_by(span, ran, record.head.needs)
        ready = before.end if before else 0.0
        chain.append(Link(span, before.step if before else "", max(0.0, span.start - ready)))
        span = before
    return chain[::-1]


def _held_back_by(
    span: Span, ran: Mapping[str, Span], needs: Mapping[str, Sequence[str]]
) -> Span | None:
    """Return the need that ended last; one that ended after the start did not hold it back."""
    before = [ran[need] for need in needs.get(span.step, ()) if need in ran]
    held = [one for one in before if one.end <= span.start]
    return max(held, key=lambda one: one.end, default=None)


def path_seconds(path: Iterable[Link]) -> float:
    """Return the time that the steps of a critical path took, without what they stood ready."""
    return sum(link.span.seconds for link in path)


def scaled(record: RunRecord, factor: float) -> RunRecord:
    """Return the record on a clock that is `factor` times as fast, as of a rehearsal's cloud."""
    events = tuple(replace(event, at=event.at * factor) for event in record.events)
    end = record.end
    if end:
        end = RunEnded(end.result, end.seconds * factor, end.api_calls, end.problems)
    return RunRecord(record.head, events, end)


WIDTH, NAME, TIME = 80, 27, 12
"""Columns of the text timeline, of a step's name in it, and of a duration."""

SIGNS = {
    SpanOutcome.FAILED: "failed",
    SpanOutcome.UNFINISHED: "unfinished",
    SpanOutcome.BLOCKED: "not started",
}
"""Outcomes that stand in words after the bar's beginning, as the run did not end well there."""


def text_timeline(record: RunRecord, *, ascii_only: bool = False) -> list[str]:
    """Return the run as lines of at most 80 columns: a bar for each step that did something.

    Bars of the critical path are dark, others light; `ascii_only` draws them as # and -.
    """
    dark, light = ("#", "-") if ascii_only else ("█", "░")
    all_spans = spans(record)
    shown = [span for span in all_spans if span.acted or span.outcome is SpanOutcome.BLOCKED]
    path = critical_path(record)
    if not any(span.acted for span in shown):
        return [f"{record.head.command}: nothing to do, {len(all_spans)} steps were there"]
    names = {link.span.step for link in path}
    total = total_seconds(record)
    lines = [
        f"{'step':<{NAME}} {'took':>{TIME}}  0{format_duration(total):>{WIDTH - NAME - TIME - 4}}"
    ]
    lines += [_line(span, total, dark if span.step in names else light) for span in shown]
    there = len(all_spans) - len(shown)
    if there:
        lines.append(f"{there} more were there already.")
    took = format_duration(path_seconds(path))
    return [*lines, f"{dark} critical path, {took} of {format_duration(total)}; {light} beside it"]


def _line(span: Span, total: float, mark: str) -> str:
    room = WIDTH - NAME - TIME - 3
    begin = min(room - 1, int(room * span.start / total)) if total else 0
    length = max(1, round(room * span.seconds / total)) if total else 1
    bar = " " * begin + mark * min(length, room - begin)
    word = SIGNS.get(span.outcome, "")
    if word:
        bar = f"{bar[: room - len(word) - 1]} {word}"
    if span.outcome is SpanOutcome.BLOCKED:
        bar = word
    name = span.step if len(span.step) <= NAME else f"{span.step[: NAME - 1]}…"
    took = format_duration(span.seconds) if span.acted else ""
    return f"{name:<{NAME}} {took:>{TIME}}  {bar}".rstrip()
