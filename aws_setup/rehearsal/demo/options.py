"""What the story's command line asks for, checked before anything is started."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

from aws_setup.errors import Refused
from aws_setup.report.page import check_target

DEFAULT_SPEED = 60.0
"""How many times faster than real, unless the user says otherwise."""

MIN_SPEED, MAX_SPEED = 0.001, 1000.0
"""The scripts multiply their pauses by 1000 at most; faster than this the polls are no pauses."""


class InvalidInput(Exception):
    """One line that says what is wrong with the input."""


@dataclass(frozen=True)
class DemoOptions:
    """The story's options."""

    speed: float = DEFAULT_SPEED
    port: int = 0
    keep: bool = False
    imitate: bool = False
    chaos: int | None = None
    html: Path | None = None


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command line."""
    parser.add_argument(
        "--speed",
        type=float,
        default=DEFAULT_SPEED,
        metavar="X",
        help="how many times faster than AWS (default %(default)g; 1 is real time)",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="the cloud's port (default: a free one)"
    )
    parser.add_argument(
        "--chaos",
        type=int,
        metavar="SEED",
        help="let faults of every kind happen, drawn from this number; it must still end well",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page about it, to be read offline: architecture, timelines, costs, steps",
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder, with logs and keys")
    parser.add_argument(
        "--imitate-machines",
        dest="imitate",
        action="store_true",
        help="imitate the machines even where real ones can run",
    )


def check_options(given: argparse.Namespace) -> DemoOptions:
    """Return the options; raises BadInput for what cannot be."""
    if not (math.isfinite(given.speed) and MIN_SPEED <= given.speed <= MAX_SPEED):
        raise InvalidInput(
            f"--speed {given.speed:g}: it is a number from {MIN_SPEED:g} to {MAX_SPEED:g}, "
            "such as 60 or, for real time, 1"
        )
    check_port(given.port)
    if given.html is not None:
        _check_report(given.html)
    chosen = DemoOptions(speed=given.speed, port=given.port, keep=given.keep, imitate=given.imitate)
    return replace(chosen, chaos=given.chaos, html=given.html)


def _check_report(path: Path) -> None:
    """Refuse a report that could not be written at the end."""
    try:
        check_target(path)
    except Refused as error:
        raise InvalidInput(f"--html: {error}") from error


def check_port(port: int) -> None:
    """Refuse a number that is no port."""
    if not 0 <= port <= 65535:
        raise InvalidInput(f"--port {port} is not a port: it is a number from 0 to 65535")
