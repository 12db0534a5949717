"""The verb destroy: deletes what carries the deployment's tag, then searches for what remains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace

from aws_setup.aws.context import Step
from aws_setup.cli.commands import (
    ScriptRun,
    confirm_writes,
    execute_steps,
    nothing_of,
)
from aws_setup.cli.costs import RemovalCost
from aws_setup.cli.receipt_place import is_elsewhere, of_another_place
from aws_setup.cli.run_files import write_run_files
from aws_setup.cli.run_lock import remove_lock
from aws_setup.cli.run_recorder import Mode
from aws_setup.config.paths import tls_pair_path
from aws_setup.engine.local_files import as_warnings, delete_file
from aws_setup.engine.plan import (
    Row,
    dependants,
    held_back,
    inspect_all,
    refusals,
    removable,
    shorten,
)
from aws_setup.engine.step import Action
from aws_setup.engine.wording import count_of
from aws_setup.errors import Interrupted, Problem, Refused
from aws_setup.infrastructure.as_made import use_as_made
from aws_setup.infrastructure.cleanup import network_last, with_cluster_parts
from aws_setup.infrastructure.leftovers import leftovers
from aws_setup.infrastructure.vpc_interfaces import may_have_others
from aws_setup.pause.ended_deadline import deadline_last
from aws_setup.tables.needs import restrict_needs


def destroy(run: ScriptRun) -> None:
    """Delete the resources of this deployment, then search for remaining ones.

    Raises:
        Refused: a step refuses to inspect, as with a kubeconfig of another cluster.
    """
    run.ctx.owned_only = True
    use_as_made(run.ctx)
    table = list(run.story.removal(run.ctx.config))
    table = table if run.only else deadline_last(table)
    chosen = dependants(table, run.only) if run.only else {step.name for step in table}
    table, chosen = with_cluster_parts(table, chosen)
    rows = [
        row if row.step.name in chosen else replace(row, found=None)
        for row in inspect_all(table, run.ctx, stop=run.clock.stop)
    ]
    refused = refusals(rows)
    if refused:
        raise Refused.all(refused)
    if run.script.owns_deployment and not run.only and may_have_others(run.ctx):
        table = network_last(table)
        rows = [replace(row, step=step) for row, step in zip(rows, table, strict=True)]
    elsewhere = of_another_place(run.ctx)
    if elsewhere:
        run.warn([elsewhere.warning("destroy")])
        rows = [
            replace(row, found=None) if is_elsewhere(row.step, elsewhere) else row for row in rows
        ]
    owned, cost = removable(rows), None
    name = run.ctx.config.deployment_name
    run.warn([_skipped_warning(row) for row in rows if row.unowned])
    run.warn_found()
    unknown = [row for row in rows if row.action is Action.UNKNOWN and not row.step.adopted]
    run.result.planned(unknown)
    run.warn(_kept_warning(rows))
    if owned:
        run.report.plan(owned, deleting=True)
        confirm_writes(run, f"delete {count_of(len(owned), 'resource')}", word=name)
        cost = RemovalCost(run, kept=not elsewhere)
        execute_steps(run, rows, cost.remove, shown=owned, mode=Mode.REMOVE)
        run.warn_found()
        if run.result.result == "interrupted":
            cost.finish(ended=False)
            raise Interrupted
        for step in chosen:
            run.ctx.found.pop(step, None)
    inspected = restrict_needs([s for s in table if not is_elsewhere(s, elsewhere)])
    _report_leftovers(run, inspected, chosen, cost)
    if run.result.result == "ok":
        _report_removal(run, chosen, files=not elsewhere, deleted=bool(owned))


def _kept_warning(rows: Sequence[Row]) -> list[Problem]:
    """Return the warning about what is kept because of what could not be examined."""
    kept = held_back(rows)
    if not kept:
        return []
    users = list(dict.fromkeys(user for names in kept.values() for user in names))
    why = f"it may be in use by {shorten(users)}, of which AWS did not say whether it exists"
    hint = "see the errors at the end; then run destroy again, which deletes the rest"
    return [Problem(f"kept: {shorten(list(kept))}", why, hint)]


def _skipped_warning(row: Row) -> Problem:
    """Return the warning about a resource that this deployment does not own."""
    resource_id, owner = (row.found.id if row.found else ""), row.conflicts[0]
    why = f"its tag names {owner.has}, not {owner.wants}"
    return Problem(f"skipping {row.step.name} {resource_id}", why, "")


def _report_leftovers(
    run: ScriptRun, table: Sequence[Step], chosen: Collection[str], cost: RemovalCost | None
) -> None:
    """Search for what remains, and print it with the commands that delete it.

    Raises:
        LockHeld: another run is changing the deployment now.
        Outdated: another run has changed it since it was examined.
    """
    only = chosen if run.only else ()
    left = leftovers(run.ctx, table, owns_deployment=run.script.owns_deployment, only=only)
    run.warn_found()
    certain = [item for item in left if not item.unknown_region]
    if certain:
        # Where nothing was deleted, there was no lock yet: they may be what another run makes now.
        run.take_lock()
    if not run.only and run.script.owns_deployment and not certain and not run.result.problems:
        left = [*left, *remove_lock(run)]
    run.result.more["leftovers"] = [asdict(item) for item in left]
    if left:
        name = run.ctx.config.deployment_name
        remain = f"resource of {name} remains", f"resources of {name} remain"
        run.report.result(f"{count_of(len(left), *remain)}:")
    for item in left:
        run.report.result(f"  {item.what} {item.id}, {item.price}: {item.command}")
    if left:
        run.result.result = "leftovers"
    if cost:
        complete = run.script.owns_deployment and not run.only
        cost.finish(ended=complete and not left and not run.result.problems)
    if run.result.problems and not left:
        run.result.result = "failed"


def _report_removal(run: ScriptRun, chosen: Collection[str], *, files: bool, deleted: bool) -> None:
    """Bring the `files` on this computer to the end of destroy, and print what it was."""
    if files:
        config = run.ctx.config
        steps = [*run.story.table(config), *run.story.removal(config)]
        write_run_files(run, run.ctx.found if run.only else {}, steps=steps, deleted=chosen)
        if not run.only:
            # A run may have been killed after it wrote the key, and before AWS had the certificate.
            with as_warnings(run.ctx):
                delete_file(tls_pair_path(config))
        run.warn_found()
    name = run.ctx.config.deployment_name
    scope = name if run.script.owns_deployment else f"{name} that {run.script.name} created"
    scope = f"{name} ({', '.join(sorted(chosen))})" if run.only else scope
    if deleted:
        run.report.result(f"All resources of {scope} are deleted.")
    else:
        run.report.result(f"{nothing_of(run, scope)}: nothing was deleted.")
