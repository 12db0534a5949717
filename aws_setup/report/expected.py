"""How long steps usually take, and when a run is done: by earlier runs, else by AWS's times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from aws_setup.aws.usual_times import USUAL
from aws_setup.engine.history import RunRecord
from aws_setup.engine.step import Action
from aws_setup.engine.wait import format_duration
from aws_setup.engine.wording import count_of
from aws_setup.report.timeline import PAST, SpanOutcome, spans

LONG = 20.0
"""Seconds from which on a step is long: the usual time is shown for it."""

LATE = 2.0
"""Multiple of its usual time from which on a step is late."""

KEPT = 5
"""Earlier runs of a step that count."""

CHECKS: Mapping[str, str] = {
    "eks cluster": "`aws eks describe-cluster` and the AWS Health Dashboard of the region",
    "nat gateway": "`aws ec2 describe-nat-gateways`: its FailureMessage",
    "core-nodes": "`kubectl get nodes` and the node group's health issues in the EKS console",
    "invoker-nodes": "`kubectl get nodes` and the node group's health issues in the EKS console",
    "openwhisk ready": "`kubectl get pods` in OpenWhisk's namespace",
    "openwhisk api": "whether your address has changed (allow-my-ip), and the name's DNS",
    "ssh": "whether your address has changed (allow-my-ip), and the machines' console output",
    "ndb storage": "the logs in /usr/local/mysql/data on the data nodes",
}
"""Step -> what to check when it takes twice its usual time."""

ANY_CHECK = "`status` in another terminal, and the debug log"
"""What to check about any other step."""


def usual_times(
    actions: Mapping[str, Action], records: Iterable[RunRecord], *, pace: float = 1.0
) -> dict[str, float]:
    """Return the seconds that the steps of a plan usually take, as far as that is known.

    The median of the last runs of this deployment is used, else AWS's usual time.

    Args:
        actions: step -> what the run does about it.
        records: earlier runs, the oldest first.
        pace: the factor of the pauses, for a cloud whose clock is faster than AWS's.
    """
    learned: dict[tuple[str, SpanOutcome], list[float]] = {}
    for record in records:
        for span in spans(record):
            if span.changed:
                learned.setdefault((span.step, span.outcome), []).append(span.seconds)
    found = {}
    for step, action in actions.items():
        outcome = PAST.get(action)
        earlier = learned.get((step, outcome), []) if outcome else []
        seconds = median(earlier[-KEPT:]) if earlier else pace * USUAL.get(action, {}).get(step, 0)
        if seconds > 0:
            found[step] = seconds
    return found


@dataclass
class Forecast:
    """A run against its usual times; all times are seconds on one clock.

    `needs` are the steps of the run with those that must end before each; `usual` their usual
    seconds.
    """

    needs: Mapping[str, Sequence[str]]
    usual: Mapping[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    def is_late(self, step: str, now: float) -> bool:
        """Whether a running step has taken at least twice its usual time."""
        usual = self.usual.get(step, 0.0)
        if usual < LONG or step not in self.started or step in self.ended:
            return False
        return now - self.started[step] >= LATE * usual

    def elapsed(self, step: str, now: float) -> str:
        """Return how long a step has taken, of about how much if it is a long one."""
        if step not in self.started:
            return ""
        text = format_duration(self.ended.get(step, now) - self.started[step])
        usual = self.usual.get(step, 0.0)
        return (
            f"{text} of about {rounded(usual)}"
            if usual >= LONG and step not in self.ended
            else text
        )

    def late_text(self, step: str) -> str:
        """Return what is said once about a step that is late."""
        usual = rounded(self.usual[step])
        return f"it takes more than twice its usual {usual}; check {CHECKS.get(step, ANY_CHECK)}"

    def remaining(self, now: float) -> float | None:
        """Return the seconds until the last step ends, along the critical path; None: not known.

        It is not known while no long step is left, or while one is late.
        """
        left = [step for step in self.needs if step not in self.ended]
        if not any(self.usual.get(step, 0.0) >= LONG for step in left):
            return None
        if any(self.is_late(step, now) for step in left):
            return None
        ends: dict[str, float] = {}
        return max(self._end(step, now, ends) for step in left) - now

    def _end(self, step: str, now: float, ends: dict[str, float]) -> float:
        """Return when a step will have ended, as its needs and its usual time let it."""
        if step in self.ended:
            return self.ended[step]
        if step not in ends:
            ends[step] = now  # guards against a need that leads back to it
            before = [self._end(need, now, ends) for need in self.needs[step] if need in self.needs]
            begin = self.started.get(step, max([now, *before]))
            ends[step] = max(now, begin + self.usual.get(step, 0.0), *before)
        return ends[step]

    @property
    def total(self) -> int:
        """The steps of the run: the expected ones, and those that turned out to need a change."""
        return len(self.needs.keys() | self.started.keys() | self.ended.keys())

    def fraction(self, now: float, began: float) -> float:
        """Return how much of the run's time is over, from 0 to 1."""
        left = self.remaining(now)
        if left is None:
            return len(self.ended) / max(1, self.total)
        return (now - began) / max(0.001, now - began + left)

    def summary(self, now: float, began: float, *, today: datetime) -> str:
        """Return the run in a line: steps, time, and when it will be done by the local clock."""
        text = (
            f"{len(self.ended)} of {count_of(self.total, 'step')}, {format_duration(now - began)}"
        )
        left = self.remaining(now)
        if left is None:
            return text
        at = (today + timedelta(seconds=left)).astimezone().strftime("%H:%M")
        return f"{text} of about {rounded(now - began + left)}, done at about {at}"


def rounded(seconds: float) -> str:
    """Return a duration to whole minutes, below two minutes to whole 10 seconds."""
    if seconds < 120:
        return format_duration(max(10, round(seconds / 10) * 10))
    return format_duration(round(seconds / 60) * 60)
