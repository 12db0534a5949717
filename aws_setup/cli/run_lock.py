"""The run lock on the command line: which commands take it, what plan and status say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS, describe_error, to_setup_error
from aws_setup.aws.run_lock import Outdated, RunLock, describe, not_prevented
from aws_setup.aws.run_lock_store import STEP, Generation, LockStore, Standing
from aws_setup.aws.session import Aws
from aws_setup.cli.command_run import CommandRun
from aws_setup.config import Config
from aws_setup.engine.plan import to_problem
from aws_setup.engine.result import Result
from aws_setup.engine.wait import format_duration
from aws_setup.engine.write_guard import guarding
from aws_setup.errors import Problem
from aws_setup.report import Report

if TYPE_CHECKING:
    from aws_setup.infrastructure.leftovers import Leftover

T = TypeVar("T")

READING = frozenset({"plan", "status", "verify", "list"})
"""Verbs that change nothing, or only what is theirs alone."""

EXAMINED_AGAIN = (
    "Another run has changed the deployment since it was examined: it is examined again."
)


def new_lock(
    aws: Aws,
    config: Config,
    command: str,
    *,
    breaks: bool,
    report: Report,
    optional: bool = False,
) -> RunLock:
    """Return the lock of a run, having looked at it; `optional` where AWS is not needed.

    Raises:
        LockHeld: another run holds it.
    """
    lock = RunLock(aws, config, verb=command, breaks=breaks, optional=optional, note=report.message)
    lock.observe()
    return lock


@contextmanager
def released(lock: RunLock | None) -> Iterator[None]:
    """Release the lock at the end of the block; until then every write asks it first."""
    if lock is None:
        yield
        return
    try:
        with guarding(lock.check):
            yield
    finally:
        lock.release()


def until_current(attempt: Callable[[], T], result: Result, report: Report) -> T:
    """Return what `attempt` returns; it is made again where its examination was out of date."""
    known = len(result.warnings)
    while True:
        try:
            return attempt()
        except Outdated:
            report.message(EXAMINED_AGAIN)
            del result.warnings[known:]
            result.problems.clear()
            result.steps = []


def warn_of_other_runs(run: CommandRun[Context]) -> None:
    """Warn, in a plan, of a run that changes the deployment now, or that there is no lock."""
    current, problem = _current(run)
    if problem:
        run.warn([not_prevented(problem)])
    if current and current.standing is Standing.RUNNING:
        what = f"another run is changing {run.ctx.config.deployment_name}"
        run.warn([Problem(what, describe(current), "plan again when it has ended")])


def report_lock(run: CommandRun[Context]) -> None:
    """Say in status which run holds the lock, whether it still runs, and when it expires."""
    current, problem = _current(run)
    held = current is not None and current.standing is not Standing.FREE
    run.result.more["lock"] = {"state": "unknown"} if problem else None
    if problem:
        run.report.result(f"Run lock: it cannot be read: {problem}.")
    if current and held:
        run.result.more["lock"] = current.document()
        ends = {
            Standing.RUNNING: "it is running",
            Standing.ENDED: "its process has ended: the next run takes its place",
            Standing.EXPIRED: "it has not renewed the lock: the next run takes its place",
        }
        text = f"Run lock: {describe(current)}; {ends[current.standing]}"
        if current.standing is Standing.RUNNING:
            rest = format_duration(current.expires_in)
            text += f"; without a renewal it expires in {rest}"
        run.report.result(f"{text}.")


def _current(run: CommandRun[Context]) -> tuple[Generation | None, str]:
    try:
        return LockStore(run.ctx.aws, run.ctx.config).read().current, ""
    except AWS_ERRORS as error:
        return None, describe_error(error)


def remove_lock(run: CommandRun[Context]) -> list[Leftover]:
    """Delete the lock's parameters at the end of destroy; return them where that fails."""
    from aws_setup.infrastructure.leftovers import Leftover

    lock = run.lock
    if lock is None or lock.unavailable:
        return []
    try:
        lock.remove()
    except AWS_ERRORS as error:
        problem = to_problem(to_setup_error(error), step=STEP)
        run.report.problems([problem])
        run.result.problems.append(problem)
        names = " ".join(map(lock.store.name, lock.numbers))
        command = f"aws ssm delete-parameters --names {names}"
        return [Leftover(STEP, lock.store.path, command)]
    return []
