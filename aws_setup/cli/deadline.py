"""The deadline on the command line: its line at the end of a run."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS, describe_error
from aws_setup.cli.command_run import CommandRun
from aws_setup.engine.deadline import within
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Problem, SetupError
from aws_setup.infrastructure.deadline_role import HINT, NOTHING_STOPS
from aws_setup.pause.deadline_report import deadline_report
from aws_setup.pause.refresh_deadline import refresh_deadline

INTERRUPTED_SECONDS = 60.0
"""How long a run that was interrupted waits for its deadline, as for a role that is new."""


def bring_deadline(run: CommandRun[Any], ctx: Context, *, creates: bool) -> None:
    """Bring the deadline to the machines that exist now.

    Whatever goes wrong with it is a warning: the run itself has ended.

    Args:
        run: the command, which has changed something, has failed or was interrupted.
        ctx: the context of the deployment in AWS.
        creates: set a deadline, too, where there is none and machines run.
    """
    interrupted = run.result.result == "interrupted"
    if interrupted:
        # The run's own clock refuses to wait since the first Ctrl-C; the second ends this, too.
        ctx = replace(ctx, clock=SystemClock(run.clock.pace))
        run.report.message("What runs gets a deadline; Ctrl-C again ends at once.")
    try:
        with within(INTERRUPTED_SECONDS if interrupted else math.inf, clock=ctx.clock):
            refresh_deadline(ctx, creates=creates)
    except (SetupError, *AWS_ERRORS) as error:
        ctx.warn(Problem(NOTHING_STOPS, describe_error(error), HINT))
    run.warn_found()


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
