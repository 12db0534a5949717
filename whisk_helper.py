"""Registers, updates, checks and removes the serverless NameNodes in OpenWhisk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aws_setup.cli import whisk_setup
from aws_setup.cli.app import Command, prompt_function, run_guarded, shared_options
from aws_setup.cli.run_recorder import RunRecorder
from aws_setup.cli.whisk_setup import Options
from aws_setup.config import Config
from aws_setup.engine.result import Result
from aws_setup.namenodes.jar import DEFAULT_JAR
from aws_setup.report import Report

MAIN_CLASS = "org.apache.hadoop.hdfs.serverless.OpenWhiskHandler"

OPTIONS = [
    click.option(
        "-n", "--num-functions", "number", type=int, default=-1, metavar="N", help="How many."
    ),
    click.option("-s", "--starting-index", "start", default=0, metavar="I", help="First one (0)."),
    click.option("-e", "--ending-index", "end", default=-1, metavar="I", help="One past the last."),
    click.option("-p", "--prefix", default="namenode", help="Names are PREFIX0, PREFIX1, …"),
    click.option("-c", "--concurrency", default=1, metavar="N", help="Limit per container (1)."),
    click.option("--create", is_flag=True, help="Make new actions."),
    click.option("--update", is_flag=True, help="Change actions; missing ones are made."),
    click.option("--sync", is_flag=True, help="Make what is missing, change what differs."),
    click.option("--list", "list_", is_flag=True, help="Show the actions of the prefix."),
    click.option("--verify", is_flag=True, help="Check every action, without changing any."),
    click.option("--delete", is_flag=True, help="Delete the actions."),
    click.option("--memory", default=256, metavar="MB", help="Memory limit in MB (256)."),
    click.option(
        "-m", "--main-class", "main", default=MAIN_CLASS, metavar="CLASS", help="Handler."
    ),
    click.option("-j", "--path", "jar", default=DEFAULT_JAR, help="Jar; also s3:// and ssh://."),
    click.option("-k", "--kind", default="generic-namenode:10", help="Or generic-namenode:5."),
    click.option("--plan", is_flag=True, help="Only show what would be done."),
    click.option("--prune", is_flag=True, help="With --sync: delete the prefix's other actions."),
    click.option("--limits-only", is_flag=True, help="Only memory and concurrency, no upload."),
    click.option("--force", is_flag=True, help="Send also what is already right."),
    click.option("--invoke", is_flag=True, help="With --verify: start each action once."),
    click.option(
        "--timeout",
        type=click.FloatRange(1),
        default=300,
        metavar="S",
        help="Seconds until an action is given up, repeats included (300).",
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
    click.option("-i", "--insecure", is_flag=True, help="Do not check the certificate."),
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
@shared_options
@click.pass_context
def main(ctx: click.Context, /, **given: Any) -> None:
    """Register, update, check and remove the serverless NameNodes in OpenWhisk.

    For example: -n 20 --create --memory 20000 --concurrency 4
    """
    left_out = {
        name
        for name in given
        if ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT
    }
    options = Options(given=given, left_out=frozenset(left_out))
    keeper = RunRecorder("whisk_helper.py", "whisk")

    def work(config: Config | None, result: Result, report: Report) -> None:
        whisk_setup.run(
            options, config, result=result, report=report, ask=prompt_function(), keeper=keeper
        )

    sys.exit(
        run_guarded(
            "whisk",
            work,
            beside=Path(__file__).resolve().parent,
            without=lambda result, report: work(None, result, report),
            finish=keeper.finish,
            **given,
        )
    )


if __name__ == "__main__":
    main()
