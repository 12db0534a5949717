"""Estimates how long a rehearsed run would take on AWS, step by step.

Waits for AWS use the cloud's clock, which is faster; real work (the software on the machines,
helm) takes the same time. So the waits of each step are multiplied by the speed, and the steps
are scheduled again: each begins when the steps that it needs have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aws_setup.engine.history import RunEnded, RunRecord
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.rehearsal.core.settings import LATENCIES
from aws_setup.rehearsal.kubernetes.controllers.context import DELAYS
from aws_setup.rehearsal.kubernetes.eks_bridge import OPENWHISK_WAITS
from aws_setup.report.timeline import critical_path, spans, total_seconds

WORK_STEPS = frozenset(
    {
        "ssh",
        "zookeeper ensemble",
        "zookeeper znodes",
        "ndb management server",
        "ndb storage",
        "mysqld",
        "ndb tables",
        "lambda-fs format",
        "hopsfs format",
        "ssh between machines",
        "client configuration",
        "openwhisk release",
    }
)
"""Steps without waits for AWS: they work on machines, or run helm."""

HELM_NOTE_PREFIX = "helm "
"""Prefix of the notes of other steps while helm runs."""


_POD = DELAYS["image pulled"] + DELAYS["container started"]

MIN_SECONDS: Mapping[str, float] = {
    "openwhisk address": DELAYS["load balancer created"],
    "openwhisk ready": len(OPENWHISK_WAITS) * _POD + DELAYS["job pod runs"],
    "openwhisk api": LATENCIES["load balancer dns"],
}
"""Minimum seconds on AWS: in the rehearsal these waits pass while helm runs."""


def estimate_on_aws(record: RunRecord, speed: float) -> RunRecord:
    """Return a run with its times on AWS, `speed` times slower than the emulated cloud."""
    raw = {span.step: span for span in spans(record)}
    events: dict[str, list[StepEvent]] = {}
    for event in record.events:
        events.setdefault(event.step, []).append(event)
    ended: dict[str, float] = {}
    laid: list[StepEvent] = []
    for step, span in raw.items():
        before = [need for need in record.head.needs.get(step, ()) if need in ended]
        ready_here = max((raw[need].end for need in before), default=0.0)
        start = max((ended[need] for need in before), default=0.0)
        start += max(0.0, span.start - ready_here)
        placed = _scale_events(events[step], start, speed)
        ended[step] = placed[-1].at
        laid += placed
    total = max(ended.values(), default=0.0)
    laid.sort(key=lambda event: event.at)
    end = record.end
    if end:
        rest = max(0.0, end.seconds - max((span.end for span in raw.values()), default=0.0))
        end = RunEnded(end.result, total + rest, end.api_calls, end.problems)
    return RunRecord(record.head, tuple(laid), end)


def _scale_events(events: Sequence[StepEvent], start: float, speed: float) -> list[StepEvent]:
    """Return a step's events from `start`; after its first note the step waits for AWS."""
    at, before, waits = start, events[0], False
    placed: list[StepEvent] = []
    for event in events:
        at += (event.at - before.at) * (speed if waits else 1.0)
        placed.append(replace(event, at=at))
        if event.kind is EventKind.NOTE:
            waits = event.step not in WORK_STEPS and not event.text.startswith(HELM_NOTE_PREFIX)
        before = event
    least = MIN_SECONDS.get(before.step, 0.0)
    if before.action is Action.CREATE and at - start < least:
        placed[-1] = replace(before, at=start + least)
    return placed


SHORT_STEP_SHARE = 0.01
"""Share of a run's time below which a step off the critical path is not drawn."""


def long_steps(record: RunRecord) -> tuple[RunRecord, int]:
    """Return a run without the short steps off its critical path, and their number.

    Steps that found an existing resource are removed too, and not counted.
    """
    least = total_seconds(record) * SHORT_STEP_SHARE
    deciding = {link.span.step for link in critical_path(record)}
    acted = [span for span in spans(record) if span.acted]
    kept = {item.step for item in acted if item.seconds >= least or item.step in deciding}
    events = tuple(event for event in record.events if event.step in kept)
    return replace(record, events=events), len(acted) - len(kept)
