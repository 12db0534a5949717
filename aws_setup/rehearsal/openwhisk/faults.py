"""Faults of the emulated OpenWhisk: scripted and random ones, and its response time."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from enum import StrEnum

from aws_setup.rehearsal.core.random_faults import FaultKind, FaultProbabilities, RandomFaults


class HttpFaultKind(StrEnum):
    """The kinds of faults: an answer of nginx or the controller, or a dropped connection."""

    STATUS = "status"
    RESET_BEFORE = "reset before the request is taken"
    RESET_AFTER = "reset after the request took effect"
    STATUS_AFTER = "status after the request took effect"
    CONCURRENT = "concurrent modification"


@dataclass
class Fault:
    """A fault for the next `times` requests of a method whose path ends in `name`."""

    kind: HttpFaultKind
    method: str = "PUT"
    name: str = ""
    status: int = 503
    times: int = 1
    retry_after: int | None = None


@dataclass
class OpenWhiskFaults:
    """The pending faults; `flaky` is the share of requests that fail by chance."""

    pending: list[Fault] = field(default_factory=list)
    flaky: float = 0.0
    seconds: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    lock: threading.Lock = field(default_factory=threading.Lock)
    random_faults: RandomFaults | None = None

    def next_fault(self, method: str, name: str) -> Fault | None:
        """Return the fault of this request, if any."""
        with self.lock:
            for fault in self.pending:
                if fault.method == method and fault.name in {"", name} and fault.times > 0:
                    fault.times -= 1
                    return fault
            if self.random_faults and (
                fault_kind := self.random_faults.next_fault(
                    _probabilities(method), f"whisk {method} {name}"
                )
            ):
                return _FAULTS[fault_kind]
            if self.flaky and self.rng.random() < self.flaky:
                return Fault(self.rng.choice(list(HttpFaultKind)), method, name, status=502)
        return None


READS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.05,
    FaultKind.FAILED: 0.05,
    FaultKind.DROPPED: 0.04,
}
WRITES: FaultProbabilities = {
    FaultKind.THROTTLED: 0.10,
    FaultKind.FAILED: 0.06,
    FaultKind.FAILED_AFTER: 0.06,
    FaultKind.LOST: 0.06,
    FaultKind.DROPPED: 0.08,
    FaultKind.CONFLICT: 0.05,
}
"""Random faults of requests that change something; READS are those of the others."""

_FAULTS: dict[FaultKind, Fault] = {
    FaultKind.THROTTLED: Fault(HttpFaultKind.STATUS, status=429, retry_after=1),
    FaultKind.FAILED: Fault(HttpFaultKind.STATUS, status=502),
    FaultKind.FAILED_AFTER: Fault(HttpFaultKind.STATUS_AFTER, status=504),
    FaultKind.LOST: Fault(HttpFaultKind.RESET_AFTER),
    FaultKind.DROPPED: Fault(HttpFaultKind.RESET_BEFORE),
    FaultKind.CONFLICT: Fault(HttpFaultKind.CONCURRENT),
}
"""The form of each fault; 504 is nginx's timeout, the controller still executes the request."""


def _probabilities(method: str) -> FaultProbabilities:
    return READS if method == "GET" else WRITES
