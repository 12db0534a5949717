"""Applies a plan or deletes what it found, in parallel, each step after those that it needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

from aws_setup.engine.graph import Limits, all_needs, run_graph
from aws_setup.engine.local_files import as_warnings
from aws_setup.engine.plan import (
    Row,
    conflict_problems,
    inspect_step,
    removable,
    removal_needs,
    shorten,
)
from aws_setup.engine.step import Action, Found, RunContext, Step
from aws_setup.errors import Interrupted, SetupError


class EventKind(StrEnum):
    """What happened to a step."""

    START = "start"
    REQUESTED = "requested"
    NOTE = "note"
    AGAIN = "again"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class StepEvent:
    """Something that happened in a run: `at` is seconds on the run's clock.

    AGAIN is the present state of a wait that was a NOTE before: no log has it a second time.
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


class Part(StrEnum):
    """A part of the work on a step.

    A step that follows others, or that others follow, is done in two parts: its request, and the
    wait until it is usable. Between the two its followers are requested.
    """

    WHOLE = auto()
    REQUEST = auto()
    WAIT = auto()


@dataclass(frozen=True)
class Job:
    """A job of the graph: a step, and the part of its work."""

    step: str
    part: Part = Part.WHOLE


class _Run:
    """One run over a plan; `act` does one job and returns the action that it took."""

    def __init__(self, rows: Sequence[Row], ctx: RunContext, tell: Listener) -> None:
        self.rows = {row.step.name: row for row in rows}
        self.ctx, self.tell = ctx, tell
        self.outcome = Outcome()
        self.lock = threading.Lock()
        self.requested: dict[str, Action] = {}
        self.touched: set[str] = set()
        """Steps that have changed, or depend on a changed one through any chain."""
        self._started: set[str] = set()

    def drive(
        self,
        needs: Mapping[Job, set[Job]],
        act: Callable[[Job, Row, RunContext], Action],
        *,
        stop: Callable[[], None],
        limits: Limits | None,
    ) -> Outcome:
        def work(job: Job) -> bool:
            return self._do(job, act)

        names = list(dict.fromkeys(job.step for job in needs))
        try:
            left = {job.step for job in run_graph(needs, work, stop=stop, limits=limits)}
            self.outcome.blocked = [n for n in names if n in left and n not in self.outcome.failed]
        except Interrupted:
            self.outcome.interrupted = True
            self.outcome.not_started = [name for name in names if name not in self._started]
        self._tell_blocked(needs)
        return self.outcome

    def _tell_blocked(self, needs: Mapping[Job, set[Job]]) -> None:
        """Say of each step that did not start which failed ones it needs, directly or not."""
        blocked, failed = set(self.outcome.blocked), self.outcome.failed.keys()
        causes: dict[str, set[str]] = {name: set() for name in self.outcome.blocked}
        for job in needs:
            if job.step in blocked and needs[job]:
                causes[job.step] |= {it.step for it in all_needs(job, needs)} & failed
        order = {name: at for at, name in enumerate(self.rows)}
        for name, steps in causes.items():
            shown = shorten(sorted(steps, key=order.__getitem__))
            self._say(EventKind.BLOCKED, name, text=f"not started: {shown} failed" if steps else "")

    def _do(self, job: Job, act: Callable[[Job, Row, RunContext], Action]) -> bool:
        name, row = job.step, self.rows[job.step]
        ctx = self.ctx.bound(
            lambda text: self._say(EventKind.NOTE, name, action=row.action, text=text),
            lambda size: self._say(EventKind.PROGRESS, name, action=row.action, size=size),
            again=lambda text: self._say(EventKind.AGAIN, name, action=row.action, text=text),
        )
        if job.part is not Part.WAIT:
            with self.lock:
                self._started.add(name)
            self._say(EventKind.START, name, action=row.action, text=_drift_text(row))
        try:
            action = act(job, row, ctx)
        except Interrupted:
            self.outcome.interrupted = True
            return False
        except Exception as error:  # noqa: BLE001 -- it is kept and named at the end
            why = self.ctx.explain(error)
            with self.lock:
                self.outcome.failed[name] = self.ctx.failed[name] = why
            self._say(EventKind.FAILED, name, action=row.action, text=str(why))
            return False
        self._note_end(job, row, action)
        return True

    def _note_end(self, job: Job, row: Row, action: Action) -> None:
        """Record the end of a job; a step is done once it is usable."""
        with self.lock:
            self.requested[job.step] = action
            left = [name for name in row.step.follows if name not in self.outcome.done]
        if job.part is Part.REQUEST:
            text = f"requested; waits for {shorten(left)}" if left else "requested"
            self._say(EventKind.REQUESTED, job.step, action=action, text=text)
            return
        with self.lock:
            self.outcome.done[job.step] = action
        found = self.ctx.found.get(job.step)
        self._say(EventKind.DONE, job.step, action=action, id=found.id if found else "")

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


def _drift_text(row: Row) -> str:
    """Return what an update changes, so that the event log has the values of before."""
    drift = row.found.drift if row.found and row.action is Action.UPDATE else ()
    return "; ".join(map(str, drift))


def apply(
    rows: Sequence[Row],
    ctx: RunContext,
    *,
    tell: Listener,
    stop: Callable[[], None],
    limits: Limits | None = None,
) -> Outcome:
    """Create, update and delete what the plan says; a step starts when all it needs is usable.

    After a failure running steps finish, steps that need or follow the failed one do not start,
    or are not waited for, and independent steps continue, unless `limits` say otherwise.
    `ctx.found` holds every resource that exists afterwards.
    """
    run = _Run(rows, ctx, tell)

    def act(job: Job, row: Row, step_ctx: RunContext) -> Action:
        found: Found | None
        if job.part is Part.WAIT:
            found, action = ctx.found.get(job.step), run.requested[job.step]
        else:
            row = _current(row, run, step_ctx)
            found, action = _request(row, step_ctx), row.action
        if found is None:
            return action
        with run.lock:
            ctx.found[job.step] = found
        if job.part is not Part.REQUEST and action is not Action.DELETE:
            found = _wait(row, found, step_ctx)
            with run.lock:
                ctx.found[job.step] = found
        return action

    return run.drive(jobs_of([row.step for row in rows]), act, stop=stop, limits=limits)


def jobs_of(steps: Sequence[Step[Any]]) -> dict[Job, set[Job]]:
    """Return the jobs of a table, each with the jobs that must be done before it."""
    followed = {name for step in steps for name in step.follows}
    split = {step.name for step in steps if step.follows} | followed

    def usable(name: str) -> Job:
        return Job(name, Part.WAIT if name in split else Part.WHOLE)

    jobs: dict[Job, set[Job]] = {}
    for step in steps:
        needs = {usable(name) for name in step.needs}
        if step.name not in split:
            jobs[Job(step.name)] = needs
            continue
        request = Job(step.name, Part.REQUEST)
        jobs[request] = needs | {Job(name, Part.REQUEST) for name in step.follows}
        jobs[usable(step.name)] = {request} | {usable(name) for name in step.follows}
    return jobs


def _current(row: Row, run: _Run, ctx: RunContext) -> Row:
    """Return the row, of a new inspection where a step before it has changed since the plan.

    However long the chain is: what was seen of a step that depends on a changed one is from before
    the change, and so is what was seen of the steps that depend on it.

    Raises:
        SetupError: the new inspection finds what cannot be changed in place: the plan, which would
            have been refused for it, was made before the change.
    """
    with run.lock:
        stale = any(name in run.touched for name in row.step.predecessors)
    if row.action is Action.UNKNOWN or (stale and row.action is not Action.CREATE):
        row = inspect_step(row.step, ctx)
        if row.error:
            raise row.error
        if conflicts := conflict_problems(row):
            raise SetupError.all(conflicts)
    if stale or row.action in CHANGES:
        with run.lock:
            run.touched.add(row.step.name)
    return row


CHANGES = frozenset({Action.CREATE, Action.UPDATE, Action.DELETE})
"""Actions after which what depends on the step is inspected again."""


def _request(row: Row, ctx: RunContext) -> Found | None:
    """Create, update or delete the resource as the row says, without waiting for it.

    None stands for a surplus resource that does not exist, as it should be.
    """
    step, found = row.step, row.found
    if found is None:
        return None if step.surplus else ctx.retry(lambda: step.create(ctx))
    if row.action is Action.DELETE:
        step.delete(ctx, found)
    elif row.action is Action.UPDATE:
        return _update(step, ctx, found)
    return found


def _update(step: Step[Any], ctx: RunContext, found: Found) -> Found:
    """Keep what the update overwrites, then correct the drift."""
    replaced = {drift.what: drift.replaces for drift in found.drift if drift.replaces}
    if replaced:
        ctx.keep(step.name, replaced)
    left = ctx.retry(lambda: ctx.correct(step, found))
    if found.drift and not left.drift:
        return left
    return ctx.retry(lambda: step.update(ctx, left))


def _wait(row: Row, found: Found, ctx: RunContext) -> Found:
    """Return the resource once it is usable."""
    if found.ready or (row.step.slow and not ctx.patient):
        return found
    return ctx.retry(lambda: row.step.wait(ctx, found))


def remove(
    rows: Sequence[Row], ctx: RunContext, *, tell: Listener, stop: Callable[[], None]
) -> Outcome:
    """Delete what the plan found and is not adopted, dependants first, in parallel.

    When a deletion fails, the resources that the step needs are kept: the API would refuse to
    delete them, and only after a long wait. A file of this computer that cannot be deleted is a
    warning: all else is deleted, and the user deletes that one.
    """
    run = _Run(removable(rows), ctx, tell)
    ctx.removed = frozenset(run.rows)

    def act(_: Job, row: Row, step_ctx: RunContext) -> Action:
        if row.found is None or row.step.ends_with in run.rows:
            return Action.DELETE
        if row.step.local:
            return _delete_local(row.step, step_ctx, row.found)
        row.step.delete(step_ctx, row.found)
        return Action.DELETE

    needs = {
        Job(name): {Job(need) for need in names} for name, names in removal_needs(rows).items()
    }
    return run.drive(needs, act, stop=stop, limits=None)


def _delete_local(step: Step[Any], ctx: RunContext, found: Found) -> Action:
    gone = False
    with as_warnings(ctx):
        step.delete(ctx, found)
        gone = True
    return Action.DELETE if gone else Action.EXISTS
