"""The verbs pause and resume: stop the machines of a deployment, and start them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aws_setup.aws.pricing import price
from aws_setup.cli.command_run import note_prices
from aws_setup.cli.commands import (
    ScriptRun,
    confirm_writes,
    create,
    execute_steps,
)
from aws_setup.cli.deployment import require_deployment
from aws_setup.cli.run_recorder import Mode
from aws_setup.config.paths import receipt_path
from aws_setup.engine.local_files import as_warnings
from aws_setup.engine.plan import Row, inspect_all, only, refusals
from aws_setup.engine.receipt import write_receipt
from aws_setup.engine.result import changes
from aws_setup.engine.runner import apply
from aws_setup.engine.wording import count_of
from aws_setup.errors import Interrupted, Refused
from aws_setup.pause.costs import remaining_charges, running_charges
from aws_setup.pause.nat import DeletedNat
from aws_setup.pause.table import pause_steps
from aws_setup.pause.vms import create_is_running


def pause(run: ScriptRun) -> None:
    """Stop what costs most, in the right order; disks, cluster and NameNodes are kept.

    Raises:
        Refused: nothing of the deployment exists, or it is being created.
    """
    for cluster in require_deployment(run, "pause"):
        if cluster["status"] == "CREATING":
            raise create_is_running(f"the EKS cluster {cluster['name']} is CREATING")
    steps = pause_steps(run.ctx.config, deep=run.deep)
    steps = only(steps, run.only) if run.only else steps
    rows = inspect_all(steps, run.ctx, stop=run.clock.stop)
    refused = refusals(rows)
    if refused:
        raise Refused.all(refused)
    todo, bill = changes(rows), _price_lines(run, rows)
    if todo:
        run.report.plan(rows)
        for line in bill:
            run.report.result(line)
        confirm_writes(run, f"stop {len(todo)} of {count_of(len(rows), 'part')}")
    execute_steps(run, rows, apply, shown=todo, mode=Mode.APPLY)
    _write_paused_receipt(run, rows)
    if run.result.result == "interrupted":
        raise Interrupted
    if run.result.result == "ok":
        parts = ", ".join(run.only)
        run.report.result(f"Paused{f': {parts}' if parts else ''}. All data is kept.")
        run.report.result(bill[-1])
        run.report.result("Next: python create_aws_infrastructure.py resume, or destroy")


def resume(run: ScriptRun) -> None:
    """Start a paused deployment: as create, with what the pause stopped made to run again.

    Raises:
        Refused: nothing of the deployment exists.
    """
    require_deployment(run, "resume")
    story = replace(run.story, table=run.story.resume, next_command=lambda _: "")
    create(replace(run, story=story))


def _price_lines(run: ScriptRun, rows: Sequence[Row]) -> Sequence[str]:
    """Return what continues to cost, the total last; it is the result's hourly price."""
    stopped = {row.step.name for row in rows}
    deep = run.deep and DeletedNat.name in stopped
    running = running_charges(run.ctx, stopped)
    prices = price(run.ctx.aws, [*remaining_charges(run.ctx, deep=deep), *running])
    run.warn_found()
    note_prices(run, prices)
    total = (
        f"Cost while paused: {prices.least}${prices.hourly:.3f} per hour, "
        f"${prices.daily:.2f} per day."
    )
    return ["These continue to cost:", *prices.lines(), total]


def _write_paused_receipt(run: ScriptRun, rows: Sequence[Row]) -> None:
    """Write what was stopped into the receipt; the other steps' entries are kept."""
    config, found = run.ctx.config, run.ctx.found
    known = {row.step.name: found[row.step.name] for row in rows if row.step.name in found}
    known = {name: entry for name, entry in known.items() if not entry.skipped}
    head = {"deployment_name": config.deployment_name, "aws_region": run.ctx.aws.region}
    existing = {name: entry for name, entry in known.items() if entry.id}
    with as_warnings(run.ctx):
        write_receipt(receipt_path(config), head, existing, known=set(known))
    run.warn_found()
