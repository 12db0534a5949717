"""What the story comes to: how each act ended, and what is not as it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.rehearsal.rules import Thing
from aws_setup.rehearsal.story.acts import Act
from aws_setup.rehearsal.story.books import Page


@dataclass(frozen=True)
class Played:
    """An act that was played: its exit code, its seconds here, and what was noted meanwhile."""

    act: Act
    code: int
    seconds: float
    page: Page
    again: bool = False
    """Whether it failed and was run again, as its last line says that one may."""

    @property
    def fault(self) -> str:
        """What is not as it should be; '' when all is."""
        if self.again:
            return ""
        if self.code:
            return f"exit code {self.code} instead of 0: {self.act.line}"
        if self.act.unchanged and self.page.writes:
            counted = Counter(self.page.writes).most_common()
            told = ", ".join(f"{count} {name}" for name, count in counted[:5])
            return f"it should change nothing and wrote ({told}): {self.act.line}"
        return ""


def faults(played: Sequence[Played], left: Sequence[Thing]) -> list[str]:
    """Return everything that is not as it should be, one line each."""
    found = [one.fault for one in played if one.fault]
    return found + ([f"{len(left)} things are left"] if left else [])
