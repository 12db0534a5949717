"""What went wrong, why, and how to mend it: the only shape in which a foreseeable fault travels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault: `what` happened, `why` it did (one line of cause), `hint` (one line of mend)."""

    what: str
    why: str = ""
    hint: str = ""


class SetupError(Exception):
    """A foreseeable fault; the command line shows it in two lines and exits with 1."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.problems: tuple[Problem, ...] = (Problem(what, why, hint),)


class Refused(SetupError):
    """The run was refused before anything was written; the command line exits with 2."""

    @classmethod
    def all(cls, problems: Sequence[Problem]) -> Refused:
        """Return one refusal that names every problem; `problems` must not be empty."""
        first = problems[0]
        error = cls(first.what, first.why, first.hint)
        error.problems = tuple(problems)
        return error


class Interrupted(Exception):
    """The user pressed Ctrl-C; what was under way has ended, exit code 130."""
