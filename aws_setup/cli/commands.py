"""The verbs of the scripts on AWS: plan, create, status and destroy over one table of steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.aws.pricing import price
from aws_setup.cli.command_run import CommandRun, count_actions, note_prices
from aws_setup.cli.deadline import bring_deadline, report_deadline, warn_of_near_deadline
from aws_setup.cli.prompts import confirm_data_loss
from aws_setup.cli.readiness import Readiness, check_readiness, unlock_for_check
from aws_setup.cli.run_files import write_run_files
from aws_setup.cli.run_lock import report_lock, warn_of_other_runs
from aws_setup.cli.run_recorder import Mode
from aws_setup.cli.script import Script, Story
from aws_setup.config.lock_file import CLUSTER, Lock, has_part
from aws_setup.config.paths import lock_path
from aws_setup.engine.plan import (
    Row,
    blockers,
    inspect_all,
    only,
    removal_needs,
    with_details,
)
from aws_setup.engine.result import changes
from aws_setup.engine.runner import Outcome, apply
from aws_setup.engine.step import Action
from aws_setup.engine.wording import count_of
from aws_setup.errors import Interrupted, Refused, SetupError
from aws_setup.kube.answers import each_asked_once
from aws_setup.pause.deadline_steps import with_deadline
from aws_setup.preflight.local_files import check_kept
from aws_setup.report.expected import usual_times


@dataclass(kw_only=True)
class ScriptRun(CommandRun[Context]):
    """One command of a script with a table of steps on AWS; `quick`, `deep` and `keep` are options.

    --quick is of verify, --deep of pause, --keep of allow-my-ip; `duration` is extend's argument.
    `against` is the lock file that status compares with; with `diff` plan shows the drift alone.
    """

    script: Script
    story: Story
    quick: bool = False
    deep: bool = False
    keep: bool = False
    against: Lock | None = None
    diff: bool = False
    duration: str = ""

    def steps(self) -> list[Step]:
        """Return the script's table, restricted by --only; what starts machines has a deadline."""
        table = list(self.story.table(self.ctx.config))
        return with_deadline(only(table, self.only), table) if self.only else table


def plan(run: ScriptRun) -> None:
    """Print exactly what `create` would do; nothing is written."""
    run.story.prepare(run.ctx)
    warn_of_other_runs(run)
    rows = _load_plan(run)
    run.result.planned(rows)
    refused: Refused | None = None
    bill: Sequence[str] = ()
    try:
        bill = _run_preflight(run, rows)
    except Refused as error:
        refused = error
    rows = _show_plan(run, rows, run.report.drift if run.diff else None)
    run.result.detailed(rows)
    if refused is not None:
        raise refused
    for line in bill:
        run.report.result(line)
    if run.result.problems:
        run.result.result = "failed"
    report_deadline(run, run.ctx)
    run.report.result(count_actions(rows))


def _load_plan(run: ScriptRun) -> list[Row]:
    with each_asked_once(run.ctx):
        rows = inspect_all(run.steps(), run.ctx, stop=run.clock.stop)
    run.recorder.begin(rows, run.result, clock=run.clock, mode=Mode.INSPECT)
    return rows


def _show_plan(
    run: ScriptRun, rows: Sequence[Row], show: Callable[[Sequence[Row]], None] | None = None
) -> list[Row]:
    """Print a plan with what each resource is and what each part costs; return its rows."""
    detailed = with_details(rows, run.ctx)
    if show:
        show(detailed)
    else:
        parts = run.result.more.get("prices", {}).get("parts", {})
        run.report.plan(detailed, prices=parts)
    return detailed


def create(run: ScriptRun) -> None:
    """Plan, check, show the plan and its price, ask for consent, and apply it."""
    run.story.prepare(run.ctx)
    _prompt(run)
    if not run.only:
        unlock_for_check(run.ctx)
    rows = _load_plan(run)
    bill = _run_preflight(run, rows)
    todo = changes(rows)
    if run.ctx.reformat:
        confirm_data_loss(run.ctx.config.deployment_name, ask=run.ask)
    if todo:
        rows = _show_plan(run, rows)
        for line in bill:
            run.report.result(line)
        warn_of_near_deadline(run, run.ctx, rows)
        confirm_writes(run, f"create or update {len(todo)} of {count_of(len(rows), 'step')}")
        _unlock(run, rows)
    outcome = execute_steps(run, rows, apply, shown=todo, mode=Mode.APPLY)
    if todo if run.result.result != "ok" else _changed(outcome):
        bring_deadline(run, run.ctx)
    write_run_files(run, run.ctx.found, steps=run.story.table(run.ctx.config))
    run.warn_found()
    if run.result.result == "interrupted":
        report_deadline(run, run.ctx)
        raise Interrupted
    if run.result.result == "ok":
        _record(run, changed=bool(todo))
        _report_success(run, outcome)
    else:
        report_deadline(run, run.ctx)


def _unlock(run: ScriptRun, rows: Sequence[Row]) -> None:
    """Ask for the secrets of what is created, before the first write.

    Raises:
        Refused: one of them cannot be had.
    """
    for row in rows:
        try:
            row.step.unlock(run.ctx, applying=True)
        except SetupError as error:
            raise Refused.all(error.problems) from error


def _record(run: ScriptRun, *, changed: bool) -> None:
    """Write the lock file; a run that has changed nothing only completes one without its part."""
    part = run.story.part
    repeats = part == CLUSTER and run.ctx.repeats is not None
    if changed or repeats or not has_part(lock_path(run.ctx.config), part):
        from aws_setup.cli.lock import record  # with all that the file tells

        record(run, changed=changed)


def _report_success(run: ScriptRun, outcome: Outcome) -> None:
    """Print the closing lines; the last one says whether λFS is ready, where that can be known."""
    ready = None if run.only else check_readiness(lambda: run.ctx, run.ctx.config, run.clock)
    lines = list(run.story.epilogue(run.ctx))
    following = run.story.next_command(run.ctx.config)
    if following and not _says(ready, following):
        lines.append(f"Next: {following}")
    for line in lines:
        run.report.result(line)
    report_deadline(run, run.ctx)
    for line in (_summary(outcome), *_cost_reminder(run)):
        run.report.result(line)
    if ready is not None:
        run.result.more["ready"] = ready.passed
        for line in ready.lines:
            run.report.result(line)


def _says(ready: Readiness | None, following: str) -> bool:
    """Return whether λFS is ready, or what it lacks has the next command as its fix already."""
    return ready is not None and (
        ready.passed or any(line.endswith(f"run {following}") for line in ready.lines)
    )


def _cost_reminder(run: ScriptRun) -> Sequence[str]:
    """Return the price as the last line: the plan may have scrolled off the screen."""
    hourly = run.result.hourly_usd or 0.0
    least = "at least " if run.result.more.get("prices", {}).get("unknown") else ""
    text = (
        f"Estimated cost until destroy: {least}${hourly:.2f} per hour, ${24 * hourly:.2f} per day."
    )
    return (text,) if hourly else ()


def _prompt(run: ScriptRun) -> None:
    """Let the steps ask what the configuration leaves open; without a terminal the plan refuses."""
    if run.ask is not None:
        for step in run.steps():
            step.prompt(run.ctx, run.ask)


def _run_preflight(run: ScriptRun, rows: Sequence[Row]) -> Sequence[str]:
    """Warn of skipped features, check a plan that changes resources, return the lines of its price.

    Raises:
        Refused: with every conflict and every failed check, at once.
    """
    if not run.only:
        run.warn(run.story.skipped_features(run.ctx.config))
        if run.script.owns_deployment:
            from aws_setup.preflight.switched_off import switched_off  # with NAT gateways

            run.warn(switched_off(run.ctx, [row.step.name for row in rows]))
    run.warn_found()
    problems = blockers(rows)
    found = run.story.preflight(run.ctx, rows) if changes(rows) else None
    if found is not None:
        run.warn([it for it in found.warnings if it.what not in run.ctx.warnings])
        note_prices(run, found.prices)
        problems += found.refusals
    elif run.recorder.html:
        from aws_setup.preflight.checks import charges_of  # with all checks

        note_prices(run, price(run.ctx.aws, charges_of(run.ctx, rows)))
    run.warn_found()
    problems += [finding.problem for finding in check_kept(run.ctx.config)]
    if problems:
        raise Refused.all(problems)
    return (*found.remarks, *found.prices.lines()) if found else ()


def status(run: ScriptRun) -> None:
    """Print what exists, its state, its price and its cost so far; nothing is written.

    With --against, print instead what differs from the deployment of a lock file.
    """
    from aws_setup.cli.costs import report_cost  # with node groups and their client
    from aws_setup.preflight.key_pair import warn_of_lost_key

    run.story.prepare(run.ctx)
    if run.against is not None:
        from aws_setup.cli.lock import compare

        compare(run, run.against)
        return
    rows = _load_plan(run)
    run.result.planned(rows)
    run.report.plan(rows, states=True)
    if not any(row.found for row in rows):
        run.report.result(f"{nothing_of(run, run.ctx.config.deployment_name)}.")
    warn_of_lost_key(run.ctx)
    run.warn_found()
    report_deadline(run, run.ctx)
    report_cost(run)
    run.warn_found()
    report_lock(run)
    if run.result.problems:
        run.result.result = "failed"


def nothing_of(run: ScriptRun, scope: str) -> str:
    """Return that nothing exists of a deployment, or a part of it, and where that is."""
    return f"Nothing of {scope} exists in region {run.ctx.aws.region} of this account"


def execute_steps(
    run: ScriptRun,
    rows: Sequence[Row],
    act: Callable[..., Outcome],
    *,
    shown: Sequence[Row],
    mode: Mode,
) -> Outcome:
    """Run `act` over the rows; the progress shows the rows `shown`."""
    names = {row.step.name for row in shown}
    if mode is Mode.REMOVE:
        before: Mapping[str, Collection[str]] = removal_needs(rows)
        needs = {name: sorted(before.get(name, ())) for name in names}
        actions = dict.fromkeys(names, Action.DELETE)
    else:
        needs = {row.step.name: list(row.step.predecessors) for row in shown}
        actions = {row.step.name: row.action for row in shown}
    earlier = run.recorder.earlier() if shown else []
    usual = usual_times(actions, earlier, pace=run.clock.pace)
    progress = run.report.progress(needs, usual)
    return run.execute(
        rows,
        lambda tell: act(rows, run.ctx, tell=tell, stop=run.clock.stop),
        mode=mode,
        progress=progress,
    )


def confirm_writes(run: ScriptRun, action: str, *, word: str = "") -> None:
    """Print deployment, account and region, and ask before the first write."""
    aws, name = run.ctx.aws, run.ctx.config.deployment_name
    account = f"account {aws.identity.account}, {aws.identity.arn}, region {aws.region}"
    run.report.message(f"Deployment {name}, {account}.")
    run.confirm(action, word=word)


def _summary(outcome: Outcome) -> str:
    changed = _changed(outcome)
    if not changed:
        return "Nothing to do: everything matches the configuration."
    verb = "was" if len(changed) == 1 else "were"
    return (
        f"Done: {len(changed)} of {count_of(len(outcome.done), 'step')} {verb} created or updated."
    )


def _changed(outcome: Outcome) -> list[Action]:
    return [action for action in outcome.done.values() if action is not Action.EXISTS]
