"""The plan: what exists, and what a run would create, update, or cannot change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from aws_setup.engine.file_errors import file_problem
from aws_setup.engine.graph import run_graph
from aws_setup.engine.step import Action, Drift, DriftKey, Found, RunContext, Step
from aws_setup.errors import Problem, Refused, SetupError

MOST_NAMES = 80
"""Names that a refusal of --only lists; a table of ten thousand uploads would fill the screen."""


@dataclass(frozen=True)
class Row:
    """One line of a plan: the step, the action that a run would take, and the current resource.

    `details` is what the resource is, or would be: see `with_details`.
    """

    step: Step[Any]
    action: Action
    found: Found | None = None
    error: Exception | None = None
    details: str = ""

    @property
    def conflicts(self) -> tuple[Drift, ...]:
        """The differences that cannot be changed in place."""
        return tuple(drift for drift in (self.found.drift if self.found else ()) if drift.fix)

    @property
    def unowned(self) -> bool:
        """Whether the resource has the configured name, but not this deployment's tags."""
        return any(drift.key in (DriftKey.OWNER, DriftKey.REGION) for drift in self.conflicts)


def needs_of(steps: Sequence[Step[Any]]) -> dict[str, set[str]]:
    """Return step name -> names of the steps that it needs or follows, as `run_graph` takes it."""
    return {step.name: set(step.predecessors) for step in steps}


def inspect_all(
    steps: Sequence[Step[Any]], ctx: RunContext, *, stop: Callable[[], None]
) -> list[Row]:
    """Return a row for every step, in the table's order; fills `ctx.found` with what exists.

    A step whose `find` raises becomes `unknown` with its error; the other steps are inspected
    all the same.
    """
    ctx.refresh()
    for step in steps:
        step.unlock(ctx)
    rows: dict[str, Row] = {}
    by_name = {step.name: step for step in steps}
    lock = threading.Lock()

    def work(name: str) -> bool:
        row = inspect_step(by_name[name], ctx)
        with lock:
            rows[name] = row
            if row.found:
                ctx.found[name] = row.found
        return True

    run_graph(needs_of(steps), work, stop=stop)
    return [rows[step.name] for step in steps]


def inspect_step(step: Step[Any], ctx: RunContext) -> Row:
    """Return the row of one step: find the resource and compare it with the configuration."""
    try:
        found = step.find(ctx)
        found = ctx.examine(step, found) if found else None
    except Exception as error:  # noqa: BLE001 -- it is kept, shown, and decides the row
        return Row(step, Action.UNKNOWN, error=ctx.explain(error))
    if step.surplus:
        return Row(step, Action.DELETE if found else Action.EXISTS, found)
    if found is None:
        return Row(step, Action.CREATE)
    if any(drift.fix for drift in found.drift):
        return Row(step, Action.CONFLICT, found)
    if found.drift and not step.adopted:
        return Row(step, Action.UPDATE, found)
    return Row(step, Action.EXISTS, found)


def with_details(rows: Sequence[Row], ctx: RunContext) -> list[Row]:
    """Return the rows with what each resource is; after the checks, which choose some values."""
    return [replace(row, details=row.step.details(ctx)) for row in rows]


def only(steps: Sequence[Step[Any]], names: Sequence[str]) -> list[Step[Any]]:
    """Return the named steps and, recursively, what they need, in the table's order.

    Raises:
        Refused: a name is not in the table; the refusal lists the names that are.
    """
    by_name = {step.name: step for step in steps}
    _check_names(by_name, names)
    selected: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in selected:
            selected.add(name)
            pending.extend(by_name[name].predecessors)
    return [step for step in steps if step.name in selected]


def dependants(steps: Sequence[Step[Any]], names: Sequence[str]) -> set[str]:
    """Return the named steps and, recursively, the steps that need them, for destroy --only.

    Raises:
        Refused: a name is not in the table; the refusal lists the names that are.
    """
    _check_names([step.name for step in steps], names)
    selected, before = set(names), 0
    while len(selected) > before:
        before = len(selected)
        selected |= {step.name for step in steps if selected & set(step.predecessors)}
    return selected


def shorten(names: Sequence[str], *, most: int = 6) -> str:
    """Return names as a list in prose, with a count instead of those after the first `most`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _check_names(known: Collection[str], names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if not unknown:
        return
    matches = [match for name in unknown for match in get_close_matches(name, known, n=1)]
    example = next((name for name in known if " " in name), "")
    hint = "use one of these names, in quotes where it contains spaces"
    if matches:
        hint = "use " + " and ".join(f'--only "{name}"' for name in matches)
    elif example:
        hint += f': --only "{example}"'
    raise Refused(
        f"--only: no step is named {', '.join(unknown)}",
        "the steps are " + shorten(list(known), most=MOST_NAMES),
        hint,
    )


def remark(row: Row, *, deleting: bool = False) -> str:
    """Return what a plan says about a row in one line: error, drift, id, or state without an id.

    The drift of a resource that is deleted does not matter: its id is shown.
    """
    found = row.found
    if row.error:
        return " ".join(str(row.error).split())
    if found is None:
        return row.details
    if found.drift and not deleting:
        return "; ".join(map(str, found.drift))
    existing = " (existing, never changed or deleted)" if row.step.adopted else ""
    return (found.id or found.skipped or found.state) + existing


def status_lines(row: Row) -> list[str]:
    """Return what `status` says about a row: id, state and drift, then one line for each note."""
    found = row.found
    if found is None or row.error or found.skipped:
        return [remark(row)]
    state = f" ({found.state})" if found.id and found.state not in ("", "available") else ""
    first = "; ".join(((found.id or found.state) + state, *map(str, found.drift)))
    return [first, *found.facts.get("notes", ())]


def refusals(rows: Sequence[Row]) -> list[Problem]:
    """Return the problems of the steps that refused to be inspected, each problem once."""
    refused = [row.error for row in rows if isinstance(row.error, Refused)]
    return list(dict.fromkeys(problem for error in refused for problem in error.problems))


def blockers(rows: Sequence[Row]) -> list[Problem]:
    """Return everything that blocks the run: refusals, unusable existing resources, conflicts."""
    problems = refusals(rows)
    problems += _unusable(rows)
    problems += _paused(rows)
    return problems + [problem for row in rows for problem in conflict_problems(row)]


def conflict_problems(row: Row) -> list[Problem]:
    """Return the differences of a step that no run can correct; what is paused is no difference."""
    return [
        Problem(
            f"{row.step.name}: {drift.what} is {drift.has}, but {drift.wants} in the configuration",
            "it cannot be changed in place",
            drift.fix,
        )
        for drift in row.conflicts
        if drift.key is not DriftKey.PAUSED
    ]


def _unusable(rows: Sequence[Row]) -> list[Problem]:
    """Return the problems of existing resources, each once, and none that follows from another."""
    failed = {row.step.name: row.error for row in rows if row.step.adopted and row.error}
    causes = [
        row.error
        for row in rows
        if row.step.name in failed and not failed.keys() & set(row.step.predecessors)
    ]
    problems = [to_problem(error) for error in causes if error and not isinstance(error, Refused)]
    return list(dict.fromkeys(problems))


def _paused(rows: Sequence[Row]) -> list[Problem]:
    """Return the one problem of all resources that are paused; none when nothing is."""
    found = [(row.step.name, d) for row in rows for d in row.conflicts if d.key is DriftKey.PAUSED]
    if not found:
        return []
    names, drift = shorten([name for name, _ in found], most=3), found[0][1]
    why = f"{names}: {drift.has}; nothing was started"
    return [Problem("the deployment is paused", why, drift.fix)]


def to_problem(error: Exception, *, step: str = "") -> Problem:
    """Return an error as a Problem that begins with the name of the step that failed."""
    prefix = f"{step}: " if step else ""
    if isinstance(error, SetupError):
        first = error.problems[0]
        return Problem(prefix + first.what, first.why, first.hint)
    if isinstance(error, OSError) and (found := file_problem(error)):
        return replace(found, what=prefix + found.what)
    hint = "run the command again with -v for details"
    return Problem(prefix + type(error).__name__, str(error), hint)


def removal_needs(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Return each removable step with the steps to delete before it: those that need it.

    A step between two of them may be deleted already, so indirect needs count too. A resource that
    ends with another one holds up nothing of what is deleted before that, and one that is deleted
    beside others does not hold up those. A file on this computer holds up nothing: one that cannot
    be written would keep what is billed.
    """
    selected = removable(rows)
    names = {row.step.name for row in selected}
    before = {name: needed_by(rows, name) for name in names}
    needs: dict[str, set[str]] = {row.step.name: set() for row in reversed(selected)}
    for row in selected:
        name, end = row.step.name, row.step.ends_with
        beside = set(row.step.beside) if row.step.within in names else set()
        waiting = set() if row.step.local else before[name] & names - beside
        for need in waiting:
            if not (end in names and (need == end or end in before[need])):
                needs[need].add(name)
        if end in names:
            needs[name].add(end)
    return needs


def removable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of resources that exist and that this deployment may delete now."""
    kept = held_back(rows)
    return [row for row in _deletable(rows) if row.step.name not in kept]


def _deletable(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.found and not row.step.adopted and not row.unowned]


def held_back(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return what is not deleted, and because of which steps: they could not be examined.

    A resource of theirs may be there and use it, so that the API would refuse the deletion, and
    only after a long wait. What ends with another resource, such as the objects of a cluster, holds
    up nothing.
    """
    names = {row.step.name for row in _deletable(rows)}
    held: dict[str, list[str]] = {}
    for row in rows:
        ends = {row.step.within, row.step.ends_with} & names
        if row.action is Action.UNKNOWN and not row.step.adopted and not ends:
            for need in needed_by(rows, row.step.name) & names:
                held.setdefault(need, []).append(row.step.name)
    return {name: held[name] for name in (row.step.name for row in rows) if name in held}


def needed_by(rows: Sequence[Row], name: str) -> set[str]:
    """Return every step that a step needs or follows, directly or through others."""
    by_name = {row.step.name: row.step for row in rows}
    seen: set[str] = set()
    pending = list(by_name[name].predecessors)
    while pending:
        need = pending.pop()
        if need not in seen:
            seen.add(need)
            pending.extend(by_name[need].predecessors)
    return seen
