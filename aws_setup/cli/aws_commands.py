"""The verbs of the scripts on AWS, each over its table of steps; AWS is opened and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.price_store import PriceStore
from aws_setup.aws.run_lock import RunLock
from aws_setup.aws.session import Aws
from aws_setup.cli import commands
from aws_setup.cli.address_verdict import comparing_addresses
from aws_setup.cli.commands import ScriptRun
from aws_setup.cli.extend import check_duration
from aws_setup.cli.options import SharedOptions
from aws_setup.cli.prompts import prompt_function, secret_prompt_function
from aws_setup.cli.receipt_place import warn_of_another_place
from aws_setup.cli.run_lock import READING, new_lock, released, until_current
from aws_setup.cli.run_recorder import RunRecorder
from aws_setup.cli.script import Script
from aws_setup.config import Config
from aws_setup.config.lock_file import Lock, read_lock
from aws_setup.config.paths import prices_path
from aws_setup.engine.result import Result
from aws_setup.engine.wait import Clock, SystemClock
from aws_setup.errors import Refused
from aws_setup.infrastructure.ami_copies import with_copies
from aws_setup.report import Report
from aws_setup.ssh.keys import KeyRing


def _verb(module: str, function: str) -> Callable[[ScriptRun], None]:
    """Return a command whose module is imported when it runs: each needs others of its own."""

    def run(command: ScriptRun) -> None:
        getattr(import_module(f"aws_setup.cli.{module}"), function)(command)

    return run


COMMANDS: Mapping[str, Callable[[ScriptRun], None]] = {
    "create": commands.create,
    "configure": commands.create,
    "plan": commands.plan,
    "status": commands.status,
    "verify": _verb("verify", "verify"),
    "pause": _verb("pause", "pause"),
    "allow-my-ip": _verb("allow_my_ip", "allow_my_ip"),
    "resume": _verb("pause", "resume"),
    "extend": _verb("extend", "extend"),
    "destroy": _verb("destroy", "destroy"),
}
"""Verb -> its command."""


def run_verb(
    script: Script,
    verb: str,
    config: Config,
    options: SharedOptions,
    *,
    report: Report,
    result: Result,
    recorder: RunRecorder,
    no_wait: bool = False,
    reformat: bool = False,
    repeats: str | None = None,
    against: str | None = None,
    images: bool = False,
    duration: str | None = None,
    **flags: bool,
) -> None:
    """Run one verb of a script; the result names the account and counts the API calls.

    `flags` are those of ScriptRun.

    Raises:
        Refused: a lock file cannot be used, or the duration of extend is missing or wrong.
    """
    check_duration(verb, duration)
    clock = SystemClock()
    against_lock = read_lock(Path(against)) if against else None
    settings = ContextSettings(
        patient=not no_wait,
        reformat=reformat,
        repeats=read_lock(Path(repeats)) if repeats else None,
        remove_images=images,
    )
    with _session(config, recorder, result, clock=clock, report=report) as aws:
        lock = _lock(aws, config, verb, options, report)

        def attempt() -> None:
            with context_of(aws, config, clock, settings) as ctx:
                run = ScriptRun(
                    script=script,
                    story=script.story(),
                    ctx=ctx,
                    clock=clock,
                    report=report,
                    result=result,
                    recorder=recorder,
                    only=options.only,
                    yes=options.yes,
                    ask=prompt_function(),
                    lock=lock,
                    against=against_lock,
                    duration=duration or "",
                    **flags,
                )
                warn_of_another_place(run, verb)
                with comparing_addresses(result, lambda: ctx):
                    COMMANDS[verb](run)

        with released(lock):
            until_current(attempt, result, report)


def _lock(
    aws: Aws, config: Config, verb: str, options: SharedOptions, report: Report
) -> RunLock | None:
    if verb in READING:
        return None
    return new_lock(aws, config, verb, breaks=options.break_lock, report=report)


@contextmanager
def _session(
    config: Config,
    recorder: RunRecorder,
    result: Result,
    *,
    clock: SystemClock,
    report: Report,
) -> Iterator[Aws]:
    """Open AWS, note account and region, and close AWS and count its calls at the end."""
    aws = open_aws(config)
    aws.outages.note, aws.outages.stopped = report.message, clock.is_stopped
    aws.shared[PriceStore] = PriceStore(prices_path(config))
    aws.shared[KeyRing] = KeyRing(Path(config.ssh_key_path), ask=secret_prompt_function())
    try:
        recorder.region = aws.region
        result.account, result.region = aws.identity.account, aws.region
        result.more["arn"] = aws.identity.arn
        yield aws
    finally:
        result.api_calls = aws.calls
        aws.close()


@dataclass(frozen=True)
class ContextSettings:
    """What the options of the command line set in the context of a run."""

    patient: bool = True
    reformat: bool = False
    repeats: Lock | None = None
    remove_images: bool = False


@contextmanager
def context_of(
    aws: Aws, config: Config, clock: Clock, settings: ContextSettings
) -> Iterator[Context]:
    """Yield the context of one examination of AWS, and what follows from it."""
    config = with_copies(aws, config.with_amis_of(aws.region))
    if settings.repeats and config.create_vpc:
        from aws_setup.preflight.repeat import with_zones_of  # with what the checks share

        config = with_zones_of(aws, config, settings.repeats)
    ctx = Context(
        config=config,
        aws=aws,
        clock=clock,
        inventory=Inventory(aws, config),
        patient=settings.patient,
        reformat=settings.reformat,
        repeats=settings.repeats,
        remove_images=settings.remove_images,
    )
    try:
        yield ctx
    finally:
        ctx.inventory.close()


@contextmanager
def open_context(config: Config, clock: Clock) -> Iterator[Context]:
    """Open AWS, yield the context of a run, and close AWS."""
    aws = open_aws(config)
    try:
        with context_of(aws, config, clock, ContextSettings()) as ctx:
            yield ctx
    finally:
        aws.close()


def open_aws(config: Config) -> Aws:
    """Return the AWS session of the configuration.

    Raises:
        Refused: no such region, or the credentials belong to another account than aws_account_id.
    """
    aws = Aws(profile=config.aws_profile, region=config.aws_region)
    check_region(aws)
    aws.load_credentials()
    check_account(aws, config)
    return aws


def check_region(aws: Aws) -> None:
    """Raise Refused when no region is configured, or boto3 does not know it."""
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


def check_account(aws: Aws, config: Config) -> None:
    """Raise Refused when the credentials belong to another account than aws_account_id."""
    if config.aws_account_id and aws.identity.account != config.aws_account_id:
        raise Refused(
            "the credentials belong to another account than aws_account_id",
            "STS reports another account id",
            "use another profile, or correct aws_account_id",
        )
