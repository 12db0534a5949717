"""One side of a comparison: a command in a process of its own, its time, and the calls it makes."""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from aws_setup.rehearsal.core.server import RehearsalCloud

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = [sys.executable, str(ROOT / "create_aws_infrastructure.py")]
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_SETUP_PACE": "0",
}
"""The environment of every benchmark: the emulated cloud's credentials, and no pauses."""


@dataclass(frozen=True)
class Figure:
    """One process: seconds, seconds of processor time, calls, and how many of them write."""

    seconds: float
    processor: float
    calls: int = 0
    writes: int = 0


def measure(
    command: Sequence[str],
    folder: Path,
    cloud: RehearsalCloud | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Figure:
    """Run a command to its end, with compiled modules as on any computer at the second run.

    Args:
        command: the program and its arguments.
        folder: where it runs; its output is kept there.
        cloud: the cloud whose calls are counted.
        environment: all variables of the command; without it this process's and this checkout.

    Raises:
        RuntimeError: it failed.
    """
    before = len(cloud.calls) if cloud else 0
    log = folder / "output"
    own = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=kept | own if environment is None else dict(environment),
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {log.read_text()[-2000:]}")
    made = cloud.calls[before:] if cloud else []
    return Figure(
        seconds=time.monotonic() - began,
        processor=usage.ru_utime + usage.ru_stime,
        calls=len(made),
        writes=sum(not call.reads for call in made),
    )


def load() -> str:
    """Return how busy the computer is: about 1 is one measurement alone."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def conditions(program: str, runs: int, *packages: str) -> str:
    """Return with what, where and how often figures were measured, and how busy the computer was.

    Args:
        program: the benchmark's module.
        runs: how many of each side; the figures are medians.
        packages: distributions whose versions matter beside boto3's.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in ("boto3", *packages))
    return (
        f"Measured by `python -m {program}`: {runs} {'run' if runs == 1 else 'runs'}, medians. "
        f"{os.cpu_count()} cores ({processor()}), {platform.system()} {platform.release()}, "
        f"{platform.machine()}; Python {platform.python_version()}, {versions}. Load of the "
        f"computer at the end: {load()} (about 1 is this measurement alone; more makes seconds "
        "meaningless; calls, bytes and virtual time do not depend on it)."
    )


def processor() -> str:
    """Return the model of the processor, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), "") or platform.processor() or "unknown"


def each_more(points: Sequence[tuple[int, float]]) -> list[str]:
    """Return what each further unit costs since the point before: cells of a column, the first –.

    Args:
        points: number of units and the cost of all of them, the fewest units first.
    """
    slopes = [
        f"{(cost - before) / (count - fewer):.2f}"
        for (fewer, before), (count, cost) in itertools.pairwise(points)
    ]
    return ["–", *slopes][: len(points)]


def median_of(figures: Sequence[Figure]) -> Figure:
    """Return the medians of each field."""
    return Figure(
        statistics.median(it.seconds for it in figures),
        statistics.median(it.processor for it in figures),
        round(statistics.median(it.calls for it in figures)),
        round(statistics.median(it.writes for it in figures)),
    )


def write_block(document: Path, begin: str, end: str, text: str) -> None:
    """Replace what a document has between two comments, and nothing else.

    Raises:
        ValueError: it has not each of them once, in this order.
    """
    text_before = document.read_text(encoding="utf-8")
    before, _, rest = text_before.partition(begin)
    _, found, after = rest.partition(end)
    if not found or (text_before.count(begin), text_before.count(end)) != (1, 1):
        raise ValueError(f"{document} has not one block from {begin} to {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


class Paragraphs(argparse.HelpFormatter):
    """Folds each paragraph of a description by itself; a command line stays as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = []
        for part in text.strip().split("\n\n"):
            command = part.startswith("    ")
            filled.append(part if command else super()._fill_text(part, width, indent))
        return "\n\n".join(filled)


def command_line(about: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark, whose text names its command."""
    text = about or ""
    found = re.search(r"python -m [\w.]+", text)
    program = found.group() if found else None
    return argparse.ArgumentParser(prog=program, description=text, formatter_class=Paragraphs)


def publish(
    benchmark: Callable[[argparse.Namespace], Sequence[str]],
    document: Path,
    block: tuple[str, str],
    *,
    runs: int,
    about: str | None,
    add: Callable[[argparse.ArgumentParser], object] = lambda _: None,
) -> None:
    """Be the program of a benchmark: print its lines, or put them into the document, too.

    Args:
        benchmark: measures as its arguments say, `runs` times each side, and returns the lines.
        document: has the block.
        block: the comments before and after its lines.
        runs: how many without --runs.
        about: the help text.
        add: adds arguments of this benchmark alone.
    """
    parser = command_line(about)
    parser.add_argument("--runs", type=int, default=runs, help=f"of each side (default {runs})")
    add(parser)
    parser.add_argument("--write", action="store_true", help=f"update {document.name}")
    options = parser.parse_args()
    os.environ.update(CREDENTIALS)
    text = "\n".join(benchmark(options))
    print(text)
    if options.write:
        write_block(document, *block, text)
