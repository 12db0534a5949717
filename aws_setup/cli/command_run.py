"""One command of any script while it runs: warnings, consent, and the execution of a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aws_setup.aws.pricing import Prices
from aws_setup.aws.run_lock import RunLock, not_prevented
from aws_setup.cli.prompts import Ask, confirm
from aws_setup.cli.run_recorder import Mode, RunRecorder
from aws_setup.engine.plan import Row
from aws_setup.engine.result import Result, changes
from aws_setup.engine.runner import Listener, Outcome
from aws_setup.engine.step import Action, RunContext
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Problem
from aws_setup.report import Report

C = TypeVar("C", bound=RunContext)


@dataclass(kw_only=True)
class CommandRun(Generic[C]):
    """The state of one command; `only` are the names of --only, `yes` is --yes.

    `lock` is None where the command does not write, or knows no deployment.
    """

    ctx: C
    clock: SystemClock
    report: Report
    result: Result
    recorder: RunRecorder
    only: tuple[str, ...] = ()
    yes: bool = False
    ask: Ask | None = None
    lock: RunLock | None = None

    def warn(self, warnings: Sequence[Problem]) -> None:
        """Print warnings and keep them for the JSON document."""
        self.report.problems(warnings, warning=True)
        self.result.warnings.extend(warnings)

    def warn_found(self) -> None:
        """Print what the steps have found out so far and the user has to read, each once."""
        printed = {warning.what for warning in self.result.warnings}
        found = self.ctx.warnings.items()
        self.warn([problem for what, problem in found if what not in printed])

    def take_lock(self) -> None:
        """Take the lock before the first write; without one, warn that there is none.

        Raises:
            LockHeld: another run holds it.
            Outdated: it is taken, and what was examined may have changed.
        """
        if self.lock is None:
            return
        self.lock.acquire()
        self.ctx.first_run = self.lock.first_run
        if self.lock.unavailable:
            problem = not_prevented(self.lock.unavailable)
            if problem not in self.result.warnings:
                self.warn([problem])

    def confirm(self, action: str, *, word: str = "") -> None:
        """Ask before the first write; raises Refused when the user declines."""
        confirm(action, yes=self.yes, ask=self.ask, word=word)

    def execute(
        self,
        rows: Sequence[Row],
        act: Callable[[Listener], Outcome],
        *,
        mode: Mode,
        progress: AbstractContextManager[Listener],
    ) -> Outcome:
        """Run `act` with progress and event log, and put its outcome into the result.

        Where it is going to write, it takes the lock first.
        """
        if mode is Mode.REMOVE or changes(rows):
            self.take_lock()
        self.recorder.begin(rows, self.result, clock=self.clock, mode=mode)
        with progress as tell:
            outcome = act(self.recorder.listener(tell))
        ids = {name: found.id for name, found in self.ctx.found.items()}
        states = {name: self.ctx.found[name].status for name in outcome.done if name in ids}
        self.result.ended(rows, outcome, ids, states=states)
        return outcome


def count_actions(rows: Sequence[Row]) -> str:
    """Return how many rows of a plan have each action."""
    counted = {action: sum(row.action is action for row in rows) for action in Action}
    return ", ".join(f"{count} {action}" for action, count in counted.items() if count)


def note_prices(run: CommandRun[Any], prices: Prices) -> None:
    """Put the hourly price and its parts into the result."""
    run.result.hourly_usd = round(prices.hourly, 4)
    run.result.more["prices"] = prices.document()
