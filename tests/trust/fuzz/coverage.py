"""Damages inputs guided by coverage: what reaches new code is damaged further (atheris, libFuzzer).

A process of its own: the product's modules are instrumented when they are imported.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

LONGEST = 16_000
"""Bytes of an input; longer ones are among the edges."""

INSTRUMENTED_SECONDS = 5.0
"""CPU time of one input: the instrumented code is several times as slow."""


def installed() -> bool:
    """Return whether the package is there: its wheels are for few platforms, and of 35 MB."""
    return importlib.util.find_spec("atheris") is not None


def guided(
    names: Sequence[str], *, number: int, seed: int, folder: Path
) -> Iterator[tuple[str, float, str]]:
    """Yield each reader, the CPU time of its inputs, and how one of them fails; '' for none.

    `folder` gets a folder for each reader, with the inputs that reached new code, and with the
    one that failed.
    """
    words = [str(folder), str(number), str(seed), *names]
    command = [sys.executable, "-m", "tests.trust.fuzz.coverage", *words]
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "instrumented").open("w") as err,  # a line for each module
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            name, seconds, code = line.rstrip("\n").split("\t")
            log = (folder / name / "log").read_text("utf-8", "replace")
            yield name, float(seconds), "" if code == "0" else _failure(folder / name, log)
    if process.returncode:
        raise RuntimeError(f"{command}: exit code {process.returncode}")


def _failure(folder: Path, log: str) -> str:
    found = [f"{path}: {path.read_bytes()[:200]!r}" for path in folder.glob("crash-*")]
    return "\n".join([*found, log.partition("== ERROR")[0][-3000:]])


def main() -> None:
    """Import the readers instrumented, and try each in a process that is forked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["aws_setup"], enable_loader_override=False):
        importlib.import_module("tests.trust.fuzz.search")
    for name in options.names:
        began = time.monotonic()
        folder = options.folder / name
        (folder / "corpus").mkdir(parents=True, exist_ok=True)
        child = os.fork()
        if child == 0:
            _fuzz(atheris, name, folder, number=options.number, seed=options.seed)
        _, status = os.waitpid(child, 0)
        seconds = time.monotonic() - began
        print(name, f"{seconds:.1f}", os.waitstatus_to_exitcode(status), sep="\t", flush=True)


def _fuzz(atheris: Any, name: str, folder: Path, *, number: int, seed: int) -> None:
    """Try a reader with so many inputs, and end the process: not with 0 when one fails."""
    from tests.trust.fuzz.mutate import damaged
    from tests.trust.fuzz.readers import READERS
    from tests.trust.fuzz.search import check

    first, reader = READERS[name]
    (folder / "corpus" / "first").write_bytes(first)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def mutated(data: bytes, longest: int, dice: int) -> bytes:
        """Return a variant by libFuzzer, or by one that knows words and documents."""
        if dice % 2:
            return bytes(atheris.Mutate(data, longest))
        return damaged(data, random.Random(dice))[:longest]

    words = [f"-runs={number}", f"-seed={seed}", f"-max_len={LONGEST}", "-len_control=0"]
    words += [f"-artifact_prefix={folder}/", str(folder / "corpus")]
    atheris.Setup(
        ["fuzz", *words],
        lambda data: check(reader, data, seconds=INSTRUMENTED_SECONDS),
        custom_mutator=mutated,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
