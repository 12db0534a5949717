"""Random faults of every kind, drawn from a seed.

The fault of a call depends on the seed, the call's identity (its parameters without generated
ids) and the number of identical calls before it, not on its time: threads may race, and the same
seed injects the same faults into the same calls. Faults are bounded: of `BURST_WINDOW_CALLS`
identical calls at most `MAX_BURST_LENGTH` in a row fail, so a client that retries succeeds.
"""

from __future__ import annotations

import functools
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
"""Consecutive identical calls that have at most one burst of faults."""

MAX_BURST_LENGTH = 3
"""Maximum number of calls in a burst."""

MAX_BURST_OFFSET = 3
"""A burst begins within this many calls of its window."""

DRAW_STEPS = 3600
"""Every draw is a multiple of 1/DRAW_STEPS."""


class FaultKind(StrEnum):
    """The kinds of faults; the values are their names in the summary, and part of every draw."""

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
"""The probability of each kind in a window of identical calls."""

READ_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.05,
    FaultKind.FAILED: 0.04,
    FaultKind.DROPPED: 0.03,
}
"""Faults of AWS calls that change nothing."""

WRITE_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.10,
    FaultKind.FAILED: 0.05,
    FaultKind.FAILED_AFTER: 0.05,
    FaultKind.LOST: 0.08,
    FaultKind.DROPPED: 0.04,
}
"""Faults of AWS calls that change something."""

STALE_READ_FAULTS: FaultProbabilities = {FaultKind.STALE: 0.3}
CAPACITY_FAULTS: FaultProbabilities = {FaultKind.CAPACITY: 0.35}
SLOW_FAULTS: FaultProbabilities = {FaultKind.SLOW: 0.25}

CREATE_PREFIXES = ("Create", "Run", "Allocate", "Upload")
NO_NEW_RESOURCE_ACTIONS = ("CreateTags", "CreateRoute", "CreateLaunchTemplateVersion")
"""Prefixes of the actions that create a resource, and exceptions that do not."""

STALE_SECONDS = (0.5, 5.0)
"""For how long a new resource is hidden, in the cloud's seconds: on EC2, usually seconds."""

DELAY_FACTORS: Mapping[str, float] = {
    "instance running": 6,
    "instance terminated": 4,
    "iam visible": 3,
    "addon active": 4,
    "load balancer interfaces deleted": 3,
}
"""Maximum factor by which a slow transition takes longer; 1.5 for the others."""

TRANSIENT_ERRORS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "ec2": (("InternalError", 500), ("Unavailable", 503), ("ServiceUnavailable", 503)),
    "eks": (("ServerException", 500), ("ServiceUnavailableException", 503)),
    "iam": (("ServiceFailure", 500), ("InternalFailure", 500)),
}
"""Codes of server errors by service (API references, "Common errors"); else InternalFailure."""

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
"""Longest value that identifies a call; certificates and user data are longer."""


@dataclass(frozen=True)
class InjectedFault:
    """A fault that was injected."""

    at: float
    kind: FaultKind
    what: str


@functools.lru_cache(1024, typed=True)
def _drawn(*parts: object) -> float:
    """Return the number of a draw; all calls of a window repeat its draws."""
    text = json.dumps(parts, default=str)
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) % DRAW_STEPS / DRAW_STEPS


@dataclass(frozen=True)
class SeededFaults:
    """The draws of a seed; without state."""

    seed: int

    def draw(self, *parts: object) -> float:
        """Return a number from 0 to below 1 that depends on the seed and on all parts."""
        return _drawn(self.seed, *parts)

    def fault(
        self, probabilities: FaultProbabilities, identity: str, number: int
    ) -> FaultKind | None:
        """Return the fault of the n-th identical call (from 1), if any."""
        window, position = divmod(number - 1, BURST_WINDOW_CALLS)
        chosen = self._chosen(probabilities, identity, window)
        if chosen is None:
            return None
        # Most calls are made once: bursts begin at the first call more often than later.
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
    """The random faults of one run of the cloud, and the log of injected faults."""

    def __init__(
        self, seed: int, now: Callable[[], float] = lambda: 0.0, *, timed: bool = True
    ) -> None:
        """Draw from a seed.

        Args:
            seed: determines every fault.
            now: the clock of the log.
            timed: whether the cloud has delays; without them, faults that end with time are off.
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
        """Count one more call with this identity, and return its fault, if any."""
        kind = self.plan.fault(
            probabilities, identity, self._number(f"{[*probabilities]} {identity}")
        )
        if kind:
            self.record(kind, what or identity)
        return kind

    def _number(self, alike: str) -> int:
        """Return the number of this call among the identical ones, from 1."""
        with self._lock:
            self._numbers[alike] += 1
            return self._numbers[alike]

    def record(self, kind: FaultKind, what: str) -> None:
        """Log an injected fault."""
        with self._lock:
            self.injected.append(InjectedFault(round(self._now(), 1), kind, what))

    def before(self, call: Call) -> FaultKind | None:
        """Return the fault of an AWS call; throttling and server errors are raised."""
        fault = self.next_fault(
            READ_FAULTS if call.reads else WRITE_FAULTS, call_identity(call), what=call_name(call)
        )
        self._after = fault if fault in (FaultKind.LOST, FaultKind.FAILED_AFTER) else None
        if fault is FaultKind.THROTTLED:
            code, status = THROTTLING_ERRORS.get(call.service, ("Throttling", 400))
            raise AwsError(code, "Rate exceeded (injected)", status=status)
        if fault is FaultKind.FAILED:
            raise self._broken(call)
        return fault

    def after(self, call: Call) -> FaultKind | None:
        """Return the fault of the answer to an executed call; may raise a 500."""
        fault, self._after = self._after, None
        if fault is FaultKind.FAILED_AFTER:
            raise self._broken(call)
        return fault

    def _broken(self, call: Call) -> AwsError:
        codes = TRANSIENT_ERRORS.get(
            call.service, (("InternalFailure", 500), ("ServiceUnavailable", 503))
        )
        code, status = codes[int(self.plan.draw("code", call_identity(call)) * len(codes))]
        return AwsError(code, "An internal error has occurred (injected)", status=status)

    def stale_seconds(self, call: Call) -> float:
        """Return for how many seconds the new resource is not visible to other calls."""
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
        """Return whether a zone lacks capacity for the type; only for the first attempts."""
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
        """Return the delay of a transition; `latency` is its name in the table of latencies."""
        number = self._number(f"slow {latency}")
        if not self.plan.fault(SLOW_FAULTS, latency, number):
            return seconds
        self.record(FaultKind.SLOW, latency)
        return seconds * (
            1 + (DELAY_FACTORS.get(latency, 1.5) - 1) * self.plan.draw(latency, number)
        )

    def counts(self) -> dict[str, int]:
        """Return the number of faults by kind, of the kinds that occurred."""
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
        """Return one line: `random faults (seed 7): 37: 12 throttled, 5 lost answers`."""
        counts = self.counts()
        parts = [f"{number} {kind}" for kind, number in counts.items()]
        total = f"random faults (seed {self.plan.seed}): {sum(counts.values())}"
        return f"{total}: {', '.join(parts)}" if parts else total


def call_name(call: Call) -> str:
    """Return service and action, as in the call log."""
    return f"{call.service}.{call.action}"


def call_identity(call: Call) -> str:
    """Return a call's action and parameters, without those that differ by run: ids, tokens."""
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
