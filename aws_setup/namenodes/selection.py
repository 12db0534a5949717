"""The selected actions: a prefix and a range of indices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from aws_setup.errors import Problem, Refused

MOST = 10_000
"""Actions of one run; a larger number is taken for a typing error."""

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
        """The selected names, in the order of their index."""
        return [f"{self.prefix}{index}" for index in range(self.start, self.end or self.start)]

    def index(self, name: str) -> int | None:
        """Return the index in a name of this prefix; None for any other name."""
        match = re.fullmatch(re.escape(self.prefix) + r"(0|[1-9][0-9]{0,8})", name)
        return int(match[1]) if match else None

    def deployments(self, existing: Iterable[str]) -> int:
        """Return how many deployments clients may call: PREFIX0, PREFIX1, … without a gap."""
        known = set(existing)
        return next(number for number in count() if f"{self.prefix}{number}" not in known)

    def contains(self, name: str) -> bool:
        """Whether a name is selected."""
        index = self.index(name)
        inside = index is not None and index >= self.start
        return inside and (self.end is None or (index or 0) < self.end)

    def pick(self, existing: Iterable[str]) -> list[str]:
        """Return the existing names that are selected, by index."""
        return sorted(filter(self.contains, existing), key=lambda name: self.index(name) or 0)

    def surplus(self, existing: Iterable[str]) -> list[str]:
        """Return existing names of this prefix that are not selected, by index."""
        others = [n for n in existing if self.index(n) is not None and not self.contains(n)]
        return sorted(others, key=lambda name: self.index(name) or 0)


def select(
    *, prefix: str, number: int, start: int, end: int, needed: bool
) -> tuple[Selection, list[Problem]]:
    """Return the selection of the command line, and its warnings; -1 means not set.

    Raises:
        Refused: neither number nor end although `needed`, an invalid range, or invalid names.
    """
    warnings: list[Problem] = []
    if number != -1 and end != -1:
        warnings.append(
            Problem(f"--ending-index {end} is ignored", f"-n {number} overrides it", "set only one")
        )
    if number == -1 and end == -1:
        if needed:
            raise Refused(
                "the number of functions is unknown",
                "neither -n/--num-functions nor -e/--ending-index is set",
                "set one, as in -n 20",
            )
        return Selection(_checked(prefix, start), start), warnings
    stop = start + number if number != -1 else end
    if start < 0 or stop < start or number < -1:
        raise Refused(
            f"invalid index range {start} to {stop}",
            "the first index must be 0 or more, and not greater than the end",
            "correct -s, -e or -n; -s 0 -e 20 selects the indices 0 to 19",
        )
    if stop - start > MOST:
        raise Refused(
            f"{stop - start} functions are too many", f"{MOST} is the limit", "set a smaller -n"
        )
    return Selection(_checked(prefix, stop), start, stop), warnings


def _checked(prefix: str, largest: int) -> str:
    """Return the prefix; raises Refused when OpenWhisk would reject its names."""
    longest = f"{prefix}{largest}"
    if not prefix or not NAME.fullmatch(longest):
        raise Refused(
            f"{prefix!r} cannot be the prefix of action names",
            "a name in OpenWhisk starts with a letter, a digit or _, and has up to 256 of these, "
            "@ . & - and spaces",
            "choose another one, as in -p namenode",
        )
    if prefix[-1].isdigit():
        raise Refused(
            f"the prefix {prefix!r} ends in a digit",
            f"{prefix}0 could be index 0 of {prefix!r} and index {prefix[-1]}0 of {prefix[:-1]!r}",
            f"choose another one, as in -p {prefix}-",
        )
    return prefix
