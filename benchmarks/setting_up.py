"""Setting up: pip's seconds and the size of an environment, then the README's first command.

    python -m benchmarks.setting_up [--runs 1] [--write]

Each environment is made anew in a temporary folder, with pip's cache off, from the package index
that pip is configured for. The seconds of a download depend on that index and on the network, the
processor time and the size do not. --write puts the tables into docs/performance.md.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aws_setup.engine.temporary_files import temporary_folder
from benchmarks.processes import ROOT, Figure, conditions, measure, median_of, publish

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN = "<!-- setting up: python -m benchmarks.setting_up --write -->"
END = "<!-- end of setting up -->"
OURS = "`requirements-rehearsal.txt`"
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "`click` and `boto3` alone": ("click", "boto3"),
        "AWS's own CLI, `awscli`": ("awscli",),
        OURS: ("-r", str(ROOT / "requirements-rehearsal.txt")),
        "`requirements-dev.txt`": ("-r", str(ROOT / "requirements-dev.txt")),
    }
)
"""What is installed -> the arguments of pip."""
MOST_SECONDS, MOST_MB, MOST_FIRST = 45, 350, 60
"""The goals: pip for the rehearsal, its size, and the rehearsal itself."""
FIRST = ("-m", "aws_setup.rehearsal")


@dataclass(frozen=True)
class Environment:
    """A virtual environment: what pip took, and its size in MB of 1,000,000 bytes."""

    pip: Figure
    megabytes: float


def clean() -> dict[str, str]:
    """Return the variables of a user's shell: none that change Python or find this checkout."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}


def install(folder: Path, arguments: Sequence[str]) -> Environment:
    """Make an environment in `folder`, which must not exist, and install into it."""
    folder.mkdir()
    python = folder / "venv" / "bin" / "python"
    measure([sys.executable, "-m", "venv", "venv"], folder, environment=clean())
    pip = [str(python), "-m", "pip", "install", "-q", "--no-cache-dir", *arguments]
    figure = measure(pip, folder, environment=clean())
    files = (path for path in (folder / "venv").rglob("*") if not path.is_symlink())
    size = sum(path.stat().st_size for path in files if path.is_file())
    return Environment(figure, size / 1e6)


def table(found: Mapping[str, Sequence[Environment]]) -> list[str]:
    """Return the table: medians, and each as a multiple of the first environment's."""
    rows = [
        "| a fresh environment with | pip, s | processor s | MB | of the first row | goal |",
        "|---|---|---|---|---|---|",
    ]
    least: tuple[float, ...] = ()
    for name, all_of in found.items():
        pip = median_of([one.pip for one in all_of])
        megabytes = statistics.median(one.megabytes for one in all_of)
        cells = (pip.seconds, pip.processor, megabytes)
        least = least or cells
        ratios = ", ".join(f"{cell / first:.1f}×" for cell, first in zip(cells, least, strict=True))
        goal = f"≤ {MOST_SECONDS} s, ≤ {MOST_MB} MB" if name == OURS else "none"
        rows.append(f"| {name} | {' | '.join(f'{it:.0f}' for it in cells)} | {ratios} | {goal} |")
    return rows


def verdicts(ours: Sequence[Environment], first: Sequence[Figure]) -> list[str]:
    """Return a sentence for each goal, and whether it is reached."""
    reached = [
        ("pip", statistics.median(one.pip.seconds for one in ours), MOST_SECONDS, "s"),
        ("size", statistics.median(one.megabytes for one in ours), MOST_MB, "MB"),
        ("rehearsal", statistics.median(one.seconds for one in first), MOST_FIRST, "s"),
    ]
    return [
        f"- {'Reached' if value <= most else 'Missed'}: {name} {value:.0f} {unit}, "
        f"goal ≤ {most} {unit}."
        for name, value, most, unit in reached
    ]


def compare(runs: int) -> list[str]:
    """Return the lines of the document."""
    found: dict[str, list[Environment]] = {name: [] for name in ENVIRONMENTS}
    first: list[Figure] = []
    for _ in range(runs):
        for name, arguments in ENVIRONMENTS.items():
            with temporary_folder() as temporary:
                folder = temporary / "user"
                found[name].append(install(folder, arguments))
                if name == OURS:
                    python = str(folder / "venv" / "bin" / "python")
                    for part in ("aws_setup", *(path.name for path in ROOT.glob("*.py"))):
                        copy(ROOT / part, folder / part)
                    first.append(measure([python, *FIRST], folder, environment=clean()))
    wall = statistics.median(one.seconds for one in first)
    processor = statistics.median(one.processor for one in first)
    return [
        *table(found),
        "",
        f"Then `python -m aws_setup.rehearsal`: {wall:.0f} s, of them {processor:.0f} s of "
        "processor time with its scripts and servers.",
        "",
        *verdicts(found[OURS], first),
        "",
        conditions("benchmarks.setting_up", runs, "pip"),
    ]


def copy(source: Path, target: Path) -> None:
    """Copy a part of the checkout without compiled modules, as a clone has none."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def main() -> None:
    """Print the table, or write it."""
    publish(lambda given: compare(given.runs), DOCUMENT, (BEGIN, END), runs=1, about=__doc__)


if __name__ == "__main__":
    main()
