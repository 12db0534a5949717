"""Deadlines that hold: what runs inside a wait gets at most the time that the wait has left.

A wait sets its deadline for its thread; requests, remote commands and inner waits ask for the time
that remains. So no function has to pass a deadline down, and no inner limit adds to an outer one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

LAST_TRY = 2.0
"""Seconds that a request still gets at the very end, so that the last look can succeed."""


class _Now(Protocol):
    def now(self) -> float: ...


@dataclass
class _Deadline:
    clock: _Now
    until: float
    outer: _Deadline | None

    def left(self) -> float:
        return self.until - self.clock.now()


_CURRENT: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float, *, clock: _Now) -> Iterator[float]:
    """Limit everything inside; yields the seconds, or less where an outer limit is nearer.

    Args:
        seconds: the limit, from now.
        clock: the clock that the limit is measured on.
    """
    granted = min(seconds, max(0.0, left()))
    token = _CURRENT.set(_Deadline(clock, clock.now() + granted, _CURRENT.get()))
    try:
        yield granted
    finally:
        _CURRENT.reset(token)


def remaining(seconds: float) -> float:
    """Return a limit of some seconds, shortened to what the deadlines around it leave."""
    return min(seconds, max(LAST_TRY, left()))


def left() -> float:
    """Return the seconds to the nearest deadline; infinity without one."""
    outer = _CURRENT.get()
    return math.inf if outer is None else outer.left()


def postpone(seconds: float) -> None:
    """Move the limits of this thread, as after a time in which the computer was asleep."""
    limit = _CURRENT.get()
    while limit is not None:
        limit.until += seconds
        limit = limit.outer
