"""A script as a click command: its verbs over its table of steps, with AWS opened and closed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.cli import commands
from aws_setup.cli.commands import Script, ScriptRun
from aws_setup.cli.main import Invocation, run_guarded
from aws_setup.cli.options import Command, SharedOptions, shared_options
from aws_setup.cli.prompts import prompt_function
from aws_setup.cli.run_recorder import RunRecorder
from aws_setup.cli.verify import verify
from aws_setup.config import Config
from aws_setup.engine.result import Result
from aws_setup.engine.wait import Clock, SystemClock
from aws_setup.errors import Refused
from aws_setup.report import Report

COMMANDS: Mapping[str, Callable[[ScriptRun], None]] = {
    "create": commands.create,
    "configure": commands.create,
    "plan": commands.plan,
    "status": commands.status,
    "verify": verify,
    "destroy": commands.destroy,
}
"""Verb -> its command."""


def script_command(script: Script, *, folder: Path) -> click.Command:
    """Return the click command of a script in `folder`: a verb, then options in any order."""

    @click.command(name=script.name, help=script.help, cls=Command)
    @click.argument("verb", type=click.Choice(script.verbs), default=script.verbs[0])
    @shared_options(only_metavar="STEP", only_help="This step and its needs (destroy: dependants).")
    def command(verb: str, **parameters: Any) -> None:
        options = SharedOptions.take(parameters)
        flags = {flag: parameters.pop(flag.parameter) for flag in script.flags}
        overrides = {
            flag.key: value if flag.metavar else flag.value
            for flag, value in flags.items()
            if value
        }
        quick = parameters.pop("quick", False)
        recorder = RunRecorder(script.name, verb, html=options.html)

        def work(config: Config, result: Result, report: Report) -> None:
            recorder.check(config)
            clock = SystemClock()
            with open_context(config, clock, **parameters) as ctx:
                recorder.region = ctx.aws.region
                run = ScriptRun(
                    script=script,
                    ctx=ctx,
                    clock=clock,
                    report=report,
                    result=result,
                    recorder=recorder,
                    only=options.only,
                    yes=options.yes,
                    ask=prompt_function(),
                    quick=quick,
                )
                run_verb(run, verb)

        invocation = Invocation(verb, options, folder, overrides, finish=recorder.finish)
        sys.exit(run_guarded(invocation, work))

    if script.infrastructure:
        _infrastructure_options(command)
    for flag in reversed(script.flags):
        kind: dict[str, Any] = {"metavar": flag.metavar} if flag.metavar else {"is_flag": True}
        click.option(flag.option, flag.parameter, help=flag.help, **kind)(command)
    return command


def _infrastructure_options(command: click.Command) -> None:
    """Add the options of the script for VMs and cluster."""
    help_text = "Reformat the file systems. DESTROYS ALL DATA."
    click.option("--reformat", is_flag=True, help=help_text)(command)
    quick_text = "verify: only the checks that start no container."
    click.option("--quick", is_flag=True, help=quick_text)(command)
    click.option("--no-wait", is_flag=True, help="Do not wait for the EKS cluster.")(command)


def run_verb(run: ScriptRun, verb: str) -> None:
    """Run one verb of a script; the result names the account and counts the API calls."""
    aws, result = run.ctx.aws, run.result
    result.account, result.region = aws.identity.account, aws.region
    result.more["arn"] = aws.identity.arn
    try:
        COMMANDS[verb](run)
    finally:
        result.api_calls = aws.calls


@contextmanager
def open_context(
    config: Config, clock: Clock, *, no_wait: bool = False, reformat: bool = False
) -> Iterator[Context]:
    """Open AWS, yield the context of a run, and close AWS."""
    aws = open_aws(config)
    config = config.with_amis_of(aws.region)
    inventory = Inventory(aws, config)
    try:
        yield Context(
            config=config,
            aws=aws,
            clock=clock,
            inventory=inventory,
            patient=not no_wait,
            reformat=reformat,
        )
    finally:
        inventory.close()
        aws.close()


def open_aws(config: Config) -> Aws:
    """Return the AWS session of the configuration.

    Raises:
        Refused: no such region, or the credentials belong to another account than aws_account_id.
    """
    aws = Aws(profile=config.aws_profile, region=config.aws_region)
    if not aws.region:
        why = "neither aws_region nor the AWS configuration sets one"
        raise Refused("no AWS region", why, "set aws_region")
    known = aws.known_regions()
    if aws.region not in known:
        similar = [name for name in known if name.startswith(aws.region[:3])] or known
        raise Refused(
            f"there is no AWS region {aws.region}",
            "the installed boto3 has no such region",
            f"set aws_region to one of {', '.join(similar)}; for a new one: pip install -U boto3",
        )
    if config.aws_account_id and aws.identity.account != config.aws_account_id:
        raise Refused(
            "the credentials belong to another account than aws_account_id",
            "STS reports another account id",
            "use another profile, or correct aws_account_id",
        )
    return aws
