"""Tries damaged inputs on a reader, and checks what comes out."""

from __future__ import annotations

import contextlib
import functools
import io
import shutil
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from rich.table import Table

from aws_setup.errors import Problem, SetupError
from aws_setup.report import Report, Style
from tests.trust.fuzz.adapters import EXPECTED, Reader
from tests.trust.fuzz.mutate import EDGES, damaged

SECONDS = 1.0
"""CPU time of one input, in this thread: servers of other tests may still run beside it."""

BLOCKED = 10.0
"""Seconds of one input by the clock, per second of its CPU limit: a busy computer gives a thread a
tenth of its time at least; what takes longer waits for something."""

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, format characters, surrogates, line and paragraph ends."""


class Unfit(AssertionError):
    """An outcome that no user should meet; the text says what is wrong."""


def drawing(number: int) -> settings:
    """Return the settings of a search: so many inputs, the same for the same seed."""
    return settings(
        max_examples=number,
        database=None,
        deadline=None,  # `check` measures the CPU time
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def inputs(first: bytes) -> SearchStrategy[bytes]:
    """Return a strategy for the damaged variants of an input."""
    return st.randoms(use_true_random=False).map(lambda dice: damaged(first, dice))


def check(reader: Reader, data: bytes, *, seconds: float = SECONDS) -> None:
    """Read an input.

    Raises:
        Unfit: slow or blocked, an error without a fix, or a control character in what is printed.
        Exception: of a library.
    """
    taken, passed = _measured(reader, data)
    if taken > seconds or passed > BLOCKED * seconds:
        # A garbage collection, or a busy computer, is not met twice.
        taken, passed = map(min, (taken, passed), _measured(reader, data))
    if taken > seconds:
        raise Unfit(f"it took {taken:.1f} s of CPU time")
    if passed > BLOCKED * seconds:
        raise Unfit(f"it blocked for {passed:.1f} s")


def _measured(reader: Reader, data: bytes) -> tuple[float, float]:
    """Read an input, and return the seconds of CPU time and of time that it took."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    began, started = time.thread_time(), time.monotonic()
    try:
        _check_outcome(reader, data, folder)
        return time.thread_time() - began, time.monotonic() - started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_outcome(reader: Reader, data: bytes, folder: Path) -> None:
    try:
        result = reader(data, folder)
    except EXPECTED as error:
        result = error
    if isinstance(result, str) and (leaks := unsafe(shown(result))):
        raise Unfit(f"{leaks} in {shown(result)!r}")
    if isinstance(result, SetupError):
        check_error(result)


def check_error(error: SetupError) -> None:
    """Raise Unfit when an error has no fix, or what is printed of it has control characters."""
    if not all(problem.what and problem.hint for problem in error.problems):
        raise Unfit(f"an error without a fix: {error!r}")
    if leaks := unsafe(printed(error.problems)):
        raise Unfit(f"{leaks} in {printed(error.problems)!r}")


def printed(problems: tuple[Problem, ...]) -> str:
    """Return problems as the report prints them."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        Report(Style()).problems(list(problems))
    return out.getvalue() + err.getvalue()


def shown(text: str) -> str:
    """Return a text in each way in which the report prints: messages, lines, tables, problems."""
    table = Table(text)
    table.add_row(text)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        report = Report(Style())
        report.message(text)
        report.result(text)
        report.table(table)
        report.problems([Problem(text, text, text)])
        report.problems([Problem(text, text, text)], warning=True)
    return out.getvalue() + err.getvalue()


def unsafe(text: str) -> list[str]:
    """Return the invisible characters of a text, but for line feeds."""
    return sorted({c for c in text if c != "\n" and unicodedata.category(c) in UNSAFE})


def failure(check_input: Callable[[], object]) -> str:
    """Return how a check fails; '' when it does not."""
    try:
        check_input()
    except Exception:  # noqa: BLE001 -- what is looked for
        return traceback.format_exc(limit=-4)
    return ""


def search(first: bytes, reader: Reader, *, number: int, seed: str) -> str:
    """Return how a reader fails with an input, edges or damaged ones, as few of it as fail."""
    for data in (first, *EDGES):
        if why := failure(functools.partial(check, reader, data)):
            return f"{data[:200]!r}\n{why}"

    @seeded(seed)
    @drawing(number)
    @given(data=inputs(first))
    def attempt(data: bytes) -> None:
        check(reader, data)

    return failure(attempt)
