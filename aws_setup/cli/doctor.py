"""`doctor`: every check of this computer and its AWS access, in under ten seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aws_setup import __version__
from aws_setup.cli.options import Command, SharedOptions
from aws_setup.cli.usage import VerbChoice
from aws_setup.errors import SetupError

if TYPE_CHECKING:
    from aws_setup.cli.doctor_checks import Computer
    from aws_setup.config import Config
    from aws_setup.engine.result import Result
    from aws_setup.report import Report
    from aws_setup.verify.check import Check, CheckOutcome

SECONDS = 9.0
"""Seconds after which a check that has not ended counts as failed."""

ROOT = Path(__file__).resolve().parents[2]


@click.command(name="aws_setup", cls=Command)
@click.argument("verb", type=VerbChoice(["doctor"]))
@click.option("-y", "--yaml", type=click.Path(), metavar="FILE", help="Configuration file.")
@click.option("--profile", metavar="NAME", help="AWS profile, instead of aws_profile.")
@click.option("--region", metavar="REGION", help="AWS region, instead of aws_region.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@click.option("--no-color", is_flag=True, help="No colours.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def main(
    verb: str,
    yaml: str | None,
    profile: str | None,
    region: str | None,
    *,
    as_json: bool,
    no_color: bool,
) -> None:
    """Check this computer: Python, packages, helm, credentials, region, key pair, quotas, clock.

    It works without a configuration file, and writes nothing in AWS. Exit code 1: something must be
    fixed first.
    """
    from aws_setup.cli.main import Invocation, find_config, run_guarded

    options = SharedOptions(yaml, profile, region, as_json=as_json, no_color=no_color)

    def work(config: Config | None, result: Result, report: Report) -> None:
        path = find_config(yaml, ROOT) if config else None
        _check(config, path, options, result=result, report=report)

    invocation = Invocation(
        verb,
        options,
        ROOT,
        config_optional=True,
        without_config=lambda result, report: work(None, result, report),
    )
    sys.exit(run_guarded(invocation, work))


def _check(
    config: Config | None,
    path: Path | None,
    options: SharedOptions,
    *,
    result: Result,
    report: Report,
) -> None:
    """Run the checks, print their table, and record what must be fixed."""
    from aws_setup.cli.doctor_checks import Computer
    from aws_setup.engine.wait import SystemClock
    from aws_setup.report.verification import print_checks
    from aws_setup.verify.check import Verification

    computer = Computer(SystemClock(), config, path, options.profile, options.region)
    verification = Verification(checked(computer))
    print_checks(report, verification)
    result.more["checks"] = [item.document() for item in verification.outcomes]
    result.problems += [item.problem for item in verification.broken]
    if verification.broken:
        result.result = "failed"
    else:
        report.result("This computer is ready.")


def checked(computer: Computer) -> list[CheckOutcome]:
    """Return the outcome of every check; the time in which a person is asked is not counted."""
    from aws_setup.cli.doctor_checks import GROUPS

    _ = computer.refused_login
    return run_groups(GROUPS, computer, seconds=SECONDS)


def run_groups(
    groups: Sequence[Sequence[Check[Computer]]], computer: Computer, *, seconds: float
) -> list[CheckOutcome]:
    """Return the outcome of every check; the groups run at the same time, for `seconds` in total.

    The texts are without account ids and secrets, which AWS's own messages contain.
    """
    done: list[list[CheckOutcome]] = [[] for _ in groups]
    threads = [
        threading.Thread(target=_run_group, args=(checks, computer, outcomes), daemon=True)
        for checks, outcomes in zip(groups, done, strict=True)
    ]
    began = computer.clock.now()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, seconds - (computer.clock.now() - began)))
    ended = [list(outcomes) for outcomes in done]
    return [
        outcome
        for checks, outcomes in zip(groups, ended, strict=True)
        for outcome in (*outcomes, *_unfinished(checks[len(outcomes) :], seconds))
    ]


def _run_group(
    checks: Sequence[Check[Computer]], computer: Computer, outcomes: list[CheckOutcome]
) -> None:
    from dataclasses import replace

    from aws_setup.cli.debug_log import redact
    from aws_setup.verify.check import run_checks

    for outcome in run_checks(checks, computer, clock=computer.clock, explain=_explained):
        outcomes.append(replace(outcome, cause=redact(outcome.cause), fix=redact(outcome.fix)))


def _explained(error: Exception) -> Exception:
    """Return any error with a cause and a fix: one check must not end the others."""
    from aws_setup.aws.errors import to_setup_error

    found = to_setup_error(error)
    if isinstance(found, SetupError):
        return found
    text = " ".join(str(error).split())
    return SetupError(type(error).__name__, text, "see docs/troubleshooting.md")


def _unfinished(checks: Sequence[Check[Computer]], seconds: float) -> list[CheckOutcome]:
    """Return the outcomes of checks that did not end: the first failed, and the others waited."""
    from aws_setup.verify.check import CheckOutcome, CheckStatus

    fix = "check your network connection and proxy, then run this again"
    return [
        CheckOutcome(check.name, CheckStatus.FAIL, f"no answer within {seconds:.0f} s", fix)
        if index == 0
        else CheckOutcome(check.name, CheckStatus.SKIPPED, "not reached in time")
        for index, check in enumerate(checks)
    ]
