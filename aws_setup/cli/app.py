"""A script as a click command: a verb, then options in any order."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aws_setup.cli.options import Command, SharedOptions, shared_options
from aws_setup.cli.script import Script
from aws_setup.cli.usage import OtherVerbsOption, UnexpectedWord, VerbChoice

if TYPE_CHECKING:
    from aws_setup.config import Config
    from aws_setup.engine.result import Result
    from aws_setup.report import Report


MOST_VERBS = 5
"""Verbs that fit the usage line of 80 columns; more are in the help text only."""


def script_command(script: Script, *, folder: Path) -> click.Command:
    """Return the click command of a script in `folder`: a verb, then options in any order."""

    @click.command(name=script.name, help=script.help, cls=Command)
    @click.argument(
        "verb",
        type=VerbChoice(script.verbs),
        default=script.verbs[0],
        metavar="[VERB]" if len(script.verbs) > MOST_VERBS else None,
    )
    @shared_options(only_metavar="STEP", only_help="This step and its needs (destroy: dependants).")
    def command(verb: str, **parameters: Any) -> None:
        _check_options(script, verb, parameters)
        options = SharedOptions.take(parameters)
        flags = {flag: parameters.pop(flag.parameter) for flag in script.flags}
        overrides = {
            flag.key: value if flag.metavar else flag.value
            for flag, value in flags.items()
            if value
        }
        sys.exit(_run(script, verb, options, folder, overrides=overrides, settings=parameters))

    _lock_options(command)
    if script.infrastructure:
        _infrastructure_options(command)
        # After the verb: click adds the parameters of a decorator that is applied later first.
        command.params.insert(1, click.Argument(["duration"], required=False, metavar="[DURATION]"))
    for flag in reversed(script.flags):
        kind: dict[str, Any] = {"metavar": flag.metavar} if flag.metavar else {"is_flag": True}
        click.option(flag.option, flag.parameter, help=flag.help, **kind)(command)
    return command


def _lock_options(command: click.Command) -> None:
    """Add the options that compare with a configuration or with a lock file."""
    against_text = "status: compare with this lock file of a deployment."
    click.option("--against", type=click.Path(), metavar="FILE", help=against_text)(command)
    diff_text = "plan: only what differs from the configuration."
    click.option("--diff", is_flag=True, help=diff_text)(command)
    from_text = "Repeat the deployment of this lock file."
    click.option("--from", "repeats", type=click.Path(), metavar="FILE", help=from_text)(command)


def _check_options(script: Script, verb: str, settings: Mapping[str, Any]) -> None:
    """Refuse what the verb does not read: ignored, the run would do something else than is meant.

    Raises:
        OtherVerbsOption: an option of another verb.
        UnexpectedWord: a duration, which only extend takes.
    """
    if verb != "extend" and settings.get("duration") is not None:
        raise UnexpectedWord(settings["duration"], why=f"{verb} takes none")
    first = script.verbs[0]
    readers = {
        "repeats": ("--from", (first, "plan")),
        "against": ("--against", ("status",)),
        "diff": ("--diff", ("plan",)),
        "reformat": ("--reformat", (first, "plan")),
        "deep": ("--deep", ("pause",)),
        "keep": ("--keep", ("allow-my-ip",)),
        "quick": ("--quick", ("verify",)),
        "images": ("--images", ("destroy",)),
        "no_wait": ("--no-wait", (first,)),
    }
    for parameter, (option, verbs) in readers.items():
        if settings.get(parameter) not in (None, False) and verb not in verbs:
            raise OtherVerbsOption(option, verbs, verb)


def _infrastructure_options(command: click.Command) -> None:
    """Add the options of the script for VMs and cluster."""
    help_text = "Reformat the file systems. DESTROYS ALL DATA."
    click.option("--reformat", is_flag=True, help=help_text)(command)
    deep_text = "pause: also delete the NAT gateway and its address."
    click.option("--deep", is_flag=True, help=deep_text)(command)
    keep_text = "allow-my-ip: keep the earlier addresses, too."
    click.option("--keep", is_flag=True, help=keep_text)(command)
    quick_text = "verify: only the checks that start no container."
    click.option("--quick", is_flag=True, help=quick_text)(command)
    images_text = "destroy: also delete the copied AMIs."
    click.option("--images", is_flag=True, help=images_text)(command)
    policy_text = "Print the IAM policy that this configuration needs, and end."
    click.option("--print-iam-policy", is_flag=True, help=policy_text)(command)
    click.option("--no-wait", is_flag=True, help="Do not wait for the EKS cluster.")(command)


def _run(
    script: Script,
    verb: str,
    options: SharedOptions,
    folder: Path,
    *,
    overrides: dict[str, Any],
    settings: dict[str, Any],
) -> int:
    """Run one verb and return its exit code; `settings` are the options of the infrastructure.

    The libraries for AWS, SSH and Kubernetes are imported once the configuration is accepted.
    """
    from aws_setup.cli.main import Invocation, run_guarded
    from aws_setup.cli.run_recorder import RunRecorder

    recorder = RunRecorder(script.name, verb, html=options.html)
    only_policy = settings.pop("print_iam_policy", False)

    def work(config: Config, result: Result, report: Report) -> None:
        if only_policy:
            from aws_setup.cli.print_policy import print_policy

            print_policy(config, result, report)
            return
        recorder.check(config)
        from aws_setup.cli.aws_commands import run_verb

        run_verb(
            script,
            verb,
            config,
            options,
            report=report,
            result=result,
            recorder=recorder,
            **settings,
        )

    invocation = Invocation(
        verb, options, folder, overrides, finish=recorder.finish, lock=settings["repeats"]
    )
    return run_guarded(invocation, work)
