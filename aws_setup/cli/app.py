"""The command lines: shared options, the question for consent, and errors as exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from aws_setup.aws.context import Context
from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.cli import commands
from aws_setup.cli.commands import CommandRun, Script
from aws_setup.cli.debug_log import log_to_file
from aws_setup.cli.run_recorder import RunRecorder
from aws_setup.config import Config, load_config, shadowed_settings
from aws_setup.engine.result import Result
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted, Problem, Refused
from aws_setup.report import Report, Style

COMMANDS: Mapping[str, Callable[[CommandRun], None]] = {
    "create": commands.create,
    "configure": commands.create,
    "plan": commands.plan,
    "status": commands.status,
    "destroy": commands.destroy,
}
"""Verb -> what it does."""


class Command(click.Command):
    """A script's command: with --json a wrong command line is told as a document, too."""

    def main(self, args: Sequence[str] | None = None, **settings: Any) -> Any:  # type: ignore[override]
        """Run the command; a command line that cannot be understood ends it with code 2."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            super().main(words, **settings | {"standalone_mode": False})
        except click.UsageError as error:
            if "--json" not in words:
                error.show()
            else:
                problem = Problem(error.format_message(), "", f"{self.name} --help lists what is")
                result = Result(command="", result="refused", problems=[problem])
                Report(Style(json=True)).document(result)
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(130)
        sys.exit(0)


def shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all three scripts have."""
    options = [
        click.option("-y", "--yaml", "yaml_path", metavar="FILE", help="Configuration file."),
        click.option("--profile", metavar="NAME", help="AWS profile, instead of aws_profile."),
        click.option("--region", metavar="REGION", help="AWS region, instead of aws_region."),
        click.option("--yes", is_flag=True, help="Do not ask for consent."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout."),
        click.option("-v", "--verbose", is_flag=True, help="Show tracebacks and debug lines."),
        click.option("-q", "--quiet", is_flag=True, help="No progress, only results and errors."),
        click.option("--no-color", is_flag=True, help="No colours and no live bars."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def config_search_path(beside: Path) -> list[Path]:
    """Return where a configuration file is looked for when none is given."""
    return [Path("config_aws.yaml"), beside / "config_aws.yaml"]


def find_config(given: str | None, beside: Path) -> Path:
    """Return the configuration file: the one given, else config_aws.yaml here or beside a script.

    Raises:
        Refused: there is none; the hint says how to make one.
    """
    tried = [Path(given)] if given else config_search_path(beside)
    for place in tried:
        if place.is_file():
            return place
    raise Refused(
        "no configuration file",
        f"{' and '.join(str(place) for place in tried)} cannot be found",
        "copy sample_config_aws.yaml to config_aws.yaml and fill in its blanks, or give one by -y",
    )


def script_command(script: Script, *, beside: Path) -> click.Command:
    """Return the click command of a script: an optional verb, then options in any order."""

    @click.command(name=script.name, help=script.help, cls=Command)
    @click.argument("verb", type=click.Choice(script.verbs), default=script.verbs[0])
    @click.option(
        "--only",
        multiple=True,
        metavar="STEP",
        help="This step and its needs (destroy: what needs it).",
    )
    @click.option("--html", metavar="FILE", help="Also write a page about the run.")
    @shared_options
    def command(verb: str, only: tuple[str, ...], html: str | None, **options: Any) -> None:
        words = {flag: options.pop(flag.parameter) for flag in script.flags}

        keeper = RunRecorder(script.name, verb, html=html)

        def work(config: Config, result: Result, report: Report) -> None:
            keeper.check(config)
            run_verb(
                script,
                verb,
                config=config,
                result=result,
                report=report,
                keeper=keeper,
                only=only,
                **options,
            )

        switched = {
            flag.key: word if flag.metavar else flag.value for flag, word in words.items() if word
        }
        sys.exit(
            run_guarded(
                verb, work, beside=beside, switched=switched, finish=keeper.finish, **options
            )
        )

    if script.infrastructure:
        _infrastructure_options(command)
    for flag in reversed(script.flags):
        kind: dict[str, Any] = {"metavar": flag.metavar} if flag.metavar else {"is_flag": True}
        click.option(flag.option, flag.parameter, help=flag.help, **kind)(command)
    return command


def _infrastructure_options(command: click.Command) -> None:
    """Add the options that only the script of machines and cluster has."""
    lost = "Format the file systems anew: all is lost."
    click.option("--reformat", is_flag=True, help=lost)(command)
    click.option("--no-wait", is_flag=True, help="Do not wait for the EKS cluster.")(command)


def run_verb(
    script: Script,
    verb: str,
    *,
    config: Config,
    result: Result,
    report: Report,
    keeper: RunRecorder,
    only: tuple[str, ...],
    yes: bool,
    no_wait: bool = False,
    reformat: bool = False,
    **_: Any,
) -> None:
    """Open AWS and run one verb of a script."""
    clock = SystemClock()
    aws = open_aws(config)
    config = config.with_amis_of(aws.region)
    inventory = Inventory(aws, config)
    ctx = Context(
        config=config,
        aws=aws,
        clock=clock,
        inventory=inventory,
        patient=not no_wait,
        reformat=reformat,
    )
    result.account, result.region = aws.identity.account, aws.region
    result.more["arn"] = aws.identity.arn
    run = CommandRun(script, ctx, clock, report, result, keeper, only, yes, prompt_function())
    try:
        COMMANDS[verb](run)
    finally:
        inventory.close()
        aws.close()
        result.api_calls = aws.calls


def open_aws(config: Config) -> Aws:
    """Return the AWS session of the configuration.

    Raises:
        Refused: no such region, or the credentials belong to another account than aws_account_id.
    """
    aws = Aws(profile=config.aws_profile, region=config.aws_region)
    if not aws.region:
        raise Refused("no AWS region", "neither aws_region nor AWS names one", "set aws_region")
    known = aws.known_regions()
    if aws.region not in known:
        there = [name for name in known if name.startswith(aws.region[:3])] or known
        raise Refused(
            f"there is no AWS region {aws.region}",
            "boto3 does not know it",
            f"set aws_region to one of {', '.join(there)}; for a new one: pip install -U boto3",
        )
    if config.aws_account_id and aws.identity.account != config.aws_account_id:
        raise Refused(
            "the credentials belong to another account than aws_account_id",
            "AWS says so",
            "use another profile, or correct aws_account_id",
        )
    return aws


def run_guarded(
    verb: str,
    work: Callable[[Config, Result, Report], None],
    *,
    beside: Path,
    yaml_path: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    no_color: bool,
    profile: str | None = None,
    region: str | None = None,
    without: Callable[[Result, Report], None] | None = None,
    finish: Callable[[Result, Report], None] = lambda *_: None,
    switched: Mapping[str, Any] = MappingProxyType({}),
    **_: Any,
) -> int:
    """Load the configuration, run `work`, turn every error into lines, and return the exit code.

    `without` runs instead of `work` when no file is given and none is there; None refuses that.
    `switched` goes before the keys of the file. `finish` is told how it ended.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if verbose:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    began = time.monotonic()
    result = Result(command=verb)
    report = Report(Style(as_json, verbose, quiet, no_color))
    try:
        if (
            without
            and not yaml_path
            and not any(place.is_file() for place in config_search_path(beside))
        ):
            without(result, report)
        else:
            chosen = {"aws_profile": profile, "aws_region": region}
            overrides = {key: value for key, value in chosen.items() if value} | dict(switched)
            path = find_config(yaml_path, beside)
            config = load_config(path, overrides=overrides, environ=os.environ)
            result.deployment = config.deployment_name
            report = Report(Style(as_json, verbose, quiet, no_color or config.no_color))
            log_to_file(config)
            result.warnings += shadowed_settings(path, overrides=overrides, environ=os.environ)
            report.problems(result.warnings, warning=True)
            work(config, result, report)
    except (KeyboardInterrupt, Interrupted):
        result.result = "interrupted"
        result.problems.append(
            Problem("interrupted", "Ctrl-C", "run the same command again: it goes on from here")
        )
    except Exception as error:  # noqa: BLE001 -- the last place that can tell the user
        _note_failure(result, error, before_first_write=not result.steps, verbose=verbose)
    result.seconds = round(time.monotonic() - began, 1)
    finish(result, report)
    report.problems(result.problems)
    report.document(result)
    return result.exit_code


def _note_failure(
    result: Result, error: Exception, *, before_first_write: bool, verbose: bool
) -> None:
    if verbose:
        traceback.print_exception(error)
    told = to_setup_error(error)
    result.fail(told)
    if before_first_write and result.result == "failed" and told is not error:
        result.result = "refused"


def _on_terminal() -> bool:
    """Say whether somebody can answer; Python has no stdin at all where it was closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def secret_prompt_function() -> commands.Ask | None:
    """Return the function that asks for a secret, unseen; None when there is no terminal."""
    if not _on_terminal():
        return None
    return lambda question: str(click.prompt(question, hide_input=True, err=True))


def prompt_function() -> commands.Ask | None:
    """Return the function that asks on the terminal, None when there is no terminal."""
    if not _on_terminal():
        return None
    return lambda question: str(click.prompt(question, default="", show_default=False, err=True))
