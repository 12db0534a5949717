"""The cloud's time: runs faster than real time, and applies what becomes due."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class CloudClock:
    """Seconds since the cloud started, in the cloud's own time.

    `speed` 1 is real time, 20 is twenty times faster; at 0 every delay is nothing (and `now`
    runs in real time). Used under the cloud's lock only.
    """

    def __init__(self, speed: float = 1.0) -> None:
        """Start the clock at zero."""
        self.speed = speed
        self._born = datetime.now(UTC)
        self._zero = time.monotonic()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._at: float | None = None

    def now(self) -> float:
        """Return the cloud's seconds; while a transition is applied, the moment it was due."""
        return self._at if self._at is not None else self._seconds()

    def today(self) -> datetime:
        """Return the cloud's calendar time, in UTC."""
        return self._born + timedelta(seconds=self.now())

    def after(self, seconds: float, transition: Callable[[], object]) -> None:
        """Apply `transition` once `seconds` of the cloud's time have passed."""
        at = self.now() + (seconds if self.speed else 0.0)
        heapq.heappush(self._due, (at, next(self._numbers), transition))

    def after_real(self, seconds: float, transition: Callable[[], object]) -> None:
        """Apply `transition` after `seconds`, also in a cloud whose delays are nothing."""
        heapq.heappush(self._due, (self.now() + seconds, next(self._numbers), transition))

    def apply_due(self) -> None:
        """Apply in order what has become due; a transition may schedule the next one."""
        now = self._seconds()
        while self._due and self._due[0][0] <= now:
            self._at, _, transition = heapq.heappop(self._due)
            try:
                transition()
            finally:
                self._at = None

    def _seconds(self) -> float:
        return (time.monotonic() - self._zero) * (self.speed or 1.0)


class ManualClock(CloudClock):
    """A cloud clock that stands still until a test moves it."""

    def __init__(self) -> None:
        """Start at zero and stay there."""
        super().__init__(speed=1.0)
        self._manual = 0.0

    def advance(self, seconds: float) -> None:
        """Let `seconds` of the cloud's time pass."""
        self._manual += seconds

    def _seconds(self) -> float:
        return self._manual
