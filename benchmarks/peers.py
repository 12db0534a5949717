"""The same resources with AWS's CLI and with Ansible: calls and processor time. Opt-in.

    python -m benchmarks.peers [--runs 1] [--write]

Each peer is installed from the package index into an environment of its own: `awscli`, and
`ansible`, which contains the collections amazon.aws and community.aws. Both run against the
emulated cloud without delays, in turn with the script and with benchmarks/floor.py. The peers make
what the straight line makes (benchmarks/peer_files): they check nothing before, and have no
deadline, lock, prices or plan. --write puts the table into docs/performance.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from benchmarks import floor
from benchmarks.processes import ROOT, SCRIPT, Figure, conditions, measure, median_of, publish
from benchmarks.setting_up import clean
from tests.support.scripts import prepare

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- peers: python -m benchmarks.peers --write -->", "<!-- end of peers -->"
FILES = ROOT / "benchmarks" / "peer_files"
KEY = "researcher"
PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"cli": ("awscli",), "ansible": ("ansible", "boto3")}
)
"""Environment -> what pip installs into it."""
NAMES = ("this script", "straight line", "AWS CLI in a shell script", "Ansible playbook")
"""The tools, as the table calls them."""
_VERSIONS = "import sys; from importlib.metadata import version as v; print(*map(v, sys.argv[1:]))"


@dataclass(frozen=True)
class Tool:
    """A tool: its commands for a fresh and for an unchanged run, and its own variables."""

    fresh: Sequence[str]
    unchanged: Sequence[str]
    environment: Mapping[str, str] | None = None


def names() -> dict[str, str]:
    """Return what create.sh and check.sh read, from the straight line's own constants."""
    return {
        "KEY": KEY,
        "ZONES": " ".join(floor.ZONES),
        "ADDRESSES": " ".join(floor.ADDRESSES),
        "NDB_AMIS": " ".join(floor.NDB_AMIS),
        "SINGLE_AMIS": " ".join(floor.SINGLE_AMIS),
        "ZOOKEEPER_AMI": floor.ZOOKEEPER_AMI,
        "SCALED": " ".join(floor.SCALED),
        "SCALED_AMI": floor.SCALED_AMI,
    }


def variables(python: Path) -> dict[str, object]:
    """Return the playbook's variables."""
    pairs = [{"name": f"ndb-{n}", "count": 2, "image": it} for n, it in enumerate(floor.NDB_AMIS)]
    single = [
        {"name": f"single-{n}", "count": 1, "image": it} for n, it in enumerate(floor.SINGLE_AMIS)
    ]
    zookeeper = [
        {"name": f"zookeeper-{n}", "count": 1, "image": floor.ZOOKEEPER_AMI, "address": it}
        for n, it in enumerate(floor.ADDRESSES)
    ]
    return {
        "key": KEY,
        "zones": floor.ZONES,
        "machines": [*pairs, *single, *zookeeper],
        "scaled": floor.SCALED,
        "scaled_image": floor.SCALED_AMI,
        "ansible_python_interpreter": str(python),
    }


def install(folder: Path) -> Mapping[str, Path]:
    """Install the peers; return the folder of programs of each."""
    programs = {}
    for name, packages in PACKAGES.items():
        measure([sys.executable, "-m", "venv", name], folder, environment=clean())
        programs[name] = folder / name / "bin"
        pip = [str(programs[name] / "python"), "-m", "pip", "install", "-q", *packages]
        measure(pip, folder, environment=clean())
    return programs


def versions(programs: Mapping[str, Path]) -> str:
    """Return what pip has installed, with its versions."""
    found = []
    for name, packages in PACKAGES.items():
        command = [str(programs[name] / "python"), "-c", _VERSIONS, *packages]
        text = subprocess.run(command, env=clean(), check=True, capture_output=True, text=True)
        pairs = zip(packages, text.stdout.split(), strict=True)
        found.append(" with ".join(f"{package} {number}" for package, number in pairs))
    return ", ".join(found)


def tools(programs: Mapping[str, Path], home: Path) -> dict[str, Tool]:
    """Return the tools by the names of their rows; the peers use no file of the user's home."""
    path = f"{programs['cli']}{os.pathsep}{os.environ['PATH']}"
    own = clean() | {"HOME": str(home), "ANSIBLE_REMOTE_TEMP": str(home / "ansible-modules")}
    shell = own | names() | {"PATH": path}
    extra = json.dumps(variables(programs["ansible"] / "python"))
    playbook = [str(programs["ansible"] / "ansible-playbook"), "-i", "localhost,", "-e", extra]
    playbook.append(str(FILES / "playbook.yaml"))
    straight = [sys.executable, "-m", "benchmarks.floor"]
    script = [*SCRIPT, "create", "--yes", "--quiet", "--json"]
    found = (
        Tool(script, script),
        Tool([*straight, "create", KEY], [*straight, "check", KEY]),
        Tool(["sh", str(FILES / "create.sh")], ["sh", str(FILES / "check.sh")], shell),
        Tool(playbook, playbook, own),
    )
    return dict(zip(NAMES, found, strict=True))


def runs_of(folder: Path, tool: Tool, cloud: RehearsalCloud) -> tuple[Figure, Figure]:
    """Return a fresh and an unchanged run of a tool."""
    fresh = measure(tool.fresh, folder, cloud, environment=tool.environment)
    return fresh, measure(tool.unchanged, folder, cloud, environment=tool.environment)


def compare(runs: int) -> list[str]:
    """Return the lines of the document."""
    found: dict[str, list[tuple[Figure, Figure]]] = {name: [] for name in NAMES}
    with temporary_folder() as folder:
        programs = install(folder)
        installed = versions(programs)
        for number in range(runs):
            for name in NAMES:
                # A cloud for each: what one has made is nothing that another one finds.
                with serve(Settings(speed=0)) as cloud:
                    os.environ["AWS_ENDPOINT_URL"] = cloud.url
                    work, tool = prepare(folder / f"{number} {name}"), tools(programs, folder)[name]
                    found[name].append(runs_of(work, tool, cloud))
    return [
        "| | fresh: calls | of them writes | processor s | wall s "
        "| unchanged: calls | of them writes | processor s | wall s |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(name, pairs) for name, pairs in found.items()),
        "",
        f"The peers: {installed}.",
        conditions("benchmarks.peers", runs, "moto"),
    ]


def row(name: str, pairs: Sequence[tuple[Figure, Figure]]) -> str:
    """Return the row of a tool."""
    cells = []
    for side in (0, 1):
        found = median_of([pair[side] for pair in pairs])
        cells += [str(found.calls), str(found.writes)]
        cells += [f"{found.processor:.1f}", f"{found.seconds:.1f}"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table, or write it."""
    publish(lambda given: compare(given.runs), DOCUMENT, (BEGIN, END), runs=1, about=__doc__)


if __name__ == "__main__":
    main()
