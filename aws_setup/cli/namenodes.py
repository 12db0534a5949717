"""The verbs of whisk_helper.py: plans over NameNode actions, run by the frame of all scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from aws_setup.cli.address_verdict import comparing_addresses
from aws_setup.cli.client_files import configure_clients
from aws_setup.cli.command_run import count_actions
from aws_setup.cli.lock import record_namenodes
from aws_setup.cli.namenode_run import ActionsRun, lock_of, report_readiness, unlock_early
from aws_setup.cli.options import SharedOptions
from aws_setup.cli.prompts import prompt_function, secret_prompt_function
from aws_setup.cli.run_lock import released, until_current
from aws_setup.cli.run_recorder import Mode, RunRecorder
from aws_setup.config import Config
from aws_setup.engine.graph import Limits
from aws_setup.engine.plan import Row, shorten
from aws_setup.engine.result import Result, changes
from aws_setup.engine.runner import EventKind, Listener, Outcome, StepEvent, apply
from aws_setup.engine.step import Action
from aws_setup.engine.wait import SystemClock
from aws_setup.engine.wording import count_of
from aws_setup.errors import Interrupted, Problem, Refused
from aws_setup.namenodes import checks, verify
from aws_setup.namenodes.action import DesiredAction, action_body
from aws_setup.namenodes.connections import open_session
from aws_setup.namenodes.jar import Jar
from aws_setup.namenodes.request import Request, Verb
from aws_setup.namenodes.step import (
    NameNodeContext,
    document_fields,
    end_of,
    sends_jar,
)
from aws_setup.preflight.local_files import check_kept
from aws_setup.report import Report
from aws_setup.report.namenodes import print_ends, print_list, print_verification


def change(run: ActionsRun) -> None:
    """Create, update or sync actions or their limits: check everything, then send what differs."""
    request, ctx = run.request, run.ctx
    existing = run.load()
    prepared = None if request.limits_only else run.read_jar()
    ctx.jar = prepared.jar if prepared else None
    ctx.desired = request.desired(ctx.jar)
    surplus = request.selection.surplus(existing) if request.prune else []
    rows = run.plan(request.selection.names, surplus=surplus)
    names = [row.step.name for row in rows if not row.step.surplus]
    _check(run, names, ctx.desired, ctx.jar)
    if request.limits_only:
        checks.check_missing(names, existing)
    run.warn(checks.check_lowered_limits(request, names, existing))
    run.warn(checks.check_database_and_memory(request, names, run.session.connections.config))
    if not request.plan:
        unlock_early(run)
    if prepared and any(map(sends_jar, rows)):
        run.note_image_configuration(prepared)
    _apply(run, rows)
    if not (request.plan or run.result.problems):
        _configure_clients(run, rows)
        if run.result.result == "ok":
            record_namenodes(run)
        report_readiness(run)


def _configure_clients(run: ActionsRun, rows: Sequence[Row]) -> None:
    """Bring the clients' files to the NameNodes that exist now.

    After a problem the exit code is 1, as in `create` and `configure`: the actions are complete,
    and the client would call others.
    """
    deleted = {row.step.name for row in rows if row.action is Action.DELETE}
    names = {*run.ctx.existing, *(row.step.name for row in rows)} - deleted
    done = configure_clients(
        run.session,
        run.request.selection,
        names,
        clock=run.clock,
        before_write=run.take_lock,
    )
    if done.text:
        run.report.message(done.text)
    run.warn(done.warnings)
    if done.problems:
        run.result.problems += done.problems
        run.result.result = "failed"


def delete(run: ActionsRun) -> None:
    """Delete the selected actions; already gone is fine."""
    existing = run.load()
    _apply(run, run.plan([], surplus=run.request.selection.pick(existing)))


def _check(run: ActionsRun, names: Sequence[str], desired: DesiredAction, jar: Jar | None) -> None:
    """Raise Refused with everything that OpenWhisk would reject."""
    client = run.ctx.client
    info = client.info()
    if info is None:
        why = f"{run.session.endpoint.url}/ does not report them; OpenWhisk checks them itself"
        run.warn([Problem("limits and kinds were not checked", why)])
    problems = checks.check_limits(info, desired)
    problems += checks.check_clashes(client, names, run.ctx.existing, desired)
    if jar and names:
        body = action_body(max(names, key=len), desired, jar, version="0.0.10000")
        problems += checks.check_body(body.length)
    if config := run.session.connections.config:
        problems += [finding.problem for finding in check_kept(config)]
    if problems:
        raise Refused.all(problems)


def _apply(run: ActionsRun, rows: Sequence[Row]) -> None:
    """Show the plan or apply it: ask before deletions, and report the end of every action."""
    run.result.planned(rows)
    _add_fields(run, rows)
    todo = changes(rows)
    if run.request.plan:
        run.recorder.begin(rows, run.result, clock=run.clock, mode=Mode.INSPECT)
        run.report.plan(rows)
        run.report.result(count_actions(rows) or "There is nothing to do.")
        checks.check_conflicts(rows)
        return
    run.result.steps = []
    checks.check_conflicts(rows)
    deletions = [row.step.name for row in todo if row.action is Action.DELETE]
    if deletions:
        run.report.plan(todo)
        # Not SQL: a question.
        run.confirm(f"delete {shorten(deletions)} from {run.session.endpoint.url}")  # nosec B608
    if not todo:
        run.result.planned(rows)
        _add_fields(run, rows)
        alike = f"{len(rows)} of {count_of(len(rows), 'action is', 'actions are')}"
        run.report.result(f"Nothing to do: {alike} up to date.")
        return
    _report_outcome(run, rows, _execute(run, rows, todo))


def _execute(run: ActionsRun, rows: Sequence[Row], todo: Sequence[Row]) -> Outcome:
    """Send or delete what differs, as many at a time as --jobs says; stop at the first failure."""
    ctx = run.ctx
    limits = Limits(workers=run.request.jobs, fail_fast=True, abort=ctx.abort.set)
    size = len(ctx.jar.code) if ctx.jar else 0
    progress = run.report.upload_progress(len(todo), size * sum(map(sends_jar, todo)))

    def act(tell: Listener) -> Outcome:
        return apply(todo, ctx, tell=_with_version(tell), stop=run.clock.stop, limits=limits)

    outcome = run.execute(rows, act, mode=Mode.APPLY, progress=progress)
    for name in outcome.not_started:
        run.recorder.log.tell(StepEvent(run.clock.now(), EventKind.BLOCKED, name))
    return outcome


def _with_version(tell: Listener) -> Listener:
    """Return a listener whose finished uploads say "version 0.0.1" instead of the number alone."""

    def passed(event: StepEvent) -> None:
        if event.kind is EventKind.DONE and event.id:
            event = StepEvent(
                event.at, event.kind, event.step, event.action, event.text, f"version {event.id}"
            )
        tell(event)

    return passed


def _report_outcome(run: ActionsRun, rows: Sequence[Row], outcome: Outcome) -> None:
    versions = {name: found.id for name, found in run.ctx.found.items()}
    ends = {row.step.name: end_of(row, outcome, versions.get(row.step.name, "")) for row in rows}
    _add_fields(run, rows)
    for document in run.result.steps:
        document["end"] = ends[document["name"]]
        if document["end"] == "failed: interrupted":
            document["error"] = "interrupted"
    print_ends(run.report, ends)
    run.report.result(_summary(rows, outcome))
    if outcome.interrupted:
        raise Interrupted


def _add_fields(run: ActionsRun, rows: Sequence[Row]) -> None:
    for document, row in zip(run.result.steps, rows, strict=True):
        document.update(document_fields(row))


def _summary(rows: Sequence[Row], outcome: Outcome) -> str:
    """Return how many actions ended how, and that the run can be repeated."""
    done = list(outcome.done.values())
    words = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted"}
    parts = [f"{done.count(action)} {word}" for action, word in words.items() if action in done]
    parts.append(f"{sum(row.action is Action.EXISTS for row in rows)} already up to date")
    not_started = len(outcome.blocked) + len(outcome.not_started)
    if not (outcome.failed or not_started):
        return f"{', '.join(parts)}."
    parts += [f"{len(outcome.failed)} failed", f"{not_started} not started"]
    return f"{', '.join(parts)}; the same command again continues with them."


def list_actions(run: ActionsRun) -> None:
    """Print the selected actions: index, name, version, jar, memory, concurrency, last change."""
    existing = run.load()
    selection = run.request.selection
    rows = run.plan({**dict.fromkeys(selection.names), **dict.fromkeys(selection.pick(existing))})
    names = [row.step.name for row in rows]
    found = [existing[name] for name in selection.pick(existing) if name in set(names)]
    missing = [name for name in names if name not in existing]
    listed = [_as_listed(row) for row in rows]
    run.recorder.begin(listed, run.result, clock=run.clock, mode=Mode.INSPECT)
    print_list(run.report, selection, found, missing)
    run.result.more["actions"] = [verify.list_document(selection, action) for action in found]
    run.result.more["missing"] = missing


def _as_listed(row: Row) -> Row:
    """Return the row of an action that exists without differences: --list desires nothing."""
    if row.found is None:
        return row
    return replace(row, action=Action.EXISTS, found=replace(row.found, drift=()))


def verify_actions(run: ActionsRun) -> None:
    """Compare every selected action in full, and with --invoke invoke each once."""
    request, ctx = run.request, run.ctx
    run.load()
    names = [row.step.name for row in run.plan(request.selection.names)]
    compare = request.jar_is_available or request.configure_jar
    jar = run.read_jar().jar if compare else None
    read = verify.for_each(names, ctx.client.action, clock=run.clock, jobs=request.jobs)
    ctx.existing = {name: action for name, action in read.items() if action}
    ctx.desired = verify.fill_in(request.desired(jar), ctx.existing.values())
    rows = run.plan(names)
    run.recorder.begin(rows, run.result, clock=run.clock, mode=Mode.INSPECT)
    activations = _invoke(run) if request.invoke else {}
    results = [verify.VerifyResult(row, activations.get(row.step.name)) for row in rows]
    _report_verification(run, results, jar)


def _invoke(run: ActionsRun) -> Mapping[str, verify.Activation]:
    """Invoke every existing action once; a failed activation is a result, and stops nothing."""
    client, names = run.ctx.client, list(run.ctx.existing)
    with run.report.upload_progress(len(names), 0) as tell:
        return verify.for_each(
            names,
            lambda name: verify.invoke(client, name),
            clock=run.clock,
            jobs=run.request.jobs,
            tell=tell,
        )


def _report_verification(
    run: ActionsRun, results: Sequence[verify.VerifyResult], jar: Jar | None
) -> None:
    wrong = [result.row.step.name for result in results if not result.ok]
    run.result.planned([result.row for result in results])
    for document, result in zip(run.result.steps, results, strict=True):
        document.update(result.document())
    if wrong:
        run.result.result = "failed"
        what = f"{len(wrong)} of {count_of(len(results), 'action')} failed the verification"
        hint = "run --sync with the same options; `wsk activation` shows failed invocations"
        run.result.problems.append(Problem(what, shorten(wrong), hint))
    print_verification(run.report, results)
    compared = f"with {jar.source}" if jar else "with each other, as -j is not set"
    right = len(results) - len(wrong)
    run.report.result(f"{right} of {len(results)} passed; jars were compared {compared}.")


COMMANDS: Mapping[Verb, Callable[[ActionsRun], None]] = {
    Verb.CREATE: change,
    Verb.UPDATE: change,
    Verb.SYNC: change,
    Verb.LIST: list_actions,
    Verb.VERIFY: verify_actions,
    Verb.DELETE: delete,
}
"""Verb -> its command."""


def run_request(
    request: Request,
    config: Config | None,
    options: SharedOptions,
    *,
    result: Result,
    report: Report,
    recorder: RunRecorder,
) -> None:
    """Find OpenWhisk, connect to it, and run the verb.

    Raises:
        Refused: the options, the jar or OpenWhisk's limits do not allow it; nothing was written.
        SetupError: OpenWhisk cannot be reached.
    """
    result.command = request.verb
    recorder.command = f"whisk {request.verb}"
    clock, ask = SystemClock(), prompt_function()
    with open_session(
        request,
        config,
        profile=options.profile,
        region=options.region,
        clock=clock,
        ask=secret_prompt_function(),
        note=report.message,
    ) as session:
        connections = session.connections
        lock = lock_of(request, session, options, report=report)

        def attempt() -> None:
            ctx = NameNodeContext(
                clock=clock,
                client=session.client,
                desired=request.desired(None),
                existing={},
                create_only=request.verb is Verb.CREATE,
                force=request.force,
            )
            run = ActionsRun(
                request=request,
                session=session,
                ctx=ctx,
                clock=clock,
                report=report,
                result=result,
                recorder=recorder,
                only=options.only,
                yes=options.yes,
                ask=ask,
                lock=lock,
            )
            with comparing_addresses(result, lambda: connections.context if config else None):
                COMMANDS[request.verb](run)

        try:
            with released(lock):
                until_current(attempt, result, report)
        finally:
            result.api_calls = session.client.connection.requests
