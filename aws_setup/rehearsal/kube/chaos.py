"""What chaos does to the API server of a cluster: errors, broken connections, outages, watches."""

from __future__ import annotations

import re

from aws_setup.rehearsal.chaos import RandomFaults, FaultKind, FaultProbabilities
from aws_setup.rehearsal.clock import CloudClock
from aws_setup.rehearsal.kube.errors import ApiError

API_READ_FAULTS: FaultProbabilities = {FaultKind.THROTTLED: 0.06, FaultKind.FAILED: 0.04, FaultKind.DROPPED: 0.04, FaultKind.OUTAGE: 0.02}
API_WRITE_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.10,
    FaultKind.FAILED: 0.06,
    FaultKind.LOST: 0.08,
    FaultKind.DROPPED: 0.05,
    FaultKind.CONFLICT: 0.15,
    FaultKind.OUTAGE: 0.03,
}
API_WATCH_FAULTS: FaultProbabilities = {FaultKind.THROTTLED: 0.05, FaultKind.DROPPED: 0.05, FaultKind.WATCH: 0.4}
HELM_FAULT_FACTOR = 0.1
"""Helm asks for so much more than the scripts do that each of its requests meets less."""

OUTAGE_SECONDS = (2.0, 12.0)
"""How long nobody answers, in the cloud's time: EKS replaces one of its API servers."""

RETRY_AFTER = 1
"""Seconds that a 429 asks for, as the API server's priority and fairness does."""

FAILURES = (
    (500, "InternalError", "etcdserver: leader changed"),
    (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
)
_SUFFIX = re.compile(r"-[0-9a-f]{8,10}-[a-z0-9]{5}\b|[0-9a-f]{8,}")


class RandomApiFaults:
    """The faults of the API servers of one cloud."""

    def __init__(self, chaos: RandomFaults, clock: CloudClock) -> None:
        """Draw from the cloud's chaos; outages last on its clock."""
        self._chaos, self._clock = chaos, clock
        self._down_until = 0.0

    def before(self, method: str, target: str, agent: str) -> FaultKind | None:
        """Return what a request meets: DROPPED breaks it now, LOST after its work.

        Raises:
            ApiError: it is throttled, or the server fails.
        """
        if self._clock.now() < self._down_until:
            return FaultKind.DROPPED
        path, _, query = target.partition("?")
        alike = f"{method} {_SUFFIX.sub('*', path)}"
        watches = method == "GET" and "watch=" in query
        menu = API_WATCH_FAULTS if watches else API_READ_FAULTS if method == "GET" else API_WRITE_FAULTS
        if agent.startswith("Helm/"):
            alike = f"helm {alike}"
            menu = {kind: chance * HELM_FAULT_FACTOR for kind, chance in menu.items()}
        if not self._chaos.timed:
            menu = {kind: chance for kind, chance in menu.items() if kind is not FaultKind.OUTAGE}
        met = self._chaos.meet(menu, alike)
        if met is FaultKind.OUTAGE:
            least, most = OUTAGE_SECONDS
            lasts = least + (most - least) * self._chaos.plan.draw("outage", alike)
            self._down_until = self._clock.now() + lasts
            return FaultKind.DROPPED
        if met is FaultKind.THROTTLED:
            raise ApiError(
                429,
                "TooManyRequests",
                "the server has received too many requests (chaos)",
                details={"retryAfterSeconds": RETRY_AFTER},
            )
        if met is FaultKind.FAILED:
            code, reason, text = FAILURES[
                int(self._chaos.plan.draw("status", alike) * len(FAILURES))
            ]
            raise ApiError(code, reason, f"{text} (chaos)")
        return met
