"""The deadline on the command line: its line at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS
from aws_setup.aws.paused import display_time
from aws_setup.cli.command_run import CommandRun
from aws_setup.engine.deadline import within
from aws_setup.engine.plan import Row
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Problem, SetupError
from aws_setup.infrastructure.deadline_role import no_deadline
from aws_setup.pause.deadline import NAME, first_deadline
from aws_setup.pause.deadline_report import SCRIPT, deadline_report
from aws_setup.pause.refresh_deadline import refresh_deadline

NEAR = timedelta(minutes=30)
"""Before a deadline that is so near a run is warned: create waits for AWS for 13 minutes, and
configure for its part of them (docs/performance.md)."""

INTERRUPTED_SECONDS = 60.0
"""How long a run that was interrupted waits for its deadline, as for a role that is new."""


def bring_deadline(run: CommandRun[Any], ctx: Context) -> None:
    """Bring the deadline to the machines that exist now; set one where there is none.

    Whatever goes wrong with it is a warning: the run itself has ended.

    Args:
        run: the command, which has changed something, has failed or was interrupted.
        ctx: the context of the deployment in AWS.
    """
    interrupted = run.result.result == "interrupted"
    if interrupted:
        # The run's own clock refuses to wait since the first Ctrl-C; the second ends this, too.
        ctx = replace(ctx, clock=SystemClock(run.clock.pace))
        run.report.message("What runs gets a deadline; Ctrl-C again ends at once.")
    try:
        with within(INTERRUPTED_SECONDS if interrupted else math.inf, clock=ctx.clock):
            refresh_deadline(ctx)
    except (SetupError, *AWS_ERRORS) as error:
        ctx.warn(no_deadline(error))
    run.warn_found()


def warn_of_near_deadline(run: CommandRun[Any], ctx: Context, rows: Sequence[Row]) -> None:
    """Warn before a run during which AWS may stop the machines.

    Args:
        run: the command.
        ctx: the context of the deployment in AWS.
        rows: what the run is going to do; it may set a deadline, or move it.
    """
    deadline = _deadline_of(ctx, rows)
    if deadline and timedelta() < deadline - ctx.clock.today() < NEAR:
        why = f"the deadline is {display_time(deadline)}, and this run may last longer"
        hint = f"run `{SCRIPT} extend 6h` first, or set a longer auto_pause_after"
        run.warn([Problem("AWS may stop the machines during this run", why, hint)])


def _deadline_of(ctx: Context, rows: Sequence[Row]) -> datetime | None:
    """Return the deadline that the deployment has during a run; None without one."""
    for row in rows:
        drift = row.found.drift if row.found else ()
        moves = row.found is None or any(item.what == NAME for item in drift)
        if row.step.name == NAME and row.step.surplus:
            return None
        if row.step.name == NAME and moves:
            return first_deadline(ctx)
    found = deadline_report(ctx)
    return found.deadline if found and found.state in ("set", "partial") else None


def report_deadline(run: CommandRun[Any], ctx: Context) -> None:
    """Say when AWS stops the deployment, or since when it is stopped; warn of what it does not."""
    found = deadline_report(ctx)
    if found is None:
        return
    run.result.more["deadline"] = found.document()
    run.report.result(found.text)
    known = {warning.what for warning in run.result.warnings}
    if found.warning and found.warning.what not in known:
        run.warn([found.warning])
