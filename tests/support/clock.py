"""Clocks for tests, on which no time passes by itself: it passes by pauses or by calls."""

from __future__ import annotations

from datetime import UTC, datetime

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.dispatch import Cloud


class RecordingClock:
    """A clock that moves forward by its own pauses only; `slept` lists them in seconds."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        """Return the sum of all pauses."""
        return sum(self.slept)

    def today(self) -> datetime:
        """Return a fixed date."""
        return datetime(2026, 11, 1, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        """Record a pause."""
        self.slept.append(seconds)


class CallClock(ManualClock):
    """A cloud's clock that each of its calls advances, so that the computer's load is no matter.

    The script's polls make the time pass for which it waits: a deletion that takes 60 seconds is
    seen by the calls of those 60 seconds, however fast or slow the computer makes them.
    """

    def __init__(self, seconds: float) -> None:
        """Advance by `seconds` per call."""
        super().__init__()
        self.seconds = seconds

    def apply_due(self) -> None:
        """Advance, then apply the due transitions."""
        self.advance(self.seconds)
        super().apply_due()


def advance_by_calls(cloud: Cloud, seconds: float) -> None:
    """Let transitions take AWS's time from now on, of which each call takes `seconds`."""
    with cloud.lock:
        if isinstance(cloud.clock, CallClock):
            cloud.clock.seconds = seconds
            return
        cloud.clock.apply_due()
        clock = CallClock(seconds)
        clock.advance(cloud.clock.now())
        cloud.clock = clock
