"""The deadline on the command line: its line at the end of a run."""

from __future__ import annotations

from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS, describe_error
from aws_setup.cli.command_run import CommandRun
from aws_setup.errors import Problem, SetupError
from aws_setup.infrastructure.deadline_role import HINT, NOTHING_STOPS
from aws_setup.pause.deadline import refresh_deadline
from aws_setup.pause.deadline_report import deadline_report


def end_with_deadline(run: CommandRun[Any], ctx: Context, *, changed: bool) -> None:
    """Bring the deadline to the machines that exist now, and say when it is.

    Whatever goes wrong with it is a warning: the run itself has ended.

    Args:
        run: the command, which prints.
        ctx: the context of the deployment in AWS.
        changed: the run has changed something, or failed: AWS is asked again.
    """
    if changed:
        try:
            refresh_deadline(ctx)
        except (SetupError, *AWS_ERRORS) as error:
            ctx.warn(Problem(NOTHING_STOPS, describe_error(error), HINT))
    run.warn_found()
    report_deadline(run, ctx)


def report_deadline(run: CommandRun[Any], ctx: Context) -> None:
    """Say when AWS stops the deployment, or since when it is stopped."""
    found = deadline_report(ctx)
    if found is not None:
        run.result.more["deadline"] = found.document()
        run.report.result(found.text)
