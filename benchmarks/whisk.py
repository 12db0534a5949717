"""Measures time, memory and requests of whisk_helper.py for N actions.

python -m benchmarks.whisk [N …]: writes a jar of 25 MiB, starts the stand-in OpenWhisk,
and runs the script from its command line: a first --create, the same again, an --update with other
limits, and an --update with another jar. The figures are those of the script alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("numbers", nargs="*", type=int, default=[20, 1000], metavar="N")
    parser.add_argument("--mebibytes", type=int, default=MEBIBYTES, help="size of the jar")
    parser.add_argument("--tls", action="store_true", help="over https")
    options = parser.parse_args()
    line = "{:>5}  {:<22}  {:>8}  {:>9}  {:>9}  {:>6}  {:>8}"
    say(line.format("N", "run", "wall s", "CPU s", "peak MiB", "PUTs", "requests"))
    with tempfile.TemporaryDirectory() as folder:
        first, other = str(Path(folder, "a.jar")), str(Path(folder, "b.jar"))
        make_jar(Path(first), mebibytes=options.mebibytes, seed=1)
        make_jar(Path(other), mebibytes=options.mebibytes, seed=2)
        base = ["--concurrency", "4", *(["-i"] if options.tls else [])]
        for number in options.numbers:
            count = ["-n", str(number), *base]
            runs = [
                ("list nothing", ["--list", *base[2:]]),
                ("first --create", [*count, "--create", "--memory", "20000", "-j", first]),
                ("the same again", [*count, "--create", "--memory", "20000", "-j", first]),
                ("--update, same jar", [*count, "--update", "--memory", "20000", "-j", first]),
                ("--update, new memory", [*count, "--update", "--memory", "30000", "-j", first]),
                ("--update, new jar", [*count, "--update", "--memory", "30000", "-j", other]),
            ][: 6 if number <= MOST_TWICE else 5]
            with openwhisk(tls=options.tls) as environment:
                for name, arguments in runs:
                    figure = run(environment, *arguments)
                    say(
                        line.format(
                            number,
                            name,
                            f"{figure.seconds:.1f}",
                            f"{figure.processor:.1f}",
                            f"{figure.peak:.0f}",
                            figure.puts,
                            figure.requests,
                        )
                    )


def say(text: str) -> None:
    """Write a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
