"""One side of a comparison: a command in a process of its own, its time, and the calls it makes."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


def publish(
    benchmark: Callable[[int], Sequence[str]],
    document: Path,
    block: tuple[str, str],
    *,
    runs: int,
    about: str | None,
) -> None:
    """Be the program of a benchmark: print its lines, or put them into the document, too.

    Args:
        benchmark: measures so many runs of each side, and returns the lines.
        document: has the block.
        block: the comments before and after its lines.
        runs: how many without --runs.
        about: the help text.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--write", action="store_true", help=f"update {document.name}")
    options = parser.parse_args()
    os.environ.update(CREDENTIALS)
    text = "\n".join(benchmark(options.runs))
    print(text)
    if options.write:
        write_block(document, *block, text)
