"""What a deployment costs, in status and at the end of destroy; destroy keeps it in the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.paused import format_time
from aws_setup.cli.command_run import CommandRun, note_prices
from aws_setup.config.paths import receipt_path
from aws_setup.engine.file_errors import FREE_SPACE, is_full
from aws_setup.engine.plan import Row
from aws_setup.engine.receipt import read_costs, write_costs
from aws_setup.engine.runner import EventKind, Listener, Outcome, StepEvent, remove
from aws_setup.errors import Problem
from aws_setup.pause.bill import Bill, at_end, bill_of, decode, encode
from aws_setup.pause.usage import usages

AwsRun = CommandRun[Context]


def current_bill(run: AwsRun) -> Bill:
    """Return what the whole deployment has cost until now, whichever script created it."""
    remembered = decode(read_costs(receipt_path(run.ctx.config)))
    return bill_of(run.ctx.aws, usages(run.ctx), remembered)


def report_cost(run: AwsRun) -> None:
    """Print what the deployment has cost and costs, and put it into the result."""
    bill = current_bill(run)
    paused = bill.usages.paused
    run.result.more["paused_since"] = format_time(min(paused.values())) if paused else None
    run.result.more["paused_parts"] = sorted(paused)
    if not bill.items:
        return
    note_prices(run, bill.prices)
    run.result.more["usd_so_far"] = round(bill.so_far, 2)
    run.result.more["cost"] = bill.document()
    for line in bill.lines():
        run.report.result(line)


class RemovalCost:
    """The cost of a deployment while it is deleted; the receipt has it before the first deletion.

    So a removal that is killed and run again still knows what it deleted the first time. It is not
    `kept` where the receipt is of another account or region.
    """

    def __init__(self, run: AwsRun, *, kept: bool = True) -> None:
        self._run = run
        self._kept = kept
        self._ends: dict[str, datetime] = {}
        self._bill = advice(lambda: current_bill(run), lambda _: None)
        self._keep(self._bill, ended=False)

    def remove(self, rows: Sequence[Row], ctx: Any, *, tell: Listener, stop: Any) -> Outcome:
        """Delete as `runner.remove` does, and note when each step was deleted."""

        def noted(event: StepEvent) -> None:
            if event.kind is EventKind.DONE:
                self._ends[event.step] = ctx.clock.today()
            tell(event)

        return remove(rows, ctx, tell=noted, stop=stop)

    def finish(self, *, ended: bool) -> None:
        """Keep what was deleted, and print the total when nothing of the deployment is left."""
        if self._bill is None:
            return
        bill = at_end(self._bill, self._ends, self._run.ctx.clock.today())
        self._keep(bill, ended=ended)
        self._run.result.more["cost"] = {**bill.document(), "ended": ended}
        if ended and bill.items:
            self._run.report.result(bill.total())

    def _keep(self, bill: Bill | None, *, ended: bool) -> None:
        """Write the cost into the receipt; a receipt that cannot be written stops no removal."""
        if bill is None or not bill.items or not self._kept:
            return
        run = self._run
        path = receipt_path(run.ctx.config)
        head = {"deployment_name": run.ctx.config.deployment_name, "aws_region": run.ctx.aws.region}
        try:
            write_costs(path, head, encode(bill, ended=ended))
        except OSError as error:
            why = f"{path}: {error.strerror or error}"
            fix = FREE_SPACE if is_full(error) else "make the receipt writable"
            problem = Problem("the cost could not be kept", why, fix)
            run.warn([problem])
