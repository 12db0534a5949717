"""Which of OpenWhisk's answers pass by themselves, and how they are tried again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from aws_setup.engine.wait import Clock, format_duration
from aws_setup.errors import SetupError

T = TypeVar("T")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 20.0
"""Seconds between two attempts: the pause doubles from the first to the longest."""

GATEWAY = frozenset({502, 503, 504})
"""What nginx answers while the controller starts or is overloaded."""


BUSY_HINT = "see whether OpenWhisk's controller runs (kubectl get pods), then run it again"
UNREACHABLE_HINT = "see whether address, port and network are right; --tunnel reaches internal ones"


class TransientError(Exception):
    """An answer that passes by itself.

    `after` is the pause in seconds that it asks for. `unreachable` says that nobody answered at
    all: a host that starts, or a wrong address.
    """

    def __init__(self, why: str, *, after: float | None = None, unreachable: bool = False) -> None:
        super().__init__(why)
        self.after = after
        self.unreachable = unreachable


@dataclass(frozen=True)
class Patience:
    """How long to keep trying, in seconds from the first attempt.

    `unreachable` holds while nobody answers at all; None stands for the deadline.
    """

    clock: Clock
    deadline: float
    unreachable: float | None = None
    note: Callable[[str], None] = lambda _: None

    def seconds(self, error: TransientError) -> float:
        """Return how long to keep trying after this error."""
        limited = error.unreachable and self.unreachable is not None
        return min(self.deadline, self.unreachable or 0) if limited else self.deadline


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, None when it says none."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdigit() else None


def trying(what: str, attempt: Callable[[TransientError | None], T], patience: Patience) -> T:
    """Call `attempt` until it ends with something else than TransientError.

    Args:
        what: the name of the work, for the message.
        attempt: does the work; it is told what went wrong the time before.
        patience: the clock, the deadline, and who is told about each new attempt.

    Raises:
        SetupError: the deadline would pass before the next attempt.
    """
    began = patience.clock.now()
    pause, last = FIRST_PAUSE, None
    while True:
        try:
            return attempt(last)
        except TransientError as error:
            last = error
        wait = last.after if last.after is not None else pause * random.uniform(0.5, 1)
        if patience.clock.now() - began + wait > patience.seconds(last):
            raise SetupError(
                f"{what}: no success within {format_duration(patience.seconds(last))}",
                str(last),
                UNREACHABLE_HINT if last.unreachable else BUSY_HINT,
            ) from last
        patience.note(f"tried again: {last}")
        patience.clock.sleep(wait)
        pause = min(pause * 2, LONGEST_PAUSE)
