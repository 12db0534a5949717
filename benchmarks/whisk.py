"""What each further NameNode costs whisk_helper.py: time, memory and requests for N actions.

    python -m benchmarks.whisk [20 200 1000] [--runs 1] [--write]

Writes a jar of 25 MiB, starts the stand-in OpenWhisk, and runs the script from its command line: a
first --create, the same again, an --update with other limits, and an --update with another jar.
The figures are those of the script alone; the last column is the processor time of one more
NameNode, which has to stay the same. --write puts the table into docs/whisk.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aws_setup.engine.temporary_files import temporary_folder
from benchmarks.processes import ROOT, conditions, each_more, publish

DOCUMENT = ROOT / "docs" / "whisk.md"
BEGIN, END = "<!-- whisk: python -m benchmarks.whisk --write -->", "<!-- end of whisk -->"
HEAD = (
    "| N | run | wall s | processor s | peak MiB | PUTs | requests | processor ms for each more |"
)
MIB = 1024 * 1024
MEBIBYTES = 25
"""Size of the jar; docs/whisk.md states it."""

MOST_TWICE = 100
"""Actions up to which the second jar is sent, too; more take minutes without new information."""

CLASS = "org/apache/hadoop/hdfs/serverless/OpenWhiskHandler.class"


@dataclass(frozen=True)
class Figure:
    """One run: seconds, processor seconds and peak memory (MiB) of the script, requests."""

    seconds: float
    processor: float
    peak: float
    puts: int
    requests: int


def make_jar(path: Path, *, mebibytes: int, seed: int) -> None:
    """Write a jar of incompressible bytes.

    In small pieces: the peak memory of a child process includes the memory of this process at the
    fork.
    """
    chance = random.Random(seed)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(CLASS, b"\xca\xfe\xba\xbe")
        with archive.open("filling", "w") as filling:
            for _ in range(mebibytes):
                filling.write(chance.randbytes(MIB))


@contextmanager
def openwhisk(*, tls: bool) -> Iterator[dict[str, str]]:
    """Run the stand-in OpenWhisk; yield an environment with its address and key."""
    command = [sys.executable, "-m", "aws_setup.rehearsal.openwhisk", *(["--tls"] if tls else [])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        output = process.stdout.readline().removeprefix("export ").split()
        try:
            yield os.environ | dict(item.split("=", 1) for item in output)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def counts(environment: dict[str, str]) -> dict[str, int]:
    """Return how many requests of each method the stand-in has received."""
    url = environment["WHISK_APIHOST"] + "/rehearsal/requests"
    context = None
    if url.startswith("https"):
        import ssl

        context = ssl._create_unverified_context()
    with urllib.request.urlopen(url, context=context) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def run(environment: dict[str, str], *arguments: str) -> Figure:
    """Run the script and return its figures; raises RuntimeError when it fails."""
    before = counts(environment)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "whisk_helper.py"), *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {' '.join(arguments)}")
    after = counts(environment)
    return Figure(
        seconds=seconds,
        processor=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss / 1024,
        puts=after.get("PUT", 0) - before.get("PUT", 0),
        requests=sum(after.values()) - sum(before.values()) - 1,
    )


def runs_of(number: int, first: str, other: str, base: Sequence[str]) -> dict[str, list[str]]:
    """Return the runs by their names in the table, in their order."""
    count = ["-n", str(number), *base]
    create, update = [*count, "--create"], [*count, "--update"]
    found = {
        "nothing to `--list`": ["--list", *base[2:]],
        "first `--create`": [*create, "--memory", "20000", "-j", first],
        "unchanged": [*create, "--memory", "20000", "-j", first],
        "unchanged `--update`": [*update, "--memory", "20000", "-j", first],
        "new memory": [*update, "--memory", "30000", "-j", first],
    }
    if number <= MOST_TWICE:
        found["new jar"] = [*update, "--memory", "30000", "-j", other]
    return found


Found = dict[str, list[tuple[int, list[Figure]]]]
"""Run -> numbers of NameNodes, the fewest first, each with its measurements."""


def measured(given: argparse.Namespace) -> Found:
    """Run everything as often as asked for, each time with an OpenWhisk without actions."""
    found: Found = {}
    with temporary_folder() as folder:
        first, other = str(Path(folder, "a.jar")), str(Path(folder, "b.jar"))
        make_jar(Path(first), mebibytes=given.mebibytes, seed=1)
        make_jar(Path(other), mebibytes=given.mebibytes, seed=2)
        base = ["--concurrency", "4", *(["-i"] if given.tls else [])]
        for number in sorted(given.numbers):
            every: dict[str, list[Figure]] = {}
            for _ in range(given.runs):
                with openwhisk(tls=given.tls) as environment:
                    for name, arguments in runs_of(number, first, other, base).items():
                        every.setdefault(name, []).append(run(environment, *arguments))
            for name, figures in every.items():
                found.setdefault(name, []).append((number, figures))
    return found


def median(figures: Sequence[Figure], field: str) -> float:
    """Return the median of a field."""
    return float(statistics.median(getattr(it, field) for it in figures))


def table(given: argparse.Namespace) -> list[str]:
    """Return the lines of the document."""
    os.environ.pop("AWS_SETUP_PACE", None)  # pauses as a user has them
    lines = [HEAD, "|---|---|---|---|---|---|---|---|"]
    for name, points in measured(given).items():
        each = each_more([(number, 1000 * median(it, "processor")) for number, it in points])
        for (number, figures), more in zip(points, each, strict=True):
            seconds, processor = median(figures, "seconds"), median(figures, "processor")
            lines.append(
                f"| {number} | {name} | {seconds:.1f} | {processor:.1f} "
                f"| {median(figures, 'peak'):.0f} | {median(figures, 'puts'):.0f} "
                f"| {median(figures, 'requests'):.0f} | {more} |"
            )
    return [*lines, "", conditions("benchmarks.whisk", given.runs, "urllib3")]


def add(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own arguments."""
    parser.add_argument("numbers", nargs="*", type=int, default=[20, 200, 1000], metavar="N")
    parser.add_argument("--mebibytes", type=int, default=MEBIBYTES, help="size of the jar")
    parser.add_argument("--tls", action="store_true", help="over https")


def main() -> None:
    """Print the table, or write it."""
    publish(table, DOCUMENT, (BEGIN, END), runs=1, about=__doc__, add=add)


if __name__ == "__main__":
    main()
