"""Which actions are meant: names of a prefix with an index, and what else is in their way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aws_setup.errors import Problem, Refused

MOST = 10_000
"""Actions that one run may make; more is a slip of the finger."""

NAME = re.compile(r"\w|\w[\w@ .&-]{0,254}[\w@.&-]", re.ASCII)
"""OpenWhisk's rule for entity names (apache/openwhisk, docs/reference.md)."""


@dataclass(frozen=True)
class Selection:
    """The indices from `start` up to, not including, `end`; `end` None means all that exist."""

    prefix: str
    start: int = 0
    end: int | None = None

    @property
    def names(self) -> list[str]:
        """The names that are meant, in order of their index."""
        return [f"{self.prefix}{index}" for index in range(self.start, self.end or self.start)]

    def index(self, name: str) -> int | None:
        """Return the index in a name of this prefix; None for any other name."""
        match = re.fullmatch(re.escape(self.prefix) + r"(0|[1-9][0-9]*)", name)
        return int(match[1]) if match else None

    def holds(self, name: str) -> bool:
        """Whether a name is among those that are meant."""
        index = self.index(name)
        inside = index is not None and index >= self.start
        return inside and (self.end is None or (index or 0) < self.end)

    def pick(self, existing: Iterable[str]) -> list[str]:
        """Return the meant ones of existing names, by index."""
        return sorted(filter(self.holds, existing), key=lambda name: self.index(name) or 0)

    def surplus(self, existing: Iterable[str]) -> list[str]:
        """Return existing names of this prefix that are not meant, by index."""
        others = [n for n in existing if self.index(n) is not None and not self.holds(n)]
        return sorted(others, key=lambda name: self.index(name) or 0)


def select(
    *, prefix: str, number: int, start: int, end: int, needed: bool
) -> tuple[Selection, list[Problem]]:
    """Return the selection of the command line, and its warnings; -1 is not given.

    Raises:
        Refused: neither a number nor an end where `needed`, a range backwards, or bad names.
    """
    warnings: list[Problem] = []
    if number != -1 and end != -1:
        warnings.append(
            Problem(f"--ending-index {end} is ignored", f"-n {number} was given too", "give one")
        )
    if number == -1 and end == -1:
        if needed:
            raise Refused(
                "how many functions?",
                "neither -n/--num-functions nor -e/--ending-index was given",
                "for example -n 20",
            )
        return Selection(_checked(prefix, start), start), warnings
    stop = start + number if number != -1 else end
    if start < 0 or stop < start or number < -1:
        raise Refused(
            f"indices from {start} to {stop} make no sense",
            "the first index must be 0 or more, and not greater than the end",
            "for example -s 0 -e 20, which makes the indices 0 to 19",
        )
    if stop - start > MOST:
        raise Refused(
            f"{stop - start} functions are too many", f"{MOST} is the limit", "give a smaller -n"
        )
    return Selection(_checked(prefix, stop), start, stop), warnings


def _checked(prefix: str, largest: int) -> str:
    """Return the prefix; raises Refused when OpenWhisk would not take its names."""
    longest = f"{prefix}{largest}"
    if not prefix or not NAME.fullmatch(longest):
        raise Refused(
            f"{prefix!r} cannot be the prefix of action names",
            "OpenWhisk's names begin with a letter, a digit or _, and hold up to 256 of these and "
            "of @ . & - and blanks",
            "for example -p namenode",
        )
    if prefix[-1].isdigit():
        raise Refused(
            f"the prefix {prefix!r} ends in a digit",
            f"{prefix}0 could be index 0 of {prefix!r} and index {prefix[-1]}0 of {prefix[:-1]!r}",
            f"for example -p {prefix}-",
        )
    return prefix
