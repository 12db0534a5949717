"""The calls and the processor time of the scripts, as ratios to a straight line.

    python -m benchmarks.work [--runs 5] [--write]

Both sides run in turn, each in a new process, against one rehearsal cloud without delays; figures
are medians. --write puts the table into docs/performance.md, with the machine and the versions.
On a computer that does other work ratios stay meaningful, seconds do not.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.core.server import serve
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.vms.ec2_sync import sync_vms
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from benchmarks.processes import ROOT, SCRIPT, Figure, conditions, measure, publish
from tests.support.scripts import prepare, write_config

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: python -m benchmarks.work --write -->", "<!-- end of the figures -->"
FLOOR = [sys.executable, "-m", "benchmarks.floor"]
CLICK = [sys.executable, "-c", "import click; click.Command('x').main(['--help'])"]
PAIRS = (
    ("fresh `create`", ("create", "--yes"), ("create",)),
    ("unchanged `create`", ("create", "--yes"), ("check",)),
    ("`destroy`", ("destroy", "--yes"), ("destroy",)),
)
"""What is compared: the script's arguments and those of the straight line."""
WITH_SOFTWARE = "unchanged `create` with software on 10 machines (against without)"
HELP = "`--help` (against click alone)"


@dataclass(frozen=True)
class Goal:
    """What a row has to reach: at most a ratio or a value of one field; `why` if it is missed."""

    field: str
    most: float
    is_ratio: bool = True
    why: str = ""

    def __str__(self) -> str:
        """Return the goal as the table shows it."""
        unit = "×" if self.is_ratio else " s"
        return f"{NAMES[self.field]} ≤ {self.most:g}{unit}"


NAMES: Mapping[str, str] = MappingProxyType(
    {"calls": "calls", "writes": "writes", "processor": "processor", "seconds": "wall"}
)
"""Field of a figure -> how the table calls it."""
GOALS: Mapping[str, tuple[Goal, ...]] = MappingProxyType(
    {
        "fresh `create`": (
            Goal("processor", 2, why="most of the difference is imports and preflight checks"),
            Goal("writes", 1, why="the table below names each further write"),
        ),
        "unchanged `create`": (
            Goal("processor", 1.3, why="two thirds are imports"),
            Goal("seconds", 1.3, why="two thirds are imports"),
        ),
        WITH_SOFTWARE: (Goal("seconds", 2, why="the machines answer slowly"),),
        HELP: (Goal("seconds", 0.35, is_ratio=False, why="--help imports more than click"),),
    }
)
"""Row -> its goals."""

SOFTWARE = dict.fromkeys(
    ("start_zookeeper_cluster", "populate_zookeeper_cluster", "configure_clients"), True
)
"""The software that imitated machines have."""


def compare(runs: int) -> dict[str, Pairs]:
    """Return the rows' titles with what was measured."""
    found: dict[str, list[tuple[Figure, Figure]]] = {name: [] for name, _, _ in PAIRS}
    starts: list[tuple[Figure, Figure]] = []
    with temporary_folder() as temporary:
        for number in range(runs):
            # A new cloud for each run: AWS remembers the client tokens of what was deleted.
            with serve(Settings(speed=0)) as cloud:
                os.environ["AWS_ENDPOINT_URL"] = cloud.url
                folder = prepare(temporary)
                if number == 0:  # compiles the modules, and asks for the prices of the day
                    measure([*SCRIPT, "plan", "--quiet", "--json"], folder, cloud)
                for title, script, floor in PAIRS:
                    scripts = measure([*SCRIPT, *script, "--quiet", "--json"], folder, cloud)
                    other = measure([*FLOOR, *floor, "researcher"], folder, cloud)
                    found[title].append((scripts, other))
            starts.append((measure([*SCRIPT, "--help"], folder), measure(CLICK, folder)))
    return {**found, WITH_SOFTWARE: software(runs), HELP: starts}


def software(runs: int) -> list[tuple[Figure, Figure]]:
    """Return unchanged runs with software on the machines, and without, in turn.

    All ten machines are logged in to; ZooKeeper and the clients are inspected.
    """
    command = [*SCRIPT, "create", "--yes", "--quiet", "--json"]
    pairs = []
    with (
        serve(Settings(speed=0)) as cloud,
        temporary_folder() as temporary,
        InProcessVmPool(temporary / "vms") as machines,
        sync_vms(cloud, machines),
    ):
        os.environ["AWS_ENDPOINT_URL"] = cloud.url
        known = {"ssh_config_path": str(machines.ssh_config)}
        folder = prepare(temporary / "work", **SOFTWARE, **known)
        for _ in range(2):  # the first writes, the second compiles what an unchanged run imports
            measure(command, folder, cloud)
        for _ in range(runs):
            write_config(folder, **SOFTWARE, **known)
            with_software = measure(command, folder, cloud)
            write_config(folder)
            pairs.append((with_software, measure(command, folder, cloud)))
    return pairs


Pairs = Sequence[tuple[Figure, Figure]]
"""Runs of the script and of the straight line, in turn."""


def medians(pairs: Pairs, field: str) -> tuple[float, float]:
    """Return the medians of a field: of the script, and of the straight line."""
    script, floor = ([getattr(pair[side], field) for pair in pairs] for side in (0, 1))
    return statistics.median(script), statistics.median(floor)


def row(title: str, pairs: Pairs) -> str:
    """Return one row: calls, writes, processor time and seconds, each with its ratio; the goal."""

    def cell(field: str, form: str) -> str:
        script, floor = medians(pairs, field)
        ratio = f" ({script / floor:.1f}×)" if floor else ""
        return f"{script:{form}} / {floor:{form}}{ratio}"

    cells = [cell("calls", ".0f"), cell("writes", ".0f")]
    cells += [cell("processor", ".2f"), cell("seconds", ".2f")]
    cells += [", ".join(map(str, GOALS.get(title, ()))) or "none"]
    return f"| {title} | {' | '.join(cells)} |"


def missed(title: str, pairs: Pairs) -> list[str]:
    """Return a sentence for each goal that a row misses."""
    found = []
    for goal in GOALS.get(title, ()):
        script, floor = medians(pairs, goal.field)
        reached = script / floor if goal.is_ratio and floor else script
        if round(reached, 2) > goal.most:
            unit = "×" if goal.is_ratio else " s"
            found.append(f"- Missed: {title}, {goal}: it is {reached:.2f}{unit}; {goal.why}.")
    return found


def table(runs: int) -> list[str]:
    """Return the lines of the document."""
    measured = compare(runs)
    missing = [line for title, pairs in measured.items() for line in missed(title, pairs)]
    return [
        "| | calls | of them writes | processor s | wall s | goal |",
        "|---|---|---|---|---|---|",
        *(row(title, pairs) for title, pairs in measured.items()),
        "",
        *(missing or ["All goals are reached."]),
        "",
        "Each cell is script / straight line (ratio).",
        conditions("benchmarks.work", runs, "moto"),
    ]


def main() -> None:
    """Print the table, or write it."""
    publish(lambda given: table(given.runs), DOCUMENT, (BEGIN, END), runs=5, about=__doc__)


if __name__ == "__main__":
    main()
