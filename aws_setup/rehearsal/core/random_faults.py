"""Chaos: faults of every kind that the cloud knows, drawn from a seed.

What a call meets is decided by the seed, the call's identity (what is asked, without the ids that
AWS makes up) and how often that was asked before: not by when it arrives, so that threads may
race. The same seed meets the same calls with the same faults. Each fault is bounded: of any
`WINDOW` calls alike at most `LONGEST` in a row go wrong, so a client that tries again gets through.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from aws_setup.rehearsal.core.types import AwsError, Call

BURST_WINDOW_CALLS = 8
"""Calls alike, in order, that meet at most one burst of faults."""

MAX_BURST_LENGTH = 3
"""Calls of a burst at most."""

MAX_BURST_OFFSET = 3
"""A burst begins within so many calls of its window."""

DRAW_STEPS = 3600
"""Draws are spread over so many whole steps; all that is drawn is a multiple of 1/SPAN."""


class FaultKind(StrEnum):
    """What can go wrong, in the words of the summary."""

    THROTTLED = "throttled"
    FAILED = "failed with 500 or 503"
    FAILED_AFTER = "done, but answered with 500"
    LOST = "lost answers"
    DROPPED = "dropped connections"
    STALE = "stale reads"
    CAPACITY = "without capacity"
    SLOW = "slow transitions"
    LATE = "late machines"
    REBOOT = "rebooted machines"
    CUT = "cut SSH connections"
    OUTAGE = "outages of the Kubernetes API"
    CONFLICT = "conflicts with another writer"
    WATCH = "dropped watches"


FaultProbabilities = Mapping[FaultKind, float]
"""The chance of each kind in a window of calls alike."""

READ_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.05,
    FaultKind.FAILED: 0.04,
    FaultKind.DROPPED: 0.03,
}
"""What calls to AWS that change nothing meet."""

WRITE_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.10,
    FaultKind.FAILED: 0.05,
    FaultKind.FAILED_AFTER: 0.05,
    FaultKind.LOST: 0.08,
    FaultKind.DROPPED: 0.04,
}
"""What calls to AWS that change something meet."""

STALE_READ_FAULTS: FaultProbabilities = {FaultKind.STALE: 0.3}
CAPACITY_FAULTS: FaultProbabilities = {FaultKind.CAPACITY: 0.35}
SLOW_FAULTS: FaultProbabilities = {FaultKind.SLOW: 0.25}

CREATE_PREFIXES = ("Create", "Run", "Allocate", "Upload")
NO_NEW_RESOURCE_ACTIONS = ("CreateTags", "CreateRoute", "CreateLaunchTemplateVersion")
"""Beginnings of the names of actions that make something, and those that do not all the same."""

STALE_SECONDS = (0.5, 5.0)
"""How long a new thing stays unseen, in the cloud's time: EC2 says seconds, as a rule."""

DELAY_FACTORS: Mapping[str, float] = {
    "instance running": 6,
    "instance terminated": 4,
    "iam visible": 3,
    "addon active": 4,
    "load balancer interfaces deleted": 3,
}
"""By how much a slow transition is prolonged at most; the others, by half."""

TRANSIENT_ERRORS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "ec2": (("InternalError", 500), ("Unavailable", 503), ("ServiceUnavailable", 503)),
    "eks": (("ServerException", 500), ("ServiceUnavailableException", 503)),
    "iam": (("ServiceFailure", 500), ("InternalFailure", 500)),
}
"""Codes of AWS's own faults by service (API references, "Common errors"); else InternalFailure."""

THROTTLING_ERRORS: Mapping[str, tuple[str, int]] = {
    "ec2": ("RequestLimitExceeded", 503),
    "eks": ("ThrottlingException", 429),
    "pricing": ("ThrottlingException", 400),
    "ssm": ("ThrottlingException", 400),
    "service-quotas": ("TooManyRequestsException", 400),
}
"""Code and status of throttling by service; else Throttling with 400."""

_GENERATED_ID = re.compile(r"[0-9A-Fa-f]{8,}")
_TOKEN_PARAMETERS = {"clientToken", "ClientToken", "clientRequestToken"}
_MAX_VALUE_LENGTH = 300
"""Characters of a value that identify a call; certificates and user data are longer."""


@dataclass(frozen=True)
class InjectedFault:
    """A fault that happened."""

    at: float
    kind: FaultKind
    what: str


@dataclass(frozen=True)
class SeededFaults:
    """What a seed decides; nothing here remembers anything."""

    seed: int

    def draw(self, *parts: object) -> float:
        """Return a number from 0 to below 1 that depends on the seed and on all parts."""
        text = json.dumps([self.seed, *parts], default=str)
        return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) % DRAW_STEPS / DRAW_STEPS

    def fault(
        self, probabilities: FaultProbabilities, identity: str, number: int
    ) -> FaultKind | None:
        """Return what the n-th call (from 1) of those alike meets, if anything."""
        window, position = divmod(number - 1, BURST_WINDOW_CALLS)
        chosen = self._chosen(probabilities, identity, window)
        if chosen is None:
            return None
        # Most things are asked once: bursts begin at the first call more often than later.
        first = max(
            0, int(self.draw("first", identity, window) * 2 * MAX_BURST_OFFSET) - MAX_BURST_OFFSET
        )
        length = 1 + int(self.draw("length", identity, window) ** 2 * MAX_BURST_LENGTH)
        return chosen if first <= position < first + length else None

    def _chosen(
        self, probabilities: FaultProbabilities, identity: str, window: int
    ) -> FaultKind | None:
        remainder = self.draw("kind", *probabilities, identity, window)
        for kind, chance in probabilities.items():
            if remainder < chance:
                return kind
            remainder -= chance
        return None


class RandomFaults:
    """The faults of one run of the cloud: what happens to whom, and what has happened."""

    def __init__(
        self, seed: int, now: Callable[[], float] = lambda: 0.0, *, timed: bool = True
    ) -> None:
        """Draw from a seed.

        Args:
            seed: what decides everything.
            now: the clock of the log.
            timed: whether the cloud has delays; without them what passes with time is left out.
        """
        self.plan = SeededFaults(seed)
        self.timed = timed
        self.injected: list[InjectedFault] = []
        self._now = now
        self._numbers: Counter[str] = Counter()
        self._after: FaultKind | None = None
        self._lock = threading.Lock()

    def next_fault(
        self, probabilities: FaultProbabilities, identity: str, *, what: str = ""
    ) -> FaultKind | None:
        """Count one more of what is alike, and return what it meets."""
        kind = self.plan.fault(
            probabilities, identity, self._number(f"{[*probabilities]} {identity}")
        )
        if kind:
            self.record(kind, what or identity)
        return kind

    def _number(self, alike: str) -> int:
        """Return which one this is of those alike, from 1."""
        with self._lock:
            self._numbers[alike] += 1
            return self._numbers[alike]

    def record(self, kind: FaultKind, what: str) -> None:
        """Keep in mind that a fault happened."""
        with self._lock:
            self.injected.append(InjectedFault(round(self._now(), 1), kind, what))

    def before(self, call: Call) -> FaultKind | None:
        """Say what becomes of a call to AWS; throttling and AWS's own faults are raised."""
        fault = self.next_fault(
            READ_FAULTS if call.reads else WRITE_FAULTS, call_identity(call), what=call_name(call)
        )
        self._after = fault if fault in (FaultKind.LOST, FaultKind.FAILED_AFTER) else None
        if fault is FaultKind.THROTTLED:
            code, status = THROTTLING_ERRORS.get(call.service, ("Throttling", 400))
            raise AwsError(code, "Rate exceeded (chaos)", status=status)
        if fault is FaultKind.FAILED:
            raise self._broken(call)
        return fault

    def after(self, call: Call) -> FaultKind | None:
        """Say what becomes of the answer to a call whose work is done; may raise a 500."""
        fault, self._after = self._after, None
        if fault is FaultKind.FAILED_AFTER:
            raise self._broken(call)
        return fault

    def _broken(self, call: Call) -> AwsError:
        codes = TRANSIENT_ERRORS.get(
            call.service, (("InternalFailure", 500), ("ServiceUnavailable", 503))
        )
        code, status = codes[int(self.plan.draw("code", call_identity(call)) * len(codes))]
        return AwsError(code, "An internal error has occurred (chaos)", status=status)

    def stale_seconds(self, call: Call) -> float:
        """Return for how long other calls do not see what this call created."""
        if (
            not self.timed
            or call.action in NO_NEW_RESOURCE_ACTIONS
            or not call.action.startswith(CREATE_PREFIXES)
        ):
            return 0.0
        if not self.next_fault(
            STALE_READ_FAULTS, f"seen {call_identity(call)}", what=call_name(call)
        ):
            return 0.0
        least, most = STALE_SECONDS
        return least + (most - least) * self.plan.draw("seconds", call_identity(call))

    def no_capacity(self, zone: str, instance_type: str) -> bool:
        """Say whether a zone has none of these machines just now: the first tries only."""
        location = f"{instance_type} in {zone}"
        number = self._number(f"capacity {location}")
        if (
            not self.timed
            or number > BURST_WINDOW_CALLS
            or not self.plan.fault(CAPACITY_FAULTS, location, number)
        ):
            return False
        self.record(FaultKind.CAPACITY, location)
        return True

    def delay(self, latency: str, seconds: float) -> float:
        """Return how long a transition takes, which has a name in the table of latencies."""
        number = self._number(f"slow {latency}")
        if not self.plan.fault(SLOW_FAULTS, latency, number):
            return seconds
        self.record(FaultKind.SLOW, latency)
        return seconds * (
            1 + (DELAY_FACTORS.get(latency, 1.5) - 1) * self.plan.draw(latency, number)
        )

    def counts(self) -> dict[str, int]:
        """Return how often each kind has happened; kinds that did not are left out."""
        with self._lock:
            number_of = Counter(fault.kind for fault in self.injected)
        return {kind.value: number_of[kind] for kind in FaultKind if number_of[kind]}

    def report(self) -> dict[str, Any]:
        """Return seed, counts, summary and every fault in order."""
        with self._lock:
            faults = [asdict(fault) for fault in self.injected]
        seed, counts = self.plan.seed, self.counts()
        return {"seed": seed, "counts": counts, "summary": self.summary(), "hits": faults}

    def summary(self) -> str:
        """Return one line: `chaos (seed 7): 37 faults: 12 throttled, 5 lost answers`."""
        counts = self.counts()
        parts = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        total = sum(counts.values())
        total_text = f"{total} fault{'s' * (total != 1)}"
        return f"chaos (seed {self.plan.seed}): {total_text}{': ' * bool(parts)}{parts}"


def call_name(call: Call) -> str:
    """Return service and action, as the call log has them."""
    return f"{call.service}.{call.action}"


def call_identity(call: Call) -> str:
    """Return what a call asks for, without what differs from run to run: made-up ids, tokens."""
    params = json.dumps(_without_generated_ids(call.params), sort_keys=True, default=str)
    return f"{call_name(call)} {call.region} {params}"


def _without_generated_ids(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without_generated_ids(member)
            for key, member in value.items()
            if key not in _TOKEN_PARAMETERS
        }
    if isinstance(value, list | tuple):
        return [_without_generated_ids(member) for member in value]
    text = str(value)
    return _GENERATED_ID.sub("*", text) if len(text) <= _MAX_VALUE_LENGTH else "…"
