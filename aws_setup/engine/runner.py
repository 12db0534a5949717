"""The act: brings what a plan says into the world, or removes it, in parallel by need."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aws_setup.engine.graph import run_graph
from aws_setup.engine.plan import Row, inspect_step, needs_of
from aws_setup.engine.step import Action, Found, RunContext
from aws_setup.errors import Interrupted


class EventKind(StrEnum):
    """What happened to a step."""

    START = "start"
    NOTE = "note"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class StepEvent:
    """Something that happened in a run: `at` is seconds on the run's clock."""

    at: float
    kind: EventKind
    step: str
    action: Action = Action.EXISTS
    text: str = ""
    id: str = ""


Listener = Callable[[StepEvent], None]


@dataclass
class Outcome:
    """How a run ended: what was done, what failed and why, and what never started."""

    done: dict[str, Action] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    interrupted: bool = False


class _Run:
    """One run over a plan; `act` does one step and answers the action that it took."""

    def __init__(self, rows: Sequence[Row], ctx: RunContext, tell: Listener) -> None:
        self.rows = {row.step.name: row for row in rows}
        self.ctx, self.tell = ctx, tell
        self.outcome = Outcome()
        self.lock = threading.Lock()

    def drive(
        self,
        needs: dict[str, set[str]],
        act: Callable[[Row, RunContext], Action],
        stop: Callable[[], None],
    ) -> Outcome:
        try:
            self.outcome.blocked = run_graph(needs, lambda name: self._one(name, act), stop=stop)
        except Interrupted:
            self.outcome.interrupted = True
        for name in self.outcome.blocked:
            self._say(EventKind.BLOCKED, name)
        return self.outcome

    def _one(self, name: str, act: Callable[[Row, RunContext], Action]) -> bool:
        row = self.rows[name]
        self._say(EventKind.START, name, action=row.action)
        ctx = self.ctx.bound(lambda text: self._say(EventKind.NOTE, name, text=text))
        try:
            action = act(row, ctx)
        except Interrupted:
            self.outcome.interrupted = True
            return False
        except Exception as error:  # noqa: BLE001 -- it is kept and named at the end
            with self.lock:
                self.outcome.failed[name] = self.ctx.explain(error)
            self._say(EventKind.FAILED, name, text=str(self.outcome.failed[name]))
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
    ) -> None:
        self.tell(StepEvent(self.ctx.clock.now(), kind, name, action, text, id))


def apply(
    rows: Sequence[Row], ctx: RunContext, *, tell: Listener, stop: Callable[[], None]
) -> Outcome:
    """Make and change what the plan says; a step starts when all that it needs is usable.

    On a failure running steps finish, what needs the failed one does not start, and independent
    steps go on. `ctx.found` holds every usable thing afterwards.
    """
    run = _Run(rows, ctx, tell)

    def act(row: Row, own: RunContext) -> Action:
        changed = {Action.CREATE, Action.UPDATE}
        stale = any(run.outcome.done.get(need) in changed for need in row.step.needs)
        if row.action is Action.UNKNOWN or (stale and row.action is not Action.CREATE):
            row = inspect_step(row.step, own)
            if row.error:
                raise row.error
        found = _apply_step(row, own)
        with run.lock:
            ctx.found[row.step.name] = found
        return row.action

    return run.drive(needs_of([row.step for row in rows]), act, stop)


def _apply_step(row: Row, ctx: RunContext) -> Found:
    step, found = row.step, row.found
    if found is None:
        found = ctx.retry(lambda: step.create(ctx))
    elif row.action is Action.UPDATE:
        has = found
        found = ctx.retry(lambda: step.update(ctx, has))
    if found.ready or (step.slow and not ctx.patient):
        return found
    made = found
    return ctx.retry(lambda: step.wait(ctx, made))


def remove(
    rows: Sequence[Row], ctx: RunContext, *, tell: Listener, stop: Callable[[], None]
) -> Outcome:
    """Delete what the plan found and is not adopted, dependants first, in parallel.

    What a failed deletion needs stays: AWS would refuse it only after a long wait.
    """
    run = _Run(removable(rows), ctx, tell)

    def act(row: Row, own: RunContext) -> Action:
        if row.found:
            row.step.delete(own, row.found)
        return Action.DELETE

    return run.drive(removal_needs(rows), act, stop)


def removal_needs(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Return every removable step with the steps that must be gone before it: those that need it.

    What stands between two of them may be gone already, so the whole chain of needs counts.
    """
    mine = removable(rows)
    names = {row.step.name for row in mine}
    needs: dict[str, set[str]] = {row.step.name: set() for row in reversed(mine)}
    for row in mine:
        for need in needed_by(rows, row.step.name) & names:
            needs[need].add(row.step.name)
    return needs


def removable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of what is there and is ours to delete."""
    return [row for row in rows if row.found and not row.step.adopted and not row.foreign]


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
