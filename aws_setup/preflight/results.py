"""Results of checks: findings that refuse the run or warn, and values chosen by a check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from aws_setup.errors import Problem

AGAIN = "grant the permission if one is missing, else run the same command again"
"""Fix of what AWS did not answer: the reason may also be an error of AWS's, or the network."""


class Severity(StrEnum):
    """Whether a finding refuses the run or is a warning only."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True)
class Finding(Problem):
    """A problem found by a check, and its severity."""

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
    """The findings of one check, and its choice where the configuration sets no value.

    `extended` says that the version is in extended support, which costs six times as much.
    """

    findings: tuple[Finding, ...] = ()
    zones: tuple[str, ...] = ()
    kubernetes_version: str = ""
    extended: bool = False

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> CheckResult:
        """Return a result with findings only."""
        return cls(tuple(findings))
