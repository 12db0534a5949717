"""Time: the only module that sleeps, and the loop that every wait uses.

A wait has a name, a pause and a deadline; its error names the last state. Pauses are multiplied
by the environment variable AWS_SETUP_PACE (default 1), for a cloud whose clock runs faster than
the real one; deadlines are not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from aws_setup.engine.deadline import left, postpone, within
from aws_setup.engine.flag import Flag
from aws_setup.errors import Interrupted, Refused, SetupError

T = TypeVar("T")

SHORTEST_PAUSE = 0.02
"""Seconds: the shortest pause between two polls, whatever the pace."""


def calendar_time() -> datetime:
    """Return the calendar time of this computer, in UTC."""
    return datetime.now(UTC)


class TooLate(SetupError):
    """What was waited for did not come before the deadline."""


@dataclass(frozen=True)
class Pending:
    """What a probe returns while the resource is not ready: its state, as the API names it.

    `hint` is how to fix it if this is the last state at the deadline, '' for the hint of the wait.
    """

    state: str
    hint: str = ""


class Clock(Protocol):
    """The source of time; tests inject a clock that they set."""

    def now(self) -> float:
        """Return seconds on a monotonic clock."""

    def today(self) -> datetime:
        """Return the calendar time, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Pause for `seconds`; raises Interrupted when the run is being stopped."""


class SystemClock:
    """The computer's clock; `stop()` wakes every sleeper, which then raises Interrupted.

    `pace` is the factor of the pauses.
    """

    def __init__(self, pace: float | None = None) -> None:
        self.pace = _pace_from_environment() if pace is None else pace
        self._stopped = Flag()

    def now(self) -> float:
        """Return seconds on a monotonic clock."""
        return time.monotonic()

    def today(self) -> datetime:
        """Return the calendar time, in UTC."""
        return calendar_time()

    def sleep(self, seconds: float) -> None:
        """Pause for `seconds` times the pace; raises Interrupted when the run is being stopped."""
        if self._stopped.wait(max(SHORTEST_PAUSE, seconds * self.pace)):
            raise Interrupted

    def is_stopped(self) -> bool:
        """Whether the run is being stopped."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Wake every sleeper; later sleeps end at once too."""
        self._stopped.set()


def _pace_from_environment() -> float:
    text = os.environ.get("AWS_SETUP_PACE", "1")
    try:
        pace = float(text)
    except ValueError:
        pace = -1.0
    if not 0 <= pace <= 1000:
        raise Refused(
            "AWS_SETUP_PACE is invalid",
            f"{text!r} is not a number from 0 to 1000",
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
    note: Callable[[str], None] = lambda _: None,
    again: Callable[[str], None] = lambda _: None,
    hint: str = "",
    usual: float = 0.0,
    passed: float = 0.0,
) -> T:
    """Call `probe` until it returns something other than Pending.

    Args:
        what: what is waited for, as in "disk d-1 becomes available".
        probe: returns the result, or Pending with the state; an exception ends the wait.
        clock: the clock to sleep on.
        deadline: seconds after which the wait fails; less inside a wait that ends sooner.
        pause: seconds between two polls; where `usual` is known, the least until shortly before.
        usual: seconds that it usually takes: until then there are few polls, which show a failure,
            and afterwards the pauses are 2 % of the time that has passed. 0: not known.
        passed: of the usual seconds, those that had passed before the call.
        note: called with each state, once in a wait however often it comes back: what prints it
            would print two states that alternate at each poll.
        again: called instead with a state that comes back, for what shows the present one.
        hint: how to fix it when the deadline passes, unless the last state has a hint of its own.

    Raises:
        TooLate: the deadline passed; it names the last state.
        Interrupted: the run is being stopped.
    """
    with within(deadline, clock=clock) as granted:
        return _poll(
            what,
            probe,
            clock=clock,
            deadline=granted,
            pause=lambda waited: pause_after(passed + waited, pause=pause, usual=usual),
            tell=_Teller(note, again),
            hint=hint,
        )


class _Teller:
    """Tells the states of a wait when they change: new ones, and those that come back."""

    def __init__(self, note: Callable[[str], None], again: Callable[[str], None]) -> None:
        self._note, self._again = note, again
        self._noted: set[str] = set()
        self.last = ""

    def __call__(self, state: str) -> None:
        """Take the state of a poll."""
        if state != self.last:
            self.last = state
            (self._again if state in self._noted else self._note)(state)
            self._noted.add(state)


def pause_after(passed: float, *, pause: float, usual: float) -> float:
    """Return the seconds until the next poll, `passed` seconds after the request.

    Args:
        passed: the sum of the pauses so far, and what had passed before.
        pause: the shortest pause where no usual time is known.
        usual: the usual time, 0 where it is not known.
    """
    if not usual:
        return max(pause, passed * OVERSHOOT)
    near = usual * (1 - EARLY)
    if passed < near:
        return min(max(usual * SPARSE, pause), near - passed)
    return max(passed * (DENSE if passed < usual else OVERSHOOT), SHORTEST_NEAR)


def age(since: datetime | None, clock: Clock) -> float:
    """Return the seconds since a moment, on the clock of a cloud that is faster than the real one.

    0 when the moment is not known.
    """
    if since is None:
        return 0.0
    pace = _pace_of(clock)
    return (clock.today() - since).total_seconds() / pace if pace else 0.0


EARLY, SPARSE, DENSE, OVERSHOOT = 0.05, 0.1, 0.01, 0.02
"""Of the usual time: how much earlier the dense polls begin, and the pause before that. Of the time
that has passed: the pause until the usual time and the one after it, which is what a wait lasts
too long at most."""

SHORTEST_NEAR = 0.5
"""Seconds: the shortest pause near the usual time."""

ASLEEP = 60.0
"""Seconds by which a pause is longer than on the busiest computer: the computer was asleep."""

STALE = 3.0
"""Multiple of the usual time after which a request is too old for it to say anything."""


def _poll(
    what: str,
    probe: Callable[[], T | Pending],
    *,
    clock: Clock,
    deadline: float,
    pause: Callable[[float], float],
    tell: _Teller,
    hint: str,
) -> T:
    waited = 0.0
    while True:
        result = probe()
        if not isinstance(result, Pending):
            return result
        tell(result.state)
        if left() <= 0:
            raise TooLate(
                f"{what}: not within {format_duration(deadline)}",
                f"its last state was {tell.last!r}",
                result.hint or hint or "run the same command again: it resumes from here",
            )
        _sleep(clock, seconds := pause(waited))
        waited += seconds


def _sleep(clock: Clock, seconds: float) -> None:
    """Pause; the time in which the computer was asleep meanwhile does not count for deadlines.

    The monotonic clock of Windows counts it, those of Linux and macOS do not
    (https://peps.python.org/pep-0418/#time-monotonic).
    """
    began = clock.now()
    clock.sleep(seconds)
    asleep = clock.now() - began - seconds * max(1.0, _pace_of(clock))
    if asleep > ASLEEP:
        postpone(asleep)


def _pace_of(clock: Clock) -> float:
    return clock.pace if isinstance(clock, SystemClock) else 1.0


def format_duration(seconds: float) -> str:
    """Return a duration as text: '45 s', '9 min 20 s', '2 h 5 min'."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    minutes, rest = divmod(rounded, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
