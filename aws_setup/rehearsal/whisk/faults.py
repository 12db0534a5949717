"""What can go wrong on the way: scripted and random faults, and how slow the stand-in is."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from enum import StrEnum

from aws_setup.rehearsal.chaos import Chaos, Kind, Menu


class Trouble(StrEnum):
    """A fault: an answer of nginx or the controller, or a broken connection."""

    STATUS = "status"
    RESET_BEFORE = "reset before the request is taken"
    RESET_AFTER = "reset after the request took effect"
    STATUS_AFTER = "status after the request took effect"
    CONCURRENT = "concurrent modification"


@dataclass
class Fault:
    """A fault for the next `times` requests of a method whose path ends in `name`."""

    trouble: Trouble
    method: str = "PUT"
    name: str = ""
    status: int = 503
    times: int = 1
    retry_after: int | None = None


@dataclass
class Faults:
    """The faults in store; `flaky` is the share of requests that fail by chance."""

    waiting: list[Fault] = field(default_factory=list)
    flaky: float = 0.0
    seconds: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    lock: threading.Lock = field(default_factory=threading.Lock)
    chaos: Chaos | None = None

    def next(self, method: str, name: str) -> Fault | None:
        """Return the fault that this request meets, if any."""
        with self.lock:
            for fault in self.waiting:
                if fault.method == method and fault.name in {"", name} and fault.times > 0:
                    fault.times -= 1
                    return fault
            if self.chaos and (met := self.chaos.meet(_menu(method), f"whisk {method} {name}")):
                return _FAULTS[met]
            if self.flaky and self.chance.random() < self.flaky:
                return Fault(self.chance.choice(list(Trouble)), method, name, status=502)
        return None


READS: Menu = {Kind.THROTTLED: 0.05, Kind.FAILED: 0.05, Kind.DROPPED: 0.04}
WRITES: Menu = {
    Kind.THROTTLED: 0.10,
    Kind.FAILED: 0.06,
    Kind.FAILED_AFTER: 0.06,
    Kind.LOST: 0.06,
    Kind.DROPPED: 0.08,
    Kind.CONFLICT: 0.05,
}
"""What chaos has for requests that change nothing, and for the others."""

_FAULTS: dict[Kind, Fault] = {
    Kind.THROTTLED: Fault(Trouble.STATUS, status=429, retry_after=1),
    Kind.FAILED: Fault(Trouble.STATUS, status=502),
    Kind.FAILED_AFTER: Fault(Trouble.STATUS_AFTER, status=504),
    Kind.LOST: Fault(Trouble.RESET_AFTER),
    Kind.DROPPED: Fault(Trouble.RESET_BEFORE),
    Kind.CONFLICT: Fault(Trouble.CONCURRENT),
}
"""How nginx and the controller show each; 504 is nginx's own timeout, the work goes on."""


def _menu(method: str) -> Menu:
    return READS if method == "GET" else WRITES
