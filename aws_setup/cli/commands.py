"""The verbs of the two infrastructure scripts: plan, create, status and destroy over one table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace

from aws_setup.aws.context import Context, Step
from aws_setup.aws.pricing import Prices, price
from aws_setup.cli.run_recorder import Mode, RunRecorder
from aws_setup.config import Config
from aws_setup.config.paths import receipt_path
from aws_setup.engine.plan import Row, blockers, dependants, inspect_all, only, refusals
from aws_setup.engine.receipt import write_receipt
from aws_setup.engine.result import Result, changes
from aws_setup.engine.runner import Outcome, apply, removable, remove
from aws_setup.engine.step import Action, Found
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted, Problem, Refused
from aws_setup.infrastructure.existing_network import named_vpcs
from aws_setup.infrastructure.leftovers import leftovers
from aws_setup.infrastructure.summary import hours_since
from aws_setup.preflight.checks import Preflight, charges_of
from aws_setup.report import Report
from aws_setup.report.progress import Progress

Ask = Callable[[str], str]


@dataclass(frozen=True)
class ConfigOption:
    """An option of one script's command line that goes before a key of the configuration.

    A switch sets the key to `value`; an option with a `metavar` takes its value from the user.
    """

    option: str
    key: str
    value: bool
    help: str
    metavar: str = ""

    @property
    def parameter(self) -> str:
        """The name under which the command line hands it over."""
        return self.option.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Script:
    """What tells one script from another: its verbs, its table, and what comes before and after.

    `table` lists the steps to make; `removal` those to delete, which may be more. `prepare` runs
    before the look; `preflight` checks the plan before consent and returns what it found, None
    when the script has nothing to check. `epilogue` returns the lines to print after success.
    `left_out` returns what the configuration asks for and a whole run does not do, with the why.
    `flags` are its own switches; `infrastructure` adds --no-wait and --reformat. A script that is
    not `whole` owns a part of the deployment: the rest is no leftover of it.
    """

    name: str
    verbs: tuple[str, ...]
    help: str
    table: Callable[[Config], Sequence[Step]]
    removal: Callable[[Config], Sequence[Step]]
    prepare: Callable[[Context], None] = lambda _: None
    preflight: Callable[[Context, Sequence[Row]], Preflight | None] = lambda *_: None
    epilogue: Callable[[Context], Sequence[str]] = lambda _: ()
    left_out: Callable[[Config], Sequence[Problem]] = lambda _: ()
    whole: bool = True
    flags: tuple[ConfigOption, ...] = ()
    infrastructure: bool = False


@dataclass
class CommandRun:
    """One command under way."""

    script: Script
    ctx: Context
    clock: SystemClock
    report: Report
    result: Result
    keeper: RunRecorder
    only: tuple[str, ...] = ()
    consent: bool = False
    ask: Ask | None = None

    def steps(self) -> list[Step]:
        """Return the script's table, cut down by --only."""
        table = list(self.script.table(self.ctx.config))
        return only(table, self.only) if self.only else table

    def progress(self, rows: Sequence[Row]) -> AbstractContextManager[Progress]:
        """Show the run over `rows`."""
        return self.report.progress({row.step.name: row.step.needs for row in rows})


def plan(run: CommandRun) -> None:
    """Say exactly what `create` would do; nothing is written."""
    run.script.prepare(run.ctx)
    rows = _load_plan(run)
    run.result.planned(rows)
    run.report.plan(rows)
    for line in _run_preflight(run, rows):
        run.report.result(line)
    if run.result.problems:
        run.result.result = "failed"
    run.report.result(_counts(rows))


def _load_plan(run: CommandRun) -> list[Row]:
    rows = inspect_all(run.steps(), run.ctx, stop=run.clock.stop)
    run.keeper.begin(run.ctx, run.result, rows, deed=Mode.LOOK)
    return rows


def create(run: CommandRun) -> None:
    """Look, refuse what cannot end well, show the plan and its price, ask, and make it."""
    run.script.prepare(run.ctx)
    _choose_vpc(run)
    rows = _load_plan(run)
    bill = _run_preflight(run, rows)
    todo = changes(rows)
    if run.ctx.reformat:
        _confirm_data_loss(run)
    if todo:
        run.report.plan(rows)
        for line in bill:
            run.report.result(line)
        _confirm(run, f"make {len(todo)} of {len(rows)} steps")
    outcome = _execute(run, rows, apply)
    if run.result.result == "ok":
        for line in (*run.script.epilogue(run.ctx), _summary(outcome), *_cost_reminder(run)):
            run.report.result(line)


def _cost_reminder(run: CommandRun) -> Sequence[str]:
    """Return the price once more, for whoever has scrolled past the plan."""
    hourly = run.result.hourly_usd or 0.0
    said = f"It costs ${hourly:.2f} an hour, ${24 * hourly:.2f} a day, until `destroy`."
    return (said,) if hourly else ()


def _choose_vpc(run: CommandRun) -> None:
    """Ask which VPC is meant where several have the name; without a terminal the plan refuses."""
    config = run.ctx.config
    if config.create_vpc or config.vpc_id or run.ask is None:
        return
    vpcs = {vpc["VpcId"]: vpc["CidrBlock"] for vpc in named_vpcs(run.ctx)}
    if len(vpcs) > 1:
        listed = ", ".join(f"{own} ({cidr})" for own, cidr in vpcs.items())
        chosen = run.ask(f"Several VPCs are named {config.vpc_name}: {listed}. Which one").strip()
        if chosen in vpcs:
            run.ctx.config = config.model_copy(update={"vpc_id": chosen})


def _run_preflight(run: CommandRun, rows: Sequence[Row]) -> Sequence[str]:
    """Say what is left out, check a plan that changes something, return its price's lines.

    Raises:
        Refused: with every conflict and every finding that stands against the run, at once.
    """
    if not run.only:
        _warn(run, run.script.left_out(run.ctx.config))
    problems = blockers(rows)
    found = run.script.preflight(run.ctx, rows) if changes(rows) else None
    if found is not None:
        _warn(run, found.warnings)
        _note_prices(run, found.prices)
        problems += found.refusals
    elif run.keeper.html:
        _note_prices(run, price(run.ctx.aws, charges_of(run.ctx, rows)))
    if problems:
        raise Refused.all(problems)
    return found.prices.lines() if found else ()


def _note_prices(run: CommandRun, prices: Prices) -> None:
    run.result.hourly_usd = round(prices.hourly, 4)
    run.result.more["prices"] = prices.document()


def _warn(run: CommandRun, warnings: Sequence[Problem]) -> None:
    run.report.problems(warnings, warning=True)
    run.result.warnings.extend(warnings)


def status(run: CommandRun) -> None:
    """Say what exists, how it is, what it costs and has cost; nothing is written."""
    run.script.prepare(run.ctx)
    rows = _load_plan(run)
    run.result.planned(rows)
    run.report.plan(rows, states=True)
    there = [row for row in rows if row.found]
    if there:
        _report_cost(run, there)
    if run.result.problems:
        run.result.result = "failed"


def _report_cost(run: CommandRun, there: Sequence[Row]) -> None:
    """Say what the things cost an hour, and what they have cost since AWS made them."""
    prices = price(run.ctx.aws, charges_of(run.ctx, there))
    _note_prices(run, prices)
    now, so_far = run.clock.today(), 0.0
    for row in there:
        if row.found:
            so_far += prices.of(charges_of(run.ctx, [row])) * hours_since(row.found, now)
    run.result.more["usd_so_far"] = round(so_far, 2)
    for line in prices.lines():
        run.report.result(line)
    run.report.result(f"About ${so_far:.2f} since creation (machines, NAT gateway, cluster).")


def destroy(run: CommandRun) -> None:
    """Delete everything of this deployment and look again whether anything is left.

    Raises:
        Refused: a step refuses even the look, as with a kubeconfig that leads somewhere else.
    """
    run.ctx.owned_only = True
    table = list(run.script.removal(run.ctx.config))
    chosen = dependants(table, run.only) if run.only else {step.name for step in table}
    rows = [
        row if row.step.name in chosen else replace(row, found=None)
        for row in inspect_all(table, run.ctx, stop=run.clock.stop)
    ]
    refused = refusals(rows)
    if refused:
        raise Refused.all(refused)
    there = removable(rows)
    name = run.ctx.config.deployment_name
    _warn(run, [_skipped_warning(row) for row in rows if row.unowned])
    unknown = [row for row in rows if row.action is Action.UNKNOWN and not row.step.adopted]
    run.result.planned(unknown)
    if there:
        run.report.plan(there, deleting=True)
        _confirm(run, f"delete these {len(there)} things of {name}", word=name)
        _execute(run, rows, remove)
        for step in chosen:
            run.ctx.found.pop(step, None)
    _report_leftovers(run, name, chosen)


def _skipped_warning(row: Row) -> Problem:
    """Return the warning about something of a wanted name that is somebody else's."""
    own, owner = (row.found.id if row.found else ""), row.conflicts[0]
    why = f"it belongs to {owner.has}, not to {owner.wants}"
    return Problem(f"{row.step.name} {own} is left alone", why, "")


def _report_leftovers(run: CommandRun, name: str, chosen: Collection[str]) -> None:
    if run.result.result == "interrupted":
        return
    table = list(run.script.removal(run.ctx.config))
    left = leftovers(run.ctx, table, owns_deployment=run.script.whole and not run.only)
    if run.only:
        left = [thing for thing in left if thing.what in chosen]
    run.result.more["leftovers"] = [asdict(thing) for thing in left]
    if left:
        run.report.result(f"{len(left)} things of {name} are left:")
    for thing in left:
        run.report.result(f"  {thing.what} {thing.id}, {thing.price}: {thing.command}")
    if left:
        run.result.result = "leftovers"
    elif run.result.problems:
        run.result.result = "failed"
    else:
        _write_receipt(run, run.ctx.found if run.only else {})
        what = name if run.script.whole else f"what {run.script.name} made for {name}"
        what = f"{', '.join(sorted(chosen))} of {name}" if run.only else what
        run.report.result(f"Nothing of {what} is left.")


def _execute(
    run: CommandRun,
    rows: Sequence[Row],
    act: Callable[..., Outcome],
) -> Outcome:
    """Run `act` over the rows with progress, and always leave a receipt behind."""
    run.keeper.begin(run.ctx, run.result, rows, deed=Mode.APPLY if act is apply else Mode.REMOVE)
    with run.progress(changes(rows) if act is apply else removable(rows)) as tell:
        outcome = act(rows, run.ctx, tell=run.keeper.listener(tell), stop=run.clock.stop)
    ids = {name: found.id for name, found in run.ctx.found.items()}
    run.result.ended(rows, outcome, ids)
    if act is apply:
        _write_receipt(run, run.ctx.found)
    if run.result.result == "interrupted":
        raise Interrupted
    return outcome


def _write_receipt(run: CommandRun, found: Mapping[str, Found]) -> None:
    """Write the receipt; what another script wrote of its own steps stays in it."""
    config = run.ctx.config
    known = {step.name for step in (*run.script.table(config), *run.script.removal(config))}
    gone = run.script.whole and not found
    head = {"deployment_name": config.deployment_name, "aws_region": run.ctx.aws.region}
    write_receipt(receipt_path(config), head, found, known=None if gone else known)


def _confirm_data_loss(run: CommandRun) -> None:
    """Have the deployment's name typed before files are lost; --yes does not answer this.

    Raises:
        Refused: another answer, or there is no terminal to ask on.
    """
    name = run.ctx.config.deployment_name
    if run.ask is None:
        raise Refused(
            "--reformat has to be confirmed by hand",
            "there is no terminal, and --yes is not enough to destroy the file systems",
            "run it in a terminal, or without --reformat",
        )
    if run.ask(f"Type {name} to format the file systems anew: every file is lost").strip() != name:
        raise Refused("nothing was done", "you did not type the name", "leave --reformat out")


def _confirm(run: CommandRun, deed: str, *, word: str = "") -> None:
    """Ask before the first write: `y`, or `word` typed out; --yes answers for the user.

    Raises:
        Refused: the answer was no, or there is no terminal to ask on.
    """
    ctx = run.ctx
    identity = ctx.aws.identity
    run.report.say(f"Account {identity.account}, {identity.arn}, region {ctx.aws.region}.")
    if run.consent:
        return
    if run.ask is None:
        raise Refused("nobody to ask", "there is no terminal", f"add --yes to {deed}")
    question = f"Type {word} to {deed}" if word else f"Type y to {deed}"
    if run.ask(question).strip() not in ({word} if word else {"y", "Y", "yes"}):
        raise Refused("nothing was done", "you did not say yes", "run it again when you are ready")


def _counts(rows: Sequence[Row]) -> str:
    counted = {action: sum(row.action is action for row in rows) for action in Action}
    said = [f"{count} {action}" for action, count in counted.items() if count]
    return ", ".join(said)


def _summary(outcome: Outcome) -> str:
    changed = [action for action in outcome.done.values() if action is not Action.EXISTS]
    if not changed:
        return "Nothing to do: everything is as the configuration wants it."
    return f"Done: {len(changed)} of {len(outcome.done)} steps were made or changed."
