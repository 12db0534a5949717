"""Tries damaged inputs on a reader, and checks what comes out."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from aws_setup.errors import SetupError
from aws_setup.report import Report, Style
from tests.trust.fuzz.mutate import EDGES, damaged
from tests.trust.fuzz.readers import EXPECTED, READERS, Reader

SECONDS = 1.0
"""CPU time of one input, in this thread: servers of other tests may still run beside it."""

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, format characters, surrogates, line and paragraph ends."""


def inputs(seed: bytes, *, number: int, dice: random.Random) -> Iterator[bytes]:
    """Yield the edges and so many damaged variants of an input."""
    yield from EDGES
    for _ in range(number):
        yield damaged(seed, dice)


def failure(reader: Reader, data: bytes) -> str:
    """Return how a reader fails with an input; '' when it does not."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    began = time.thread_time()
    try:
        return _outcome(reader, data, folder) or _duration(began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _duration(began: float) -> str:
    seconds = time.thread_time() - began
    return f"it took {seconds:.1f} s of CPU time" if seconds > SECONDS else ""


def _outcome(reader: Reader, data: bytes, folder: Path) -> str:
    try:
        reader(data, folder)
    except EXPECTED as error:
        return shown(error)
    except Exception:  # noqa: BLE001 -- what is looked for
        return traceback.format_exc(limit=-4)
    return ""


def shown(error: Exception) -> str:
    """Return what is wrong with an error as the user reads it."""
    if not isinstance(error, SetupError):
        return ""
    if not all(problem.what and problem.hint for problem in error.problems):
        return f"an error without a fix: {error!r}"
    if leaks := unsafe(printed(error)):
        return f"{leaks} in {printed(error)!r}"
    return ""


def printed(error: SetupError) -> str:
    """Return an error as the report prints it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        Report(Style()).problems(list(error.problems))
    return out.getvalue() + err.getvalue()


def unsafe(text: str) -> list[str]:
    """Return the invisible characters of a text, but for line feeds."""
    return sorted({c for c in text if c != "\n" and unicodedata.category(c) in UNSAFE})


def smallest(reader: Reader, data: bytes) -> bytes:
    """Return a shorter input that still fails: pieces are removed while it does."""
    size = max(1, len(data) // 2)
    tries = 200
    while size and tries:
        at = 0
        while at < len(data) and tries:
            tries -= 1
            shorter = data[:at] + data[at + size :]
            if failure(reader, shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def search(name: str, *, number: int, seed: int) -> list[tuple[bytes, str]]:
    """Return inputs with which a reader fails, shortened, each with how; one of each kind."""
    first, reader = READERS[name]
    if why := failure(reader, first):
        return [(first, f"the undamaged input: {why}")]
    found: dict[str, tuple[bytes, str]] = {}
    for data in inputs(first, number=number, dice=random.Random(f"{name} {seed}")):
        if why := failure(reader, data):
            kind = why.strip().splitlines()[-1][:60]
            if kind not in found:
                found[kind] = smallest(reader, data), why
    return list(found.values())
