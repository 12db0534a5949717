"""Estimates how long a rehearsed run would take on AWS, step by step.

Waits for AWS use the cloud's clock, which is faster; real work (the software on the machines,
helm) takes the same time. So the waits of each step are multiplied by the speed, and the steps
are scheduled again: each begins when the steps that it needs have ended, and is waited for
when the steps that it follows have.

A wait is longer here than on AWS where this computer is busy: polls are late, and the emulated
cloud answers slowly. So where AWS's time for a step is known, only that is multiplied, with the
overshoot of the polls; what remains of the wait is this computer's own time and counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from aws_setup.engine.history import RunEnded, RunRecord
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.rehearsal.core.settings import LATENCIES
from aws_setup.rehearsal.kubernetes.controllers.context import DELAYS
from aws_setup.report.timeline import StepSpan, critical_path, spans, total_seconds

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

STAGES = ("zookeeper", "kafka", "init-couchdb", "controller", "invoker", "install-packages")
"""Parts of OpenWhisk of which each becomes ready after the one before it, on new nodes."""


@dataclass(frozen=True)
class MinWait:
    """The minimum seconds of a wait on AWS: in the rehearsal it passes while helm runs.

    They count from the end of the request of the step `since`, or from the start of the wait.
    """

    seconds: float
    since: str = ""


MIN_WAITS: Mapping[str, MinWait] = {
    "openwhisk address": MinWait(DELAYS["load balancer created"], since="openwhisk address"),
    "openwhisk public address": MinWait(
        DELAYS["load balancer created"], since="openwhisk public address"
    ),
    "openwhisk ready": MinWait(len(STAGES) * _POD + DELAYS["job pod runs"]),
    "openwhisk api": MinWait(LATENCIES["load balancer dns"], since="openwhisk public address"),
}
"""Step -> its minimum; a load balancer and its DNS take their time from the Service's creation."""


MACHINES = (
    "ndb manager",
    "ndb data nodes 1",
    "ndb data nodes 2",
    "zookeeper",
    "lambda-fs client",
    "hopsfs client",
)
NODES = ("core-nodes", "invoker-nodes")
_ENDED = LATENCIES["load balancer interfaces deleted"]

AWS_TIMES: Mapping[Action, Mapping[str, float]] = {
    Action.CREATE: {
        "eks cluster": LATENCIES["cluster active"],
        "nat gateway": LATENCIES["nat available"],
        **dict.fromkeys(MACHINES, LATENCIES["instance running"]),
    },
    Action.DELETE: {
        "eks cluster": LATENCIES["cluster deleted"],
        "nat gateway": LATENCIES["nat deleted"] + LATENCIES["address free after nat"],
        "openwhisk public address": DELAYS["load balancer deleted"] + _ENDED,
        "openwhisk address": DELAYS["load balancer deleted"] + _ENDED,
        **dict.fromkeys(MACHINES, LATENCIES["instance terminated"]),
        **dict.fromkeys(NODES, LATENCIES["node group deleted"]),
    },
}
"""Action -> step -> the seconds that AWS takes for it, of steps that wait for nothing else.

A node group that is created also waits for its pods, which this does not know."""

OVERSHOOT = 1.02
"""A wait ends at the first poll after AWS's time: polls are 1 to 2 % of it apart."""


def estimate_on_aws(record: RunRecord, speed: float) -> RunRecord:
    """Return a run with its times on AWS, `speed` times slower than the emulated cloud."""
    schedule = _Schedule(record, speed)
    laid = [event for span in spans(record) for event in schedule.place(span)]
    laid.sort(key=lambda event: event.at)
    end = record.end
    if end:
        rest = max(0.0, end.seconds - total_seconds(replace(record, end=None)))
        total = max(schedule.ended.values(), default=0.0)
        end = RunEnded(end.result, total + rest, end.api_calls, end.problems)
    return RunRecord(record.head, tuple(laid), end)


class _Schedule:
    """The times of the steps on AWS, placed one after the other in the order of their start.

    `requested` and `ended` are seconds on AWS since the run's start.
    """

    def __init__(self, record: RunRecord, speed: float) -> None:
        self._head, self._speed = record.head, speed
        self._raw = {span.step: span for span in spans(record)}
        self._events: dict[str, list[StepEvent]] = {}
        for event in record.events:
            self._events.setdefault(event.step, []).append(event)
        self._requested_raw = {
            event.step: event.at for event in record.events if event.kind is EventKind.REQUESTED
        }
        self.requested: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def place(self, span: StepSpan) -> list[StepEvent]:
        """Return the events of a step at their times on AWS."""
        step = span.step
        needs = [name for name in self._head.needs.get(step, ()) if name in self.ended]
        follows = [name for name in self._head.follows.get(step, ()) if name in self.ended]
        raw = [self._raw[name].end for name in needs]
        raw += [self._requested_raw.get(name, self._raw[name].end) for name in follows]
        on_aws = [self.ended[name] for name in needs] + [self.requested[name] for name in follows]
        start = max(on_aws, default=0.0) + max(0.0, span.start - max(raw, default=0.0))
        head, tail = _split_at_request(self._events[step])
        placed = _scale_events(head, start, self._speed)
        self.requested[step] = placed[-1].at
        if tail:
            start = max([placed[-1].at, *(self.ended[name] for name in follows)])
            since = max([head[-1].at, *(self._raw[name].end for name in follows)])
            waited = [replace(event, at=max(event.at, since)) for event in tail]
            first = replace(head[-1], kind=EventKind.NOTE, at=since)
            placed += _scale_events([first, *waited], start, self._speed)[1:]
        last = placed[-1]
        placed[-1] = replace(last, at=max(last.at, self._earliest_end(last, start)))
        self.ended[step] = placed[-1].at
        return placed

    def _earliest_end(self, last: StepEvent, start: float) -> float:
        """Return when the step ends at the earliest; `start` is when its last wait started."""
        least = MIN_WAITS.get(last.step)
        if least is None or last.action is not Action.CREATE:
            return 0.0
        return self.requested.get(least.since, start) + least.seconds


def _split_at_request(events: Sequence[StepEvent]) -> tuple[list[StepEvent], list[StepEvent]]:
    """Return a step's events up to its request, and those of the wait until it is usable."""
    kinds = [event.kind for event in events]
    end = kinds.index(EventKind.REQUESTED) + 1 if EventKind.REQUESTED in kinds else len(events)
    return list(events[:end]), list(events[end:])


def _scale_events(events: Sequence[StepEvent], start: float, speed: float) -> list[StepEvent]:
    """Return a step's events from `start`; after its first note the step waits for AWS."""
    gaps = [after.at - before.at for before, after in pairwise(events)]
    waits = _waiting(events)
    waited = sum(gap for gap, wait in zip(gaps, waits, strict=True) if wait)
    factor = _factor(events[-1], waited, speed)
    taken = [gap * (factor if wait else 1.0) for gap, wait in zip(gaps, waits, strict=True)]
    times = accumulate(taken, initial=start)
    return [replace(event, at=at) for event, at in zip(events, times, strict=True)]


def _waiting(events: Sequence[StepEvent]) -> list[bool]:
    """Return for each pair of consecutive events whether the step waits for AWS between them."""
    waits = [False]
    for event in events[:-1]:
        if event.kind is EventKind.NOTE:
            helm = event.text.startswith(HELM_NOTE_PREFIX)
            waits.append(event.step not in WORK_STEPS and not helm)
        else:
            waits.append(waits[-1])
    return waits[1:]


def _factor(last: StepEvent, waited: float, speed: float) -> float:
    """Return by how much a step's waits are multiplied, which took `waited` seconds in all."""
    known = AWS_TIMES.get(last.action, {}).get(last.step) if last.action else None
    if known is None or not waited:
        return speed
    of_aws = min(waited, known * OVERSHOOT / speed)
    return (of_aws * speed + waited - of_aws) / waited


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
