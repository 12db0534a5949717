"""Retries: one policy class, every policy as data, and the two ways to follow one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from aws_setup.engine.wait import Clock

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often something is tried, and how long the pauses between two tries are.

    A pause is `first` seconds, then the one before times `factor` plus `step`, and never more
    than `longest`. `attempts` counts the first try too; None means as many as fit into
    `deadline`, the seconds from the first try to the start of the last one. With `jitter` each
    pause is a random half to whole of itself, so that many clients do not come back at once.
    """

    first: float
    factor: float = 1.0
    step: float = 0.0
    longest: float = 60.0
    attempts: int | None = None
    deadline: float | None = None
    jitter: bool = False

    def pauses(self) -> Iterator[float]:
        """Yield the pause in seconds after the first, second, … failed try."""
        pause, made = min(self.first, self.longest), 1
        while self.attempts is None or made < self.attempts:
            yield pause * random.uniform(0.5, 1) if self.jitter else pause
            pause = min(pause * self.factor + self.step, self.longest)
            made += 1

    def pause_after(self, attempt: int) -> float | None:
        """Return the pause in seconds after a number of failed tries, None when it was the last."""
        for made, pause in enumerate(self.pauses(), start=1):
            if made == attempt:
                return pause
        return None


class Attempts:
    """The tries of one operation; the policy may change while it goes on."""

    def __init__(self, clock: Clock) -> None:
        """Begin to count: tries from one, seconds from now."""
        self._clock = clock
        self._began = clock.now()
        self.made = 1

    def again(self, policy: RetryPolicy, *, after: float | None = None) -> bool:
        """Pause and return True; False at once when the policy allows no further try.

        Args:
            policy: the policy that applies to the last failure.
            after: seconds that the server asked for (HTTP's Retry-After), instead of the pause.

        Raises:
            Interrupted: the run is being stopped.
        """
        pause = policy.pause_after(self.made)
        if pause is None:
            return False
        pause = pause if after is None else after
        waited = self._clock.now() - self._began
        if policy.deadline is not None and waited + pause > policy.deadline:
            return False
        self.made += 1
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
    """Call `act`, again while its error passes by itself and the policy allows another try.

    Raises:
        Exception: what `act` raised last.
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
    """Return the seconds that a Retry-After header asks for; None without one, or with a date.

    Source: RFC 9110, section 10.2.3.
    """
    text = (headers.get("Retry-After") or "").strip()
    return float(text) if text.isdigit() else None


VISIBLE = RetryPolicy(first=1.0, factor=2.0, longest=8.0, attempts=7)
"""Something just created is not visible yet: seconds are usual, minutes are not. 31 s in all."""

CREATE_ONCE = RetryPolicy(first=2.0, step=2.0, attempts=6)
"""A create whose answer was lost or that failed on the server's side."""

SERVER_UNREACHABLE = RetryPolicy(first=1.0, step=1.0, longest=5.0, attempts=8)
"""A server that has not answered anything in this run: about 25 s."""

SERVER_RESTARTING = RetryPolicy(first=1.0, step=1.0, longest=5.0, deadline=300.0)
"""A server that answered before: it restarts, or the network is away."""

REQUEST = RetryPolicy(first=0.5, factor=2.0, longest=20.0, jitter=True)
"""One request to a busy HTTP server; its deadline is the user's --timeout."""

CONFLICT = RetryPolicy(first=0.5, step=0.5, attempts=10)
"""A write that another writer overtook: read again, write again."""

LOCAL_PROGRAM = RetryPolicy(first=2.0, step=2.0, attempts=5)
"""A local program that lost its server, and is started again once the server answers."""
