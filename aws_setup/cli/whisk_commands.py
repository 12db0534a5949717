"""What the third script changes: it brings the NameNode actions to what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum

from aws_setup.cli.run_recorder import RunRecorder
from aws_setup.config import Config
from aws_setup.engine import runner
from aws_setup.engine.history import PlannedStep
from aws_setup.engine.result import Result
from aws_setup.engine.step import Action
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted, Problem, Refused, SetupError
from aws_setup.namenodes import checks
from aws_setup.namenodes.action import (
    CurrentAction,
    Deed,
    DesiredAction,
    action_body,
    deed,
    differences,
    parse,
)
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.deploy import Abort, Event, Kind, Listener, Outcome, Pool, Task
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.jar import Jar
from aws_setup.namenodes.selection import Selection
from aws_setup.namenodes.uploader import Uploader
from aws_setup.report import Report
from aws_setup.report import whisk as show

Ask = Callable[[str], str]


class Verb(StrEnum):
    """What the user asked for."""

    CREATE = "create"
    UPDATE = "update"
    SYNC = "sync"
    LIST = "list"
    VERIFY = "verify"
    DELETE = "delete"


@dataclass(frozen=True)
class Order:
    """The command line, understood; memory and concurrency are None when they are left open.

    `left_out` names the options of these two that were not given.
    """

    verb: Verb
    selection: Selection
    kind: str
    main: str
    memory: int | None
    concurrency: int | None
    plan: bool = False
    force: bool = False
    prune: bool = False
    limits_only: bool = False
    invoke: bool = False
    jobs: int = 4
    left_out: frozenset[str] = frozenset()


@dataclass
class Run:
    """One command under way; `jar` reads the jar, `jar_wanted` says whether --verify should.

    With a `config` and a `keeper` it leaves its lines in the deployment's event log.
    """

    order: Order
    client: Client
    endpoint: Endpoint
    clock: SystemClock
    report: Report
    result: Result
    jar: Callable[[], Jar]
    jar_wanted: bool = True
    consent: bool = False
    ask: Ask | None = None
    warnings: list[Problem] = field(default_factory=list)
    config: Config | None = None
    keeper: RunRecorder | None = None

    def warn(self, problems: list[Problem]) -> None:
        """Show warnings and keep them for the JSON document."""
        self.result.warnings.extend(problems)
        self.report.problems(problems, warning=True)

    def look(self) -> dict[str, CurrentAction]:
        """Return every action of the namespace by name."""
        self.warn([*self.warnings, *checks.warnings_about(self.endpoint)])
        self.result.more |= {"apihost": self.endpoint.url, "apihost_from": self.endpoint.source}
        found = map(parse, checks.check_reachable(self.client, self.endpoint))
        return {action.name: action for action in found}

    def wanted(self, jar: Jar | None) -> DesiredAction:
        """Return what the actions should be."""
        order = self.order
        sha256 = jar.sha256 if jar else None
        return DesiredAction(order.kind, order.main, order.memory, order.concurrency, sha256)

    def pool(self) -> tuple[Pool, Abort]:
        """Return what runs tasks in parallel, and what breaks them off."""
        abort = Abort()
        return Pool(self.order.jobs, abort, self.clock.stop), abort

    def progress(self, tasks: list[Task]) -> AbstractContextManager[Listener]:
        """Show the tasks while they run."""
        return show.progress(self.report, tasks)


def change(run: Run) -> None:
    """Create, update, sync or change limits: check everything, then send what differs."""
    existing = run.look()
    jar = None if run.order.limits_only else run.jar()
    wanted = run.wanted(jar)
    deeds = {
        name: deed(existing.get(name), wanted, force=run.order.force)
        for name in run.order.selection.names
    }
    _refuse(run, wanted, jar, existing)
    _refuse_clash_of_verb(run.order, deeds, existing)
    _warn_of_defaults(run, wanted, existing)
    surplus = run.order.selection.surplus(existing) if run.order.prune else []
    deeds |= dict.fromkeys(surplus, Deed.DELETE)
    _carry_out(run, deeds, wanted, jar, existing)


def _refuse(
    run: Run, wanted: DesiredAction, jar: Jar | None, existing: Mapping[str, CurrentAction]
) -> None:
    """Raise Refused with everything that cannot end well."""
    names = run.order.selection.names
    info = run.client.info()
    if info is None:
        run.warn(
            [
                Problem(
                    "limits and kinds were not checked",
                    f"{run.endpoint.url}/ does not report them",
                    "OpenWhisk itself refuses what it does not allow",
                )
            ]
        )
    problems = checks.check_limits(info, wanted)
    problems += checks.check_clashes(run.client, names, existing, wanted)
    if jar and names:
        longest = max(names, key=len)
        problems += checks.check_body(action_body(longest, wanted, jar, version="0.0.10000").length)
    if problems:
        raise Refused.all(problems)


def _refuse_clash_of_verb(
    order: Order, deeds: Mapping[str, Deed], existing: Mapping[str, CurrentAction]
) -> None:
    """Raise SetupError when --create meets other actions, or --limits-only none."""
    if order.limits_only:
        missing = [name for name in deeds if name not in existing]
        if missing:
            raise SetupError(
                f"{checks.shorten(missing)} cannot get limits",
                "there is no such action",
                "make them first with --create or --sync, and the jar",
            )
    if order.verb is Verb.CREATE:
        there = [name for name, todo in deeds.items() if name in existing and todo != Deed.NOTHING]
        if there:
            raise SetupError(
                f"{checks.shorten(there)} exist already and differ",
                "--create only makes new actions; nothing was written",
                "--sync makes what is missing and changes what differs; --update changes them",
            )


def _warn_of_defaults(
    run: Run, wanted: DesiredAction, existing: Mapping[str, CurrentAction]
) -> None:
    """Warn when an option that was left out lowers a limit, as the original's defaults do."""
    for what in ("memory", "concurrency"):
        value = getattr(wanted, what)
        had = [getattr(existing[n], what) for n in run.order.selection.names if n in existing]
        higher = [number for number in had if number and value and number > value]
        if higher and what in run.order.left_out:
            run.warn(
                [
                    Problem(
                        f"--{what} was not given: its default, {value}, replaces {max(higher)}",
                        "that is what the option always did",
                        f"give --{what} {max(higher)} to keep it",
                    )
                ]
            )


def delete(run: Run) -> None:
    """Delete the actions that are meant; already gone is fine."""
    existing = run.look()
    deeds = dict.fromkeys(run.order.selection.pick(existing), Deed.DELETE)
    _carry_out(run, deeds, run.wanted(None), None, existing)


def _carry_out(
    run: Run,
    deeds: Mapping[str, Deed],
    wanted: DesiredAction,
    jar: Jar | None,
    existing: dict[str, CurrentAction],
) -> None:
    """Show the plan, ask where something is deleted, do it, and name every action's end."""
    rows = [
        show.Row(name, todo, existing.get(name), _remark(todo, existing.get(name), wanted))
        for name, todo in deeds.items()
    ]
    tasks = [_task(row, jar) for row in rows if row.deed is not Deed.NOTHING]
    run.result.steps = [row.document() for row in rows] if run.order.plan else []
    if run.order.plan:
        show.plan(run.report, rows)
        return
    doomed = [task.name for task in tasks if task.deed is Deed.DELETE]
    if doomed:
        show.plan(run.report, rows)
        _consent(run, doomed)
    if not tasks:
        run.result.steps = [row.document() for row in rows]
        run.report.result(f"Nothing to do: {len(rows)} of {len(rows)} are as wanted.")
        return
    pool, abort = run.pool()
    uploader = Uploader(run.client, wanted, jar, existing, abort)
    with run.progress(tasks) as tell:
        outcome = pool.run(tasks, uploader.act, _logged(run, rows, tell))
    _log_not_started(run, outcome)
    _sum_up(run, rows, outcome)


KINDS = {
    Kind.START: runner.EventKind.START,
    Kind.NOTE: runner.EventKind.NOTE,
    Kind.DONE: runner.EventKind.DONE,
    Kind.FAILED: runner.EventKind.FAILED,
}
"""Kind of an event of an upload -> its kind in the event log; bytes on their way are not in it."""


def _logged(run: Run, rows: list[show.Row], tell: Listener) -> Listener:
    """Begin the run's record in the event log; return a listener that adds each event to it."""
    if run.keeper is None or run.config is None:
        return tell
    log = run.keeper.log
    plan = {
        row.name: PlannedStep(show.ACTIONS[row.deed], row.existing.version if row.existing else "")
        for row in rows
    }
    command = f"whisk {run.order.verb}"
    run.keeper.begin_actions(run.config, command, plan, clock=run.clock)

    def passed(event: Event) -> None:
        if event.kind in KINDS:
            action = Action(show.ACTIONS[event.deed])
            done = event.kind is Kind.DONE
            text, own = ("", event.text) if done else (event.text, "")
            now = run.clock.now()
            log.tell(runner.StepEvent(now, KINDS[event.kind], event.name, action, text, own))
        tell(event)

    return passed


def _log_not_started(run: Run, outcome: Outcome) -> None:
    if run.keeper and run.config:
        for name in outcome.not_started:
            run.keeper.log.tell(runner.StepEvent(run.clock.now(), runner.EventKind.BLOCKED, name))


def _task(row: show.Row, jar: Jar | None) -> Task:
    whole = row.deed in {Deed.CREATE, Deed.UPDATE}
    return Task(row.name, row.deed, len(jar.code) if jar and whole else 0)


def _remark(todo: Deed, existing: CurrentAction | None, wanted: DesiredAction) -> str:
    if existing is None or todo in {Deed.DELETE, Deed.NOTHING}:
        return ""
    found = differences(existing, wanted)
    return "; ".join(f"{d.what}: {d.has} -> {d.wants}" for d in found) or "sent again by --force"


def _consent(run: Run, doomed: list[str]) -> None:
    """Ask before actions are deleted.

    Raises:
        Refused: the answer was no, or there is no terminal to ask on.
    """
    deed_text = f"delete {checks.shorten(doomed)} from {run.endpoint.url}"
    if run.consent:
        return
    if run.ask is None:
        raise Refused("nobody to ask", "there is no terminal", f"add --yes to {deed_text}")
    if run.ask(f"Type y to {deed_text}").strip() not in {"y", "Y", "yes"}:
        raise Refused("nothing was done", "you did not say yes", "run it again when you are ready")


def _sum_up(run: Run, rows: list[show.Row], outcome: Outcome) -> None:
    run.result.steps = [row.ended(outcome) for row in rows]
    for name, error in outcome.failed.items():
        if not isinstance(error, Interrupted):
            first = getattr(error, "problems", (Problem(str(error)),))[0]
            run.result.problems.append(Problem(f"{name}: {first.what}", first.why, first.hint))
    show.ended(run.report, rows, outcome)
    if outcome.interrupted:
        raise Interrupted
    if outcome.failed or outcome.not_started:
        run.result.result = "failed"
