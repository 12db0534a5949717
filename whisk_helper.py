#!/usr/bin/env python3
"""Creates, updates, verifies and deletes the serverless NameNodes in OpenWhisk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_setup.cli.installed import required

with required("whisk"):
    import click

    from aws_setup.cli.options import Command, SharedOptions, shared_options
    from aws_setup.namenodes.request import DEFAULT_JAR, MEMORY, parse_request

if TYPE_CHECKING:
    from aws_setup.config import Config
    from aws_setup.engine.result import Result
    from aws_setup.report import Report

MAIN_CLASS = "org.apache.hadoop.hdfs.serverless.OpenWhiskHandler"

OPTIONS = [
    click.option(
        "-n",
        "--num-functions",
        "number",
        type=int,
        default=-1,
        metavar="N",
        help="Number of actions.",
    ),
    click.option(
        "-s", "--starting-index", "start", default=0, metavar="I", help="First index (0)."
    ),
    click.option(
        "-e", "--ending-index", "end", default=-1, metavar="I", help="Index after the last."
    ),
    click.option("-p", "--prefix", default="namenode", help="Names are PREFIX0, PREFIX1, …"),
    click.option(
        "-c", "--concurrency", default=1, metavar="N", help="Requests of a container at a time (1)."
    ),
    click.option("--create", is_flag=True, help="Create new actions."),
    click.option("--update", is_flag=True, help="Update actions; create missing ones."),
    click.option("--sync", is_flag=True, help="Create missing actions, update different ones."),
    click.option("--list", "list_", is_flag=True, help="List the actions of the prefix."),
    click.option("--verify", is_flag=True, help="Check every action; nothing is changed."),
    click.option("--delete", is_flag=True, help="Delete the actions."),
    click.option(
        "--memory",
        default=MEMORY,
        metavar="MB",
        help="Memory limit in MB (openwhisk_action_memory of the configuration; without one 256).",
    ),
    click.option(
        "-m", "--main-class", "main", default=MAIN_CLASS, metavar="CLASS", help="Handler class."
    ),
    click.option("-j", "--path", "jar", default=DEFAULT_JAR, help="Jar; also s3:// and ssh://."),
    click.option(
        "-k", "--kind", default="generic-namenode:10", help="Runtime (generic-namenode:10)."
    ),
    click.option("--plan", is_flag=True, help="Only show what the run would do."),
    click.option("--prune", is_flag=True, help="With --sync: delete the prefix's other actions."),
    click.option("--limits-only", is_flag=True, help="Only memory and concurrency, no upload."),
    click.option(
        "--configure-jar",
        is_flag=True,
        help="Upload a copy of the jar whose configuration fits this deployment.",
    ),
    click.option(
        "--from",
        "from",
        type=click.Path(),
        default="",
        metavar="FILE",
        help="Repeat the NameNodes of this lock file.",
    ),
    click.option("--force", is_flag=True, help="Send actions that are up to date, too."),
    click.option("--invoke", is_flag=True, help="With --verify: invoke each action once."),
    click.option(
        "--timeout",
        type=click.FloatRange(1),
        default=300,
        metavar="S",
        help="Seconds for each action, retries included (300).",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(1, 64),
        default=4,
        metavar="N",
        help="Uploads at a time (4).",
    ),
    click.option("--apihost", default="", metavar="HOST", help="OpenWhisk's API host."),
    click.option("--auth", default="", metavar="KEY", help="Its key; better: WHISK_AUTH."),
    click.option("-i", "--insecure", is_flag=True, help="Do not verify the certificate."),
    click.option(
        "--tunnel",
        type=click.Choice(["cluster", "vm"]),
        is_flag=False,
        flag_value="cluster",
        help="Reach an internal load balancer through the cluster's API or the client VM.",
    ),
]


def whisk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of this script, the original's first."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command(name="whisk_helper.py", cls=Command)
@whisk_options
@shared_options(only_metavar="NAME", only_help="Of the selected actions only this one.")
@click.pass_context
def main(ctx: click.Context, /, **parameters: Any) -> None:
    """Create, update, verify and delete the serverless NameNodes in OpenWhisk.

    For example: -n 20 --create --memory 20000 --concurrency 4
    """
    from aws_setup.cli.main import Invocation, run_guarded
    from aws_setup.cli.run_recorder import RunRecorder

    default = click.core.ParameterSource.DEFAULT
    defaulted = frozenset(n for n in parameters if ctx.get_parameter_source(n) is default)
    options = SharedOptions.take(parameters)
    recorder = RunRecorder("whisk_helper.py", "whisk", html=options.html)

    def work(config: Config | None, result: Result, report: Report) -> None:
        memory = config.openwhisk_action_memory if config else None
        request = parse_request(parameters, defaulted=defaulted, config_memory=memory)
        recorder.check(config)
        from aws_setup.cli.namenodes import run_request

        run_request(request, config, options, result=result, report=report, recorder=recorder)

    invocation = Invocation(
        "whisk",
        options,
        Path(__file__).resolve().parent,
        config_optional=True,
        without_config=lambda result, report: work(None, result, report),
        finish=recorder.finish,
        lock=parameters["from"] or None,
    )
    sys.exit(run_guarded(invocation, work))


if __name__ == "__main__":
    with required("whisk"):
        main()
