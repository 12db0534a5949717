"""Applies a plan or deletes what it found, in parallel; a step runs after those that it needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aws_setup.engine.graph import Limits, run_graph
from aws_setup.engine.plan import Row, inspect_step, needs_of
from aws_setup.engine.step import Action, Found, RunContext
from aws_setup.errors import Interrupted


class EventKind(StrEnum):
    """What happened to a step."""

    START = "start"
    NOTE = "note"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class StepEvent:
    """Something that happened in a run: `at` is seconds on the run's clock.

    `bytes` is for PROGRESS alone: how many bytes were sent; a negative number takes back the bytes
    of an attempt that failed.
    """

    at: float
    kind: EventKind
    step: str
    action: Action = Action.EXISTS
    text: str = ""
    id: str = ""
    bytes: int = 0


Listener = Callable[[StepEvent], None]


@dataclass
class Outcome:
    """How a run ended: what was done, what failed and why, and what never started.

    `blocked` never started because of a failure, `not_started` because of Ctrl-C. A step that is
    in none of the four was interrupted while it ran.
    """

    done: dict[str, Action] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    not_started: list[str] = field(default_factory=list)
    interrupted: bool = False


class _Run:
    """One run over a plan; `act` handles one step and returns the action that it took."""

    def __init__(self, rows: Sequence[Row], ctx: RunContext, tell: Listener) -> None:
        self.rows = {row.step.name: row for row in rows}
        self.ctx, self.tell = ctx, tell
        self.outcome = Outcome()
        self.lock = threading.Lock()
        self._started: set[str] = set()

    def drive(
        self,
        needs: dict[str, set[str]],
        act: Callable[[Row, RunContext], Action],
        *,
        stop: Callable[[], None],
        limits: Limits | None,
    ) -> Outcome:
        def work(name: str) -> bool:
            return self._one(name, act)

        try:
            self.outcome.blocked = run_graph(needs, work, stop=stop, limits=limits)
        except Interrupted:
            self.outcome.interrupted = True
            self.outcome.not_started = [name for name in needs if name not in self._started]
        for name in self.outcome.blocked:
            self._say(EventKind.BLOCKED, name)
        return self.outcome

    def _one(self, name: str, act: Callable[[Row, RunContext], Action]) -> bool:
        row = self.rows[name]
        with self.lock:
            self._started.add(name)
        self._say(EventKind.START, name, action=row.action)
        ctx = self.ctx.bound(
            lambda text: self._say(EventKind.NOTE, name, action=row.action, text=text),
            lambda size: self._say(EventKind.PROGRESS, name, action=row.action, size=size),
        )
        try:
            action = act(row, ctx)
        except Interrupted:
            self.outcome.interrupted = True
            return False
        except Exception as error:  # noqa: BLE001 -- it is kept and named at the end
            with self.lock:
                self.outcome.failed[name] = self.ctx.explain(error)
            self._say(
                EventKind.FAILED, name, action=row.action, text=str(self.outcome.failed[name])
            )
            return False
        with self.lock:
            self.outcome.done[name] = action
        found = self.ctx.found.get(name)
        self._say(EventKind.DONE, name, action=action, id=found.id if found else "")
        return True

    def _say(
        self,
        kind: EventKind,
        name: str,
        *,
        action: Action = Action.EXISTS,
        text: str = "",
        id: str = "",
        size: int = 0,
    ) -> None:
        self.tell(StepEvent(self.ctx.clock.now(), kind, name, action, text, id, size))


def apply(
    rows: Sequence[Row],
    ctx: RunContext,
    *,
    tell: Listener,
    stop: Callable[[], None],
    limits: Limits | None = None,
) -> Outcome:
    """Create, update and delete what the plan says; a step starts when all it needs is usable.

    After a failure running steps finish, steps that need the failed one do not start, and
    independent steps continue, unless `limits` say otherwise. `ctx.found` holds every usable
    resource afterwards.
    """
    run = _Run(rows, ctx, tell)

    def act(row: Row, step_ctx: RunContext) -> Action:
        changed = {Action.CREATE, Action.UPDATE}
        stale = any(run.outcome.done.get(need) in changed for need in row.step.needs)
        if row.action is Action.UNKNOWN or (stale and row.action is not Action.CREATE):
            row = inspect_step(row.step, step_ctx)
            if row.error:
                raise row.error
        found = _apply_step(row, step_ctx)
        with run.lock:
            ctx.found.update({**found.replaces, row.step.name: found})
        return row.action

    return run.drive(needs_of([row.step for row in rows]), act, stop=stop, limits=limits)


def _apply_step(row: Row, ctx: RunContext) -> Found:
    step, found = row.step, row.found
    if found is None:
        found = ctx.retry(lambda: step.create(ctx))
    elif row.action is Action.DELETE:
        step.delete(ctx, found)
        return found
    elif row.action is Action.UPDATE:
        current = found
        found = ctx.retry(lambda: step.update(ctx, current))
    if found.ready or (step.slow and not ctx.patient):
        return found
    pending = found
    return ctx.retry(lambda: step.wait(ctx, pending))


def remove(
    rows: Sequence[Row], ctx: RunContext, *, tell: Listener, stop: Callable[[], None]
) -> Outcome:
    """Delete what the plan found and is not adopted, dependants first, in parallel.

    When a deletion fails, the resources that the step needs are kept: the API would refuse to
    delete them, and only after a long wait.
    """
    run = _Run(removable(rows), ctx, tell)

    def act(row: Row, step_ctx: RunContext) -> Action:
        if row.found:
            row.step.delete(step_ctx, row.found)
        return Action.DELETE

    return run.drive(removal_needs(rows), act, stop=stop, limits=None)


def removal_needs(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Return each removable step with the steps to delete before it: those that need it.

    A step between two of them may be deleted already, so indirect needs count too.
    """
    selected = removable(rows)
    names = {row.step.name for row in selected}
    needs: dict[str, set[str]] = {row.step.name: set() for row in reversed(selected)}
    for row in selected:
        for need in needed_by(rows, row.step.name) & names:
            needs[need].add(row.step.name)
    return needs


def removable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of resources that exist and that this deployment may delete."""
    return [row for row in rows if row.found and not row.step.adopted and not row.unowned]


def needed_by(rows: Sequence[Row], name: str) -> set[str]:
    """Return every step that a step needs, directly or through others."""
    by_name = {row.step.name: row.step for row in rows}
    seen: set[str] = set()
    pending = list(by_name[name].needs)
    while pending:
        need = pending.pop()
        if need not in seen:
            seen.add(need)
            pending.extend(by_name[need].needs)
    return seen
