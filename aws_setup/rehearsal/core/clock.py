"""The cloud's clock: runs faster than real time and applies scheduled transitions.

Durations are those of this clock. Calendar times are the computer's: the scripts compare what AWS
reports, such as when a cluster was created, with their own clock.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aws_setup.rehearsal.core.accounts import in_current_account


class TransitionError(RuntimeError):
    """A scheduled transition failed: a fault of the rehearsal, whoever's call was answered then."""


class CloudClock:
    """Seconds since the cloud started, in the cloud's time.

    `speed` 1 is real time, 20 is twenty times faster; at 0 there are no delays (and `now`
    runs in real time). Used under the cloud's lock only.
    """

    def __init__(self, speed: float = 1.0) -> None:
        """Start the clock at zero."""
        self._speed = speed
        self._zero = time.monotonic()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._at: float | None = None
        self.failed: list[Exception] = []
        """What transitions have raised; a world in which one failed is not AWS's."""

    @property
    def speed(self) -> float:
        """How much faster than real time the clock runs; a change does not move it."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        now = self._seconds()
        self._speed = speed
        self._zero = time.monotonic() - now / (speed or 1.0)

    def now(self) -> float:
        """Return the cloud's seconds; while a transition is applied, its due time."""
        return self._at if self._at is not None else self._seconds()

    def today(self) -> datetime:
        """Return the calendar time, in UTC: the computer's, as in every program."""
        return datetime.now(UTC)

    def after(self, seconds: float, transition: Callable[[], object]) -> None:
        """Apply `transition` once `seconds` of the cloud's time have passed."""
        at = self.now() + (seconds if self.speed else 0.0)
        self._push(at, transition)

    def after_real(self, seconds: float, transition: Callable[[], object]) -> None:
        """Apply `transition` after `seconds`, also in a cloud without delays."""
        self._push(self.now() + seconds, transition)

    def at(self, moment: datetime, transition: Callable[[], object]) -> None:
        """Apply `transition` at a calendar time."""
        seconds = (moment - self.today()).total_seconds() * (self.speed or 1.0)
        self.after_real(seconds, transition)

    def _push(self, at: float, transition: Callable[[], object]) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), in_current_account(transition)))

    def apply_due(self) -> None:
        """Apply the due transitions in order; a transition may schedule the next.

        Raises:
            TransitionError: one has failed; it is not tried again. Its own error must not become
                the answer to the call that happens to be made now.
        """
        now = self._seconds()
        while self._due and self._due[0][0] <= now:
            self._at, _, transition = heapq.heappop(self._due)
            try:
                transition()
            except Exception as error:
                self.failed.append(error)
                raise TransitionError(f"a scheduled transition failed: {error!r}") from error
            finally:
                self._at = None

    def _seconds(self) -> float:
        return (time.monotonic() - self._zero) * (self.speed or 1.0)


class ManualClock(CloudClock):
    """A clock that only moves when a test advances it."""

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__(speed=1.0)
        self._born = datetime.now(UTC)
        self._manual = 0.0

    def today(self) -> datetime:
        """Return the calendar time at the start, and what the clock was advanced since then."""
        return self._born + timedelta(seconds=self.now())

    def advance(self, seconds: float) -> None:
        """Advance the clock by `seconds`."""
        self._manual += seconds

    def _seconds(self) -> float:
        return self._manual
