"""What the demo runs: its command-line options, checked before the start, and its steps."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

from aws_setup.engine.file_errors import file_problem
from aws_setup.errors import Refused
from aws_setup.report.page import check_target

DEFAULT_SPEED = 100.0
"""How many times faster than real time the demo runs by default."""

MIN_SPEED, MAX_SPEED = 0.001, 1000.0
"""The scripts multiply their pauses by at most 1000; beyond the maximum, polling has no pauses."""


class InvalidInput(Exception):
    """Invalid input; the text is one line that names the problem."""


@dataclass(frozen=True)
class DemoOptions:
    """The demo's options."""

    speed: float = DEFAULT_SPEED
    port: int = 0
    keep: bool = False
    imitate: bool = False
    chaos: int | None = None
    html: Path | None = None


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to a command line."""
    parser.add_argument(
        "--speed",
        type=float,
        default=DEFAULT_SPEED,
        metavar="X",
        help="how many times faster than AWS (default %(default)g; 1 is real time)",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port of the emulated AWS (default: any free port)"
    )
    parser.add_argument(
        "--chaos",
        type=int,
        metavar="SEED",
        help="inject random faults of every kind, drawn from this seed; the demo still succeeds",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a report that can be read offline: architecture, timelines, costs, steps",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the temporary folder with logs and keys"
    )
    parser.add_argument(
        "--imitate-machines",
        dest="imitate",
        action="store_true",
        help="imitate the machines even where real ones can run",
    )


def check_options(arguments: argparse.Namespace) -> DemoOptions:
    """Return the options; raises InvalidInput for values that are not possible."""
    speed = arguments.speed
    if not (math.isfinite(speed) and MIN_SPEED <= speed <= MAX_SPEED):
        raise InvalidInput(
            f"--speed {speed:g}: must be a number from {MIN_SPEED:g} to {MAX_SPEED:g}, "
            f"such as {DEFAULT_SPEED:g}, or 1 for real time"
        )
    check_port(arguments.port)
    if arguments.html is not None:
        _check_report(arguments.html)
    options = DemoOptions(
        speed=speed, port=arguments.port, keep=arguments.keep, imitate=arguments.imitate
    )
    return replace(options, chaos=arguments.chaos, html=arguments.html)


def _check_report(path: Path) -> None:
    """Reject a report that could not be written at the end."""
    try:
        check_target(path)
    except Refused as error:
        raise InvalidInput(f"--html: {error}") from error


def check_port(port: int) -> None:
    """Reject a number that is not a port."""
    if not 0 <= port <= 65535:
        raise InvalidInput(f"--port {port}: must be a number from 0 to 65535")


def start_error(error: OSError, port: int) -> InvalidInput:
    """Return why the cloud cannot start: a file that cannot be used, else its port."""
    problem = file_problem(error)
    if problem:
        return InvalidInput(f"{problem.what}: {problem.why}")
    what = f"port {port}" if port else "the emulated AWS cannot start"
    return InvalidInput(f"{what}: {error.strerror or error}")


CREATE_SCRIPT = "create_aws_infrastructure.py"
CONFIGURE_SCRIPT = "configure_eks_cluster.py"
WHISK_SCRIPT = "whisk_helper.py"

ACTIONS = ("-n", "20", "--memory", "20000", "-c", "4", "-j", "namenode.jar")


@dataclass(frozen=True)
class DemoStep:
    """One command of a script, and what it must do.

    An `unchanged` step finds everything in the desired state and writes nothing to AWS, Kubernetes
    or OpenWhisk. A `new_jar` is built before its step. A `complete` step needs every program of
    λFS on the VMs.
    """

    title: str
    script: str
    words: tuple[str, ...]
    unchanged: bool = False
    new_jar: bool = False
    complete: bool = False

    @property
    def command_line(self) -> str:
        """The command line as a user types it."""
        return " ".join(("python", self.script, *self.words))

    @property
    def short_name(self) -> str:
        """The script and its verb."""
        verb = next(word for word in self.words if word not in ACTIONS)
        return f"{self.script} {verb}"


DEMO_STEPS = (
    DemoStep("Plan: what would be created", CREATE_SCRIPT, ("plan",), unchanged=True),
    DemoStep("Create the infrastructure", CREATE_SCRIPT, ("create", "--yes")),
    DemoStep("Install OpenWhisk on the cluster", CONFIGURE_SCRIPT, ("configure", "--yes")),
    DemoStep("Create the NameNode actions", WHISK_SCRIPT, ("--create", *ACTIONS)),
    DemoStep("Run again: nothing to do", CREATE_SCRIPT, ("create", "--yes"), unchanged=True),
    DemoStep("Run again: nothing to do", CONFIGURE_SCRIPT, ("configure", "--yes"), unchanged=True),
    DemoStep("Run again: nothing to do", WHISK_SCRIPT, ("--create", *ACTIONS), unchanged=True),
    DemoStep("Update the NameNodes: new jar", WHISK_SCRIPT, ("--update", *ACTIONS), new_jar=True),
    DemoStep("Status", CREATE_SCRIPT, ("status",), unchanged=True),
    DemoStep("Status", CONFIGURE_SCRIPT, ("status",), unchanged=True),
    DemoStep("Status", WHISK_SCRIPT, ("--verify", *ACTIONS), unchanged=True),
    DemoStep("Does λFS work?", CREATE_SCRIPT, ("verify",), complete=True),
    DemoStep("Delete everything", CREATE_SCRIPT, ("destroy", "--yes")),
)
"""The demo's steps, in order."""
