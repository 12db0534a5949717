"""Expected errors: what failed, why, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

ALLOW_MY_IP = "run `python create_aws_infrastructure.py allow-my-ip`"


class Place(StrEnum):
    """A place that lets in the operators' addresses only, and times out for all others."""

    SSH = "SSH"
    ENDPOINT = "the cluster's endpoint"
    OPENWHISK = "OpenWhisk's load balancer"


def address_hint(place: Place) -> str:
    """Return the fix of what times out at a place, before the addresses are compared."""
    return (
        f"if your public address has changed, {ALLOW_MY_IP}, which lets the new one in at {place}"
    )


@dataclass(frozen=True)
class Problem:
    """One problem: `what` failed, `why` (the cause), and `hint`, an imperative that fixes it.

    It is printed as `error: WHAT: WHY` and, on the next line, `Fix: HINT`.
    """

    what: str
    why: str = ""
    hint: str = ""


class SetupError(Exception):
    """An expected error; the command line prints its problems and exits with 1."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.problems: tuple[Problem, ...] = (Problem(what, why, hint),)

    @classmethod
    def all(cls, problems: Sequence[Problem]) -> Self:
        """Return one error with all the problems; `problems` must not be empty."""
        first = problems[0]
        error = cls(first.what, first.why, first.hint)
        error.problems = tuple(problems)
        return error


class Refused(SetupError):
    """The run was refused before the first write; the command line exits with 2."""


class Interrupted(BaseException):
    """The user pressed Ctrl-C; running jobs have ended; the command line exits with 130.

    It is no Exception, as KeyboardInterrupt is none, so that what handles every error does not
    continue with the run: https://docs.python.org/3/library/exceptions.html#KeyboardInterrupt

    Args:
        cause: what ended the run, unless a signal did.
        unchanged: whether it ended before the first write, at the question for consent.
    """

    def __init__(self, cause: str = "", *, unchanged: bool = False) -> None:
        super().__init__(cause)
        self.cause, self.unchanged = cause, unchanged
