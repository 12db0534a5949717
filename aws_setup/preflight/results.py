"""What a check says: a finding that refuses the run or warns, and what it found out on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from aws_setup.errors import Problem


class Severity(StrEnum):
    """Whether the run may go on."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True)
class Finding(Problem):
    """A problem, and whether it refuses the run or is a warning only."""

    severity: Severity = Severity.REFUSE

    @property
    def problem(self) -> Problem:
        """The finding without its severity."""
        return Problem(self.what, self.why, self.hint)


def refuse(what: str, why: str = "", hint: str = "") -> Finding:
    """Return a finding that refuses the run."""
    return Finding(what, why, hint, Severity.REFUSE)


def warn(what: str, why: str = "", hint: str = "") -> Finding:
    """Return a finding that is a warning only."""
    return Finding(what, why, hint, Severity.WARN)


@dataclass(frozen=True)
class CheckResult:
    """What one check found, and what it chose where the configuration leaves it open."""

    findings: tuple[Finding, ...] = ()
    zones: tuple[str, ...] = ()
    kubernetes_version: str = ""
    extended: bool = False
    """Whether that version is in extended support, which costs six times as much."""

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> CheckResult:
        """Return an answer that holds findings only."""
        return cls(tuple(findings))
