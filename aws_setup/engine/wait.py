"""Time: the only module that sleeps, and the one loop with which everything waits.

A wait has a name, a pace and a deadline, and says its last state when the deadline passes.
Pauses are multiplied by the environment variable AWS_SETUP_PACE (default 1), for a cloud whose
clock runs faster than AWS's; deadlines are not.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from aws_setup.errors import Interrupted, Refused, SetupError

T = TypeVar("T")

SHORTEST_PAUSE = 0.02
"""Seconds: no wait polls faster than this, whatever the pace."""


@dataclass(frozen=True)
class Pending:
    """What a probe answers while the thing is not ready: its state, in the cloud's own words."""

    state: str


class Clock(Protocol):
    """Where time comes from; tests inject one that does not pass by itself."""

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""

    def today(self) -> datetime:
        """Return the calendar time, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Pause for `seconds`; raises Interrupted when the run is being stopped."""


class SystemClock:
    """The machine's own clock; `stop()` wakes every sleeper, which then raises Interrupted."""

    def __init__(self, pace: float | None = None) -> None:
        self._pace = _pace_from_environment() if pace is None else pace
        self._stopped = threading.Event()

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    def today(self) -> datetime:
        """Return the calendar time, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Pause for `seconds` times the pace; raises Interrupted when the run is being stopped."""
        if self._stopped.wait(max(SHORTEST_PAUSE, seconds * self._pace)):
            raise Interrupted

    def stop(self) -> None:
        """Wake every sleeper, now and from now on."""
        self._stopped.set()


def _pace_from_environment() -> float:
    text = os.environ.get("AWS_SETUP_PACE", "1")
    try:
        pace = float(text)
    except ValueError:
        pace = -1.0
    if not 0 <= pace <= 1000:
        raise Refused(
            "AWS_SETUP_PACE is not a number from 0 to 1000",
            f"it is {text!r}",
            "unset it, or set the factor by which pauses are multiplied, such as 0.1",
        )
    return pace


def wait_until(
    what: str,
    probe: Callable[[], T | Pending],
    *,
    clock: Clock,
    deadline: float,
    pause: float,
    note: Callable[[str], None] | None = None,
    hint: str = "",
) -> T:
    """Call `probe` every `pause` seconds until it answers with something other than Pending.

    Args:
        what: the name of the wait, as in "NAT gateway nat-1 becomes available".
        probe: answers the ready thing, or Pending with the state; what it raises ends the wait.
        clock: the clock to sleep on.
        deadline: seconds after which the wait fails.
        pause: seconds between two looks.
        note: told each new state.
        hint: what to do when the deadline passes.

    Raises:
        SetupError: the deadline passed; it names the last state.
        Interrupted: the run is being stopped.
    """
    started = clock.now()
    last = ""
    while True:
        answer = probe()
        if not isinstance(answer, Pending):
            return answer
        if answer.state != last:
            last = answer.state
            if note:
                note(last)
        if clock.now() - started >= deadline:
            raise SetupError(
                f"{what}: not within {format_duration(deadline)}",
                f"its last state was {last!r}",
                hint or "run the same command again: it goes on from here",
            )
        clock.sleep(pause)


def format_duration(seconds: float) -> str:
    """Return a duration as people write it: '45 s', '9 min 20 s', '2 h 5 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
