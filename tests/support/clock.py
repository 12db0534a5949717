"""A clock for tests: its pauses take no time and are recorded."""

from __future__ import annotations

from datetime import UTC, datetime


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
