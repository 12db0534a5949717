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

from aws_setup.rehearsal.rules import AwsError, Call

WINDOW = 8
"""Calls alike, in order, that meet at most one burst of faults."""

LONGEST = 3
"""Calls of a burst at most."""

LATEST = 3
"""A burst begins within so many calls of its window."""

SPAN = 3600
"""Draws are spread over so many whole steps; all that is drawn is a multiple of 1/SPAN."""


class Kind(StrEnum):
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


Menu = Mapping[Kind, float]
"""The chance of each kind in a window of calls alike."""

READS: Menu = {Kind.THROTTLED: 0.05, Kind.FAILED: 0.04, Kind.DROPPED: 0.03}
"""What calls to AWS that change nothing meet."""

WRITES: Menu = {
    Kind.THROTTLED: 0.10,
    Kind.FAILED: 0.05,
    Kind.FAILED_AFTER: 0.05,
    Kind.LOST: 0.08,
    Kind.DROPPED: 0.04,
}
"""What calls to AWS that change something meet."""

STALE: Menu = {Kind.STALE: 0.3}
CAPACITY: Menu = {Kind.CAPACITY: 0.35}
SLOW: Menu = {Kind.SLOW: 0.25}

CREATORS = ("Create", "Run", "Allocate", "Upload")
NOTHING_NEW = ("CreateTags", "CreateRoute", "CreateLaunchTemplateVersion")
"""Beginnings of the names of actions that make something, and those that do not all the same."""

STALE_SECONDS = (0.5, 5.0)
"""How long a new thing stays unseen, in the cloud's time: EC2 says seconds, as a rule."""

SLOWER: Mapping[str, float] = {
    "instance running": 6,
    "instance terminated": 4,
    "iam visible": 3,
    "addon active": 4,
    "load balancer interfaces deleted": 3,
}
"""By how much a slow transition is prolonged at most; the others, by half."""

TRANSIENT: Mapping[str, tuple[tuple[str, int], ...]] = {
    "ec2": (("InternalError", 500), ("Unavailable", 503), ("ServiceUnavailable", 503)),
    "eks": (("ServerException", 500), ("ServiceUnavailableException", 503)),
    "iam": (("ServiceFailure", 500), ("InternalFailure", 500)),
}
"""Codes of AWS's own faults by service (API references, "Common errors"); else InternalFailure."""

THROTTLES: Mapping[str, tuple[str, int]] = {
    "ec2": ("RequestLimitExceeded", 503),
    "eks": ("ThrottlingException", 429),
    "pricing": ("ThrottlingException", 400),
    "ssm": ("ThrottlingException", 400),
    "service-quotas": ("TooManyRequestsException", 400),
}
"""Code and status of throttling by service; else Throttling with 400."""

_MADE_UP = re.compile(r"[0-9A-Fa-f]{8,}")
_TOKENS = {"clientToken", "ClientToken", "clientRequestToken"}
_LONG = 300
"""Characters of a value that identify a call; certificates and user data are longer."""


@dataclass(frozen=True)
class Hit:
    """A fault that happened."""

    at: float
    kind: Kind
    what: str


@dataclass(frozen=True)
class Plan:
    """What a seed decides; nothing here remembers anything."""

    seed: int

    def draw(self, *parts: object) -> float:
        """Return a number from 0 to below 1 that depends on the seed and on all parts."""
        text = json.dumps([self.seed, *parts], default=str)
        return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) % SPAN / SPAN

    def fault(self, menu: Menu, identity: str, number: int) -> Kind | None:
        """Return what the n-th call (from 1) of those alike meets, if anything."""
        window, place = divmod(number - 1, WINDOW)
        chosen = self._chosen(menu, identity, window)
        if chosen is None:
            return None
        # Most things are asked once: bursts begin at the first call more often than later.
        first = max(0, int(self.draw("first", identity, window) * 2 * LATEST) - LATEST)
        length = 1 + int(self.draw("length", identity, window) ** 2 * LONGEST)
        return chosen if first <= place < first + length else None

    def _chosen(self, menu: Menu, identity: str, window: int) -> Kind | None:
        left = self.draw("kind", *menu, identity, window)
        for kind, chance in menu.items():
            if left < chance:
                return kind
            left -= chance
        return None


class Chaos:
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
        self.plan = Plan(seed)
        self.timed = timed
        self.hits: list[Hit] = []
        self._now = now
        self._numbers: Counter[str] = Counter()
        self._after: Kind | None = None
        self._lock = threading.Lock()

    def meet(self, menu: Menu, identity: str, *, what: str = "") -> Kind | None:
        """Count one more of what is alike, and return what it meets."""
        kind = self.plan.fault(menu, identity, self._number(f"{[*menu]} {identity}"))
        if kind:
            self.note(kind, what or identity)
        return kind

    def _number(self, alike: str) -> int:
        """Return which one this is of those alike, from 1."""
        with self._lock:
            self._numbers[alike] += 1
            return self._numbers[alike]

    def note(self, kind: Kind, what: str) -> None:
        """Keep in mind that a fault happened."""
        with self._lock:
            self.hits.append(Hit(round(self._now(), 1), kind, what))

    def before(self, call: Call) -> Kind | None:
        """Say what becomes of a call to AWS; throttling and AWS's own faults are raised."""
        met = self.meet(READS if call.reads else WRITES, identity(call), what=name(call))
        self._after = met if met in (Kind.LOST, Kind.FAILED_AFTER) else None
        if met is Kind.THROTTLED:
            code, status = THROTTLES.get(call.service, ("Throttling", 400))
            raise AwsError(code, "Rate exceeded (chaos)", status=status)
        if met is Kind.FAILED:
            raise self._broken(call)
        return met

    def after(self, call: Call) -> Kind | None:
        """Say what becomes of the answer to a call whose work is done; may raise a 500."""
        met, self._after = self._after, None
        if met is Kind.FAILED_AFTER:
            raise self._broken(call)
        return met

    def _broken(self, call: Call) -> AwsError:
        codes = TRANSIENT.get(call.service, (("InternalFailure", 500), ("ServiceUnavailable", 503)))
        code, status = codes[int(self.plan.draw("code", identity(call)) * len(codes))]
        return AwsError(code, "An internal error has occurred (chaos)", status=status)

    def stale_seconds(self, call: Call) -> float:
        """Return for how long other calls do not see what this call created."""
        if not self.timed or call.action in NOTHING_NEW or not call.action.startswith(CREATORS):
            return 0.0
        if not self.meet(STALE, f"seen {identity(call)}", what=name(call)):
            return 0.0
        least, most = STALE_SECONDS
        return least + (most - least) * self.plan.draw("seconds", identity(call))

    def no_capacity(self, zone: str, instance_type: str) -> bool:
        """Say whether a zone has none of these machines just now: the first tries only."""
        place = f"{instance_type} in {zone}"
        number = self._number(f"capacity {place}")
        if not self.timed or number > WINDOW or not self.plan.fault(CAPACITY, place, number):
            return False
        self.note(Kind.CAPACITY, place)
        return True

    def delay(self, latency: str, seconds: float) -> float:
        """Return how long a transition takes, which has a name in the table of latencies."""
        number = self._number(f"slow {latency}")
        if not self.plan.fault(SLOW, latency, number):
            return seconds
        self.note(Kind.SLOW, latency)
        return seconds * (1 + (SLOWER.get(latency, 1.5) - 1) * self.plan.draw(latency, number))

    def counts(self) -> dict[str, int]:
        """Return how often each kind has happened; kinds that did not are left out."""
        with self._lock:
            met = Counter(hit.kind for hit in self.hits)
        return {kind.value: met[kind] for kind in Kind if met[kind]}

    def report(self) -> dict[str, Any]:
        """Return seed, counts, summary and every fault in order."""
        with self._lock:
            hits = [asdict(hit) for hit in self.hits]
        seed, counts = self.plan.seed, self.counts()
        return {"seed": seed, "counts": counts, "summary": self.summary(), "hits": hits}

    def summary(self) -> str:
        """Return one line: `chaos (seed 7): 37 faults: 12 throttled, 5 lost answers`."""
        counts = self.counts()
        parts = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        total = sum(counts.values())
        told = f"{total} fault{'s' * (total != 1)}"
        return f"chaos (seed {self.plan.seed}): {told}{': ' * bool(parts)}{parts}"


def name(call: Call) -> str:
    """Return service and action, as the call log has them."""
    return f"{call.service}.{call.action}"


def identity(call: Call) -> str:
    """Return what a call asks for, without what differs from run to run: made-up ids, tokens."""
    params = json.dumps(_steady(call.params), sort_keys=True, default=str)
    return f"{name(call)} {call.region} {params}"


def _steady(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _steady(member) for key, member in value.items() if key not in _TOKENS}
    if isinstance(value, list | tuple):
        return [_steady(member) for member in value]
    text = str(value)
    return _MADE_UP.sub("*", text) if len(text) <= _LONG else "…"
