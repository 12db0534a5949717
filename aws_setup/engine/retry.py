"""Retries: one policy class, every policy as data, and the two ways to apply one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from aws_setup.engine.deadline import left
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.wait import Clock

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How many attempts an operation has, and how long the pauses between them are.

    The first pause is `first` seconds; each further pause is the previous one times `factor` plus
    `step`, and at most `longest`. `attempts` counts the first attempt too; None means as many as
    fit into `deadline`, the seconds from the first attempt to the start of the last one. With
    `jitter` each pause is multiplied by a random factor from 0.5 to 1, so that many clients do
    not retry at the same moment.

    With `answers` the server does answer: pauses then count as long as they were meant to be, also
    on a clock that shortens them (AWS_SETUP_PACE). Else a server that refuses everything would be
    asked thousands of times on such a clock, for as many real minutes. The outage of a server that
    does not answer takes real time.
    """

    first: float
    factor: float = 1.0
    step: float = 0.0
    longest: float = 60.0
    attempts: int | None = None
    deadline: float | None = None
    jitter: bool = False
    answers: bool = False

    def pauses(self) -> Iterator[float]:
        """Yield the pause in seconds after the first, second, … failed attempt."""
        pause, made = min(self.first, self.longest), 1
        while self.attempts is None or made < self.attempts:
            yield pause * random.uniform(0.5, 1) if self.jitter else pause
            pause = min(pause * self.factor + self.step, self.longest)
            made += 1

    def pause_after(self, attempt: int) -> float | None:
        """Return the pause in seconds after a number of failed attempts; None after the last."""
        for made, pause in enumerate(self.pauses(), start=1):
            if made == attempt:
                return pause
        return None


class Attempts:
    """The attempts of one operation; each failure may apply another policy."""

    def __init__(self, clock: Clock) -> None:
        """Start to count: attempts from one, seconds from now."""
        self._clock = clock
        self._began = clock.now()
        self._paused = 0.0
        self.made = 1

    def again(self, policy: RetryPolicy, *, after: float | None = None) -> bool:
        """Pause and return True; False at once when the policy allows no further attempt.

        Args:
            policy: the policy that applies to the last failure.
            after: the server's Retry-After in seconds: the shortest pause that it accepts.

        Raises:
            Interrupted: the run is being stopped.
        """
        pause = policy.pause_after(self.made)
        if pause is None:
            return False
        pause = max(pause, after or 0.0)
        waited = self._clock.now() - self._began
        waited = max(waited, self._paused) if policy.answers else waited
        if policy.deadline is not None and waited + pause > policy.deadline:
            return False
        if pause > left():
            return False
        self.made += 1
        self._paused += pause
        self._clock.sleep(pause)
        return True


def retry(
    act: Callable[[], T],
    policy: RetryPolicy,
    *,
    clock: Clock,
    should_retry: Callable[[Exception], bool],
    note: Callable[[Exception], None] = lambda _: None,
) -> T:
    """Call `act` until it succeeds; retry errors that `should_retry`, as the policy allows.

    Raises:
        Exception: the last exception of `act`.
    """
    attempts = Attempts(clock)
    while True:
        try:
            return act()
        except Exception as error:
            if not should_retry(error):
                raise
            note(error)
            if not attempts.again(policy):
                raise


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header; None without one, or when it is a date.

    Source: RFC 9110, section 10.2.3.
    """
    text = (headers.get("Retry-After") or "").strip()
    seconds = whole_number(text)
    return None if seconds is None else float(seconds)


VISIBLE = RetryPolicy(first=1.0, factor=2.0, longest=8.0, attempts=7)
"""A resource just created is not visible yet: seconds are usual, minutes are not. 31 s in total."""

CREATE_ONCE = RetryPolicy(first=2.0, step=2.0, attempts=6)
"""A create whose response was lost, or that failed with a server error."""

SERVER_UNREACHABLE = RetryPolicy(first=1.0, step=1.0, longest=5.0, attempts=8)
"""A server that has not answered any request of this run: about 25 s."""

SERVER_RESTARTING = RetryPolicy(first=1.0, step=1.0, longest=5.0, deadline=300.0)
"""A server that answered before: it is restarting, or the network is down."""

SERVER_BUSY = replace(SERVER_RESTARTING, answers=True)
"""A server, or what stands before it, that answers: not now."""

SERVER_ERROR = RetryPolicy(first=1.0, step=1.0, longest=5.0, attempts=8, deadline=300.0)
"""A server that answers, but fails at this request: about 25 s, longer where it asks for more."""

REQUEST = RetryPolicy(first=0.5, factor=2.0, longest=20.0, jitter=True)
"""One request to a busy HTTP server; its deadline is the user's --timeout."""

CONFLICT = RetryPolicy(first=0.5, step=0.5, attempts=10)
"""A write that conflicts with another writer's: read again, write again."""

BEING_DELETED = RetryPolicy(first=1.0, step=1.0, longest=5.0, deadline=300.0, answers=True)
"""A create under a name whose last bearer is still being deleted."""

LOCAL_PROGRAM = RetryPolicy(first=2.0, step=2.0, attempts=5)
"""A local program that lost its connection to the server: restarted once the server answers."""

DECIDED = RetryPolicy(first=2.0, attempts=7)
"""Which of several creates with one client token won: it is visible soon, or not at all. 12 s."""
