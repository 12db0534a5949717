"""A table of checks, run in its order: each passes, fails with cause and fix, or is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Generic, TypeVar

from aws_setup.engine.wait import Clock
from aws_setup.errors import Problem, Refused, SetupError

C = TypeVar("C")


class CheckStatus(StrEnum):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIPPED = "skipped"


class Broken(Exception):
    """A check failed: the cause, and an imperative that fixes it."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause, self.fix = cause, fix


class NotApplicable(Exception):
    """A check does not apply to this deployment; the text says why."""


@dataclass(frozen=True)
class Check(Generic[C]):
    """One link of the chain.

    `run` returns what it found in a few words, or raises Broken, NotApplicable or SetupError. It is
    called after the checks that `needs` names have passed. `deep` checks start containers or use
    the file system; the others only read.
    """

    name: str
    run: Callable[[C], str]
    needs: tuple[str, ...] = ()
    deep: bool = False


@dataclass(frozen=True)
class CheckOutcome:
    """How a check ended: what it found or why it failed, how to fix it, and its duration."""

    name: str
    status: CheckStatus
    cause: str = ""
    fix: str = ""
    seconds: float = 0.0

    @property
    def problem(self) -> Problem:
        """The failure as an error message."""
        return Problem(self.name, self.cause, self.fix)

    def document(self) -> dict[str, Any]:
        """Return the outcome for the JSON document."""
        return {
            "name": self.name,
            "result": str(self.status),
            "cause": self.cause,
            "fix": self.fix,
            "seconds": round(self.seconds, 1),
        }


@dataclass
class Verification:
    """The outcomes of a table of checks, in its order."""

    outcomes: list[CheckOutcome] = field(default_factory=list)

    @property
    def broken(self) -> list[CheckOutcome]:
        """The checks that failed, the first link of the chain first."""
        return [item for item in self.outcomes if item.status is CheckStatus.FAIL]

    @property
    def passed(self) -> bool:
        """Whether none failed, and at least one passed."""
        return not self.broken and any(o.status is CheckStatus.PASS for o in self.outcomes)

    def count(self, status: CheckStatus) -> int:
        """Return how many checks ended so."""
        return sum(item.status is status for item in self.outcomes)


def select(
    checks: Sequence[Check[C]], *, quick: bool = False, names: Sequence[str] = ()
) -> list[Check[C]]:
    """Return the checks of a run: only `names` and their needs, without deep ones if `quick`.

    Raises:
        Refused: a name is not in the table.
    """
    by_name = {check.name: check for check in checks}
    for name in names:
        if name not in by_name:
            similar = get_close_matches(name, by_name, 1)
            suggestion = f"; did you mean {similar[0]!r}?" if similar else ""
            why = f"the checks are {', '.join(map(repr, by_name))}{suggestion}"
            raise Refused(f"--only: no check is named {name!r}", why, "use one of these names")
    chosen, pending = set(), list(names or by_name)
    while pending:
        name = pending.pop()
        if name not in chosen:
            chosen.add(name)
            pending.extend(by_name[name].needs)
    return [check for check in checks if check.name in chosen and not (quick and check.deep)]


def run_checks(
    checks: Sequence[Check[C]],
    subject: C,
    *,
    clock: Clock,
    begin: Callable[[Check[C]], None] = lambda _: None,
    explain: Callable[[Exception], Exception] = lambda error: error,
) -> Iterator[CheckOutcome]:
    """Yield the outcome of every check, in order.

    A check is skipped when one that it needs did not pass; one that does not apply counts as passed
    for those that need it.

    Args:
        checks: the table.
        subject: what the checks inspect.
        clock: measures their durations.
        begin: called before each check that is not skipped.
        explain: translates errors of outside libraries into SetupErrors.
    """
    failed: dict[str, str] = {}
    for check in checks:
        cause = next((failed[need] for need in check.needs if need in failed), "")
        if cause:
            outcome = CheckOutcome(
                check.name, CheckStatus.SKIPPED, f"needs {cause!r}, which failed"
            )
            failed[check.name] = cause
        else:
            begin(check)
            outcome = _run(check, subject, clock=clock, explain=explain)
            if outcome.status is CheckStatus.FAIL:
                failed[check.name] = check.name
        yield outcome


def _run(
    check: Check[C], subject: C, *, clock: Clock, explain: Callable[[Exception], Exception]
) -> CheckOutcome:
    began = clock.now()
    status, fix = CheckStatus.PASS, ""
    try:
        cause = check.run(subject)
    except NotApplicable as reason:
        status, cause = CheckStatus.SKIPPED, str(reason)
    except Broken as broken:
        status, cause, fix = CheckStatus.FAIL, broken.cause, broken.fix
    except Exception as raised:
        error = explain(raised)
        if not isinstance(error, SetupError):
            raise
        problem = error.problems[0]
        status, fix = CheckStatus.FAIL, problem.hint
        cause = f"{problem.what}: {problem.why}" if problem.why else problem.what
    return CheckOutcome(check.name, status, cause, fix, clock.now() - began)
