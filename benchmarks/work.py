"""The calls and the processor time of the scripts, as ratios to a straight line.

    python -m benchmarks.work [--runs 5] [--write]

Both sides run in turn, each in a new process, against one rehearsal cloud without delays; figures
are medians. --write puts the table into docs/performance.md, with the machine and the versions.
On a computer that does other work ratios stay meaningful, seconds do not.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from aws_setup.rehearsal.core.server import serve
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.vms.ec2_sync import sync_vms
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from benchmarks.processes import CREDENTIALS, ROOT, SCRIPT, Figure, measure, write_block
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

SOFTWARE = dict.fromkeys(
    ("start_zookeeper_cluster", "populate_zookeeper_cluster", "configure_clients"), True
)
"""The software that imitated machines have."""


def compare(runs: int) -> list[str]:
    """Return the rows of the table."""
    found: dict[str, list[tuple[Figure, Figure]]] = {name: [] for name, _, _ in PAIRS}
    starts: list[tuple[Figure, Figure]] = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(runs):
            # A new cloud for each run: AWS remembers the client tokens of what was deleted.
            with serve(Settings(speed=0)) as cloud:
                os.environ["AWS_ENDPOINT_URL"] = cloud.url
                folder = prepare(Path(name))
                if number == 0:  # compiles the modules, and asks for the prices of the day
                    measure([*SCRIPT, "plan", "--quiet", "--json"], folder, cloud)
                for title, script, floor in PAIRS:
                    scripts = measure([*SCRIPT, *script, "--quiet", "--json"], folder, cloud)
                    other = measure([*FLOOR, *floor, "researcher"], folder, cloud)
                    found[title].append((scripts, other))
            starts.append((measure([*SCRIPT, "--help"], folder), measure(CLICK, folder)))
    rows = [row(title, pairs) for title, pairs in found.items()]
    return [
        *rows,
        row("unchanged `create` with software on 10 machines (against without)", software(runs)),
        row("`--help` (against click alone)", starts),
    ]


def software(runs: int) -> list[tuple[Figure, Figure]]:
    """Return unchanged runs with software on the machines, and without, in turn.

    All ten machines are logged in to; ZooKeeper and the clients are inspected.
    """
    command = [*SCRIPT, "create", "--yes", "--quiet", "--json"]
    pairs = []
    with (
        serve(Settings(speed=0)) as cloud,
        tempfile.TemporaryDirectory() as name,
        InProcessVmPool(Path(name) / "vms") as machines,
        sync_vms(cloud, machines),
    ):
        os.environ["AWS_ENDPOINT_URL"] = cloud.url
        known = {"ssh_config_path": str(machines.ssh_config)}
        folder = prepare(Path(name) / "work", **SOFTWARE, **known)
        for _ in range(2):  # the first writes, the second compiles what an unchanged run imports
            measure(command, folder, cloud)
        for _ in range(runs):
            write_config(folder, **SOFTWARE, **known)
            with_software = measure(command, folder, cloud)
            write_config(folder)
            pairs.append((with_software, measure(command, folder, cloud)))
    return pairs


def row(title: str, pairs: Sequence[tuple[Figure, Figure]]) -> str:
    """Return one row: calls, writes, processor time and seconds, each with its ratio."""

    def cell(field: str, form: str) -> str:
        scripts, floor = (
            statistics.median(getattr(pair[side], field) for pair in pairs) for side in (0, 1)
        )
        ratio = f" ({scripts / floor:.1f}×)" if floor else ""
        return f"{scripts:{form}} / {floor:{form}}{ratio}"

    cells = [cell("calls", ".0f"), cell("writes", ".0f")]
    cells += [cell("processor", ".2f"), cell("seconds", ".2f")]
    return f"| {title} | {' | '.join(cells)} |"


def conditions(runs: int) -> str:
    """Return where and with what the figures were measured, and how busy the computer was."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"Medians of {runs}, script / straight line (ratio). {os.cpu_count()} cores, "
        f"{platform.machine()}, {platform.system()}; Python {platform.python_version()}, "
        f"boto3 {version('boto3')}, moto {version('moto')}. Load of the computer at the end: {load}"
        " (about 1 is this measurement alone; more makes seconds meaningless, calls not)."
    )


def main() -> None:
    """Print the table, or put it into the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"update {DOCUMENT.name}")
    options = parser.parse_args()
    os.environ.update(CREDENTIALS)
    head = "| | calls | of them writes | processor s | wall s |\n|---|---|---|---|---|"
    text = "\n".join([head, *compare(options.runs), "", conditions(options.runs)])
    print(text)
    if options.write:
        write_block(DOCUMENT, BEGIN, END, text)


if __name__ == "__main__":
    main()
