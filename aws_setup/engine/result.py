"""The result of a command as data: the --json document and the exit code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aws_setup.engine.plan import Row, shorten, to_problem
from aws_setup.engine.runner import Outcome
from aws_setup.engine.step import Action, Drift
from aws_setup.errors import Problem, Refused

EXIT_CODES: Mapping[str, int] = {
    "ok": 0,
    "failed": 1,
    "refused": 2,
    "leftovers": 3,
    "interrupted": 130,
}
"""Result -> exit code of the script."""


@dataclass
class Result:
    """How a command ended; every field is a key of the --json document."""

    command: str
    deployment: str = ""
    result: str = "ok"
    seconds: float = 0.0
    hourly_usd: float | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    account: str = ""
    region: str = ""
    api_calls: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The exit code of `result`."""
        return EXIT_CODES[self.result]

    def fail(self, error: Exception) -> None:
        """Record the error that ended the command, in place of what the plan said of the same."""
        self.result = "refused" if isinstance(error, Refused) else "failed"
        problems: Sequence[Problem] = getattr(error, "problems", ()) or [to_problem(error)]
        names = [step["name"] for step in self.steps]
        self.problems = [it for it in self.problems if not _is_one_of(problems, it, names)]
        self.problems.extend(problems)

    def planned(self, rows: Sequence[Row]) -> None:
        """Record the rows of a plan as the steps; an unknown step is a problem too.

        Not that of an existing resource whose parent, a step that it needs, has one already.
        """
        self.steps = [_row(row) for row in rows]
        failed = {row.step.name: row.error for row in rows if row.error}
        within = {
            row.step.name
            for row in rows
            if row.step.adopted and failed.keys() & set(row.step.predecessors)
        }
        self.problems.extend(
            problems_of({name: error for name, error in failed.items() if name not in within})
        )

    def detailed(self, rows: Sequence[Row]) -> None:
        """Record the rows of a plan again, with what each resource is."""
        self.steps = [_row(row) for row in rows]

    def ended(
        self,
        rows: Sequence[Row],
        outcome: Outcome,
        ids: Mapping[str, str],
        *,
        states: Mapping[str, str] | None = None,
    ) -> None:
        """Record the outcome of a run over `rows`.

        `ids` and `states` map each step to its current id and state. A step that was not reached
        has no state: what the plan saw of it is from before the changes.
        """
        now = states or {}
        self.steps = [
            _row(row)
            | {"action": str(outcome.done.get(row.step.name, row.action))}
            | {"id": ids.get(row.step.name, row.found.id if row.found else None)}
            | ({"state": now[row.step.name]} if row.step.name in now else {})
            | ({"state": None} if row.step.name in outcome.blocked else {})
            | {"error": _text(outcome.failed.get(row.step.name))}
            for row in rows
        ]
        self.problems.extend(problems_of(outcome.failed))
        if outcome.interrupted:
            self.result = "interrupted"
        elif outcome.failed or outcome.blocked:
            self.result = "failed"

    def document(self) -> dict[str, Any]:
        """Return the JSON document: every field, with `more` merged into the top level."""
        fields = asdict(self)
        more: dict[str, Any] = fields.pop("more")
        return fields | more


def _is_one_of(problems: Sequence[Problem], problem: Problem, steps: Sequence[str]) -> bool:
    """Whether a problem is among others, but for the name of a step in front."""
    starts = ("", *(f"{name}: " for name in steps))
    return any(
        replace(problem, what=problem.what.removeprefix(start)) in problems
        for start in starts
        if problem.what.startswith(start)
    )


_REFUSED_CALL = re.compile(r"(\w+) failed (\(\S+\))")
"""What is wrong where a call was refused: its name, and the code of the answer."""


def problems_of(failed: Mapping[str, Exception]) -> list[Problem]:
    """Return the problems of failed steps; steps with equal errors share one problem.

    Different calls that were refused with one code and reason are one problem, too: a session that
    has expired is named once, and not for each resource that cannot be read.
    """
    same: dict[object, dict[str, Problem]] = {}
    for name, error in failed.items():
        problem = to_problem(error)
        call = _REFUSED_CALL.fullmatch(problem.what)
        key = (call[2], problem.why, problem.hint) if call else problem
        same.setdefault(key, {})[name] = problem
    return [_attributed(_combined([*each.values()]), [*each]) for each in same.values()]


def _combined(problems: Sequence[Problem]) -> Problem:
    """Return one problem for some that differ in the name of a call alone."""
    calls = [_REFUSED_CALL.fullmatch(problem.what) for problem in problems]
    names = list(dict.fromkeys(call[1] for call in calls if call))
    first = problems[0]
    if len(names) < 2 or not calls[0]:
        return first
    return replace(first, what=f"{shorten(names, most=3)} failed {calls[0][2]}")


def _attributed(problem: Problem, names: list[str]) -> Problem:
    """Return the problem of some steps with their names in front, unless it begins with its own."""
    named = len(names) == 1 and re.match(rf"{re.escape(names[0])}(?=[ :]|$)", problem.what)
    return problem if named else replace(problem, what=f"{shorten(names)}: {problem.what}")


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.step.name,
        "part": row.step.part,
        "details": row.details,
        "action": str(row.action),
        "id": row.found.id if row.found else None,
        "state": row.found.status if row.found else None,
        "drift": [_drift(drift) for drift in row.found.drift] if row.found else [],
        "notes": list(row.found.facts.get("notes", ())) if row.found else [],
        "error": _text(row.error),
    }


def _drift(drift: Drift) -> dict[str, str]:
    return {"what": drift.what, "has": drift.has, "wants": drift.wants, "mend": drift.fix}


def _text(error: BaseException | None) -> str | None:
    return str(error) if error else None


def changes(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that a run would create, update, delete or inspect again."""
    acting = {Action.CREATE, Action.UPDATE, Action.DELETE, Action.UNKNOWN}
    return [row for row in rows if row.action in acting]
