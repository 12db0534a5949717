"""What every test shares: no real credentials, no real AWS configuration, no real home folder."""

from __future__ import annotations

import ctypes
import functools
import gc
import json
import os
import platform
import signal
import sys
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core import internal_errors
from tests.support import copies, leftovers, loaded_keys, service_models
from tests.support.units import (
    ROOT,
    SECONDS,
    by_unit,
    file_of,
    known_seconds,
    longest_first,
    shared_worlds_last,
    shares,
)

# Bytecode is kept, whatever the environment says: else each worker rewrites the assertions of 250
# files, and each of hundreds of child processes compiles the whole package (2 s of CPU).
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell without job control starts what runs in the background with SIGINT ignored, and a program
# inherits that: scripts that the tests interrupt would not notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

service_models.install()
loaded_keys.install()


@functools.cache
def _libc() -> Any:
    """Return glibc, None on other systems."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


if _libc():
    # glibc gives each thread an arena of its own and seldom returns one: hundreds of servers and
    # pools of threads, one after the other, would keep what they once used (mallopt(3)).
    _libc().mallopt(-8, 2)  # M_ARENA_MAX
    # A freed block of many MiB raises glibc's threshold: the next ones come from the heap, and stay
    # there. With a threshold of one's own it does not move.
    _libc().mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD


# A test makes hundreds of thousands of objects that live on (a cloud, clients): a collection after
# each 700 new ones, the default, takes a tenth of the processor time; worlds are freed between
# files.
gc.set_threshold(20_000)

MEMORY = 500
"""Most MiB of a process that runs tests, at any time; in CI more is a failure.

Importing and collecting all tests takes 190, the first whole run 90.
"""

GROWTH = 15
"""MiB by which a test raises the most that its process used, to be named at the end."""

_peaks: list[int] = []
"""The largest MiB of each worker that has ended."""

_growths: list[tuple[int, str]] = []
"""By how many MiB which test raised it."""


def _peak() -> int:
    """Return the largest MiB of this process so far; 0 where the system does not tell."""
    return _mebibytes("VmHWM:")


def _mebibytes(field: str) -> int:
    """Return a size of proc_pid_status(5), 0 where there is none."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.partition(field)[2].split()[0]) // 1024


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take a worker's memory from what it sends at its end."""
    output = getattr(node, "workeroutput", {})
    _peaks.append(output.get("peak", 0))
    _growths.extend(map(tuple, output.get("growths", ())))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the memory of the processes that ran tests."""
    peaks = ", ".join(map(str, sorted(_peaks or [_peak()])))
    terminalreporter.write_line(f"memory of the test processes: at most {peaks} MiB of {MEMORY}")
    for growth, test in sorted(_growths, reverse=True)[:20]:
        terminalreporter.write_line(f"  {growth} MiB more were first used by {test}")
    for file in _made_twice():
        terminalreporter.write_line(f"error: several workers made the shared fixtures of {file}")


def pytest_configure(config: pytest.Config) -> None:
    """Let what the session leaves be reported at its end."""
    config.pluginmanager.register(leftovers)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Report too much memory, and in CI skipped tests (there all needs can be met), as failures."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput |= {"peak": _peak(), "growths": _growths}
        return
    if session.config.getoption("--record-seconds"):
        _record_seconds()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter and reporter.stats.get("skipped")
    too_large = max(_peaks or [_peak()]) > MEMORY
    in_ci = os.environ.get("CI") and (skipped or too_large)
    if (in_ci or _made_twice()) and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note by how much a test raises the memory that this process has used at most."""
    before = _peak()
    try:
        return (yield)
    finally:
        if (growth := _peak() - before) >= GROWTH:
            _growths.append((growth, item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that uses a file's world in a copy of it."""
    return copies.run_test(pyfuncitem) or None


GARBAGE = 24
"""MiB by which a process has grown since its last full collection, for the next one.

A collection takes 50 to 100 ms; one after each file was a tenth of the suite's processor time.
"""

_after_collection = [0]
"""MiB of this process after its last full collection."""


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Return the memory of the ended worlds to the system between two files, when there is some."""
    if not _libc() or (nextitem is not None and nextitem.path == item.path):
        return
    if nextitem is None or _mebibytes("VmRSS:") > _after_collection[0] + GARBAGE:
        gc.collect()
        _libc().malloc_trim(0)
        _after_collection[0] = _mebibytes("VmRSS:")


def pytest_collection_finish() -> None:
    """Exclude what was imported from garbage collections, which then take a fraction of a second.

    Collections also come earlier: the interpreter starts a full one when a quarter of the objects
    are new, and what is frozen does not count.
    """
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the test on a real AWS account, and the one of tests/seconds.json."""
    parser.addoption("--record-seconds", action="store_true", help="update tests/seconds.json")
    parser.addoption("--live", action="store_true", help="also run on a real AWS account")
    parser.addoption("--live-limit", type=float, metavar="USD", help="most that --live may cost")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Start what takes longest first, or keep the order that `-p randomly` has drawn.

    Without --live the tests on a real account are not even skipped. In a drawn order, too, tests
    that share a fixture of their file come after the others of it.
    """
    yield
    if not config.getoption("--live"):
        items[:] = [item for item in items if not item.get_closest_marker("live")]
    elif not config.getoption("--live-limit"):
        raise pytest.UsageError("--live requires --live-limit USD")
    if not config.pluginmanager.has_plugin("randomly"):
        longest_first(items)
    shared_worlds_last(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let what shares a fixture of a file run on one worker."""
    return by_unit(config, log)


_taken: dict[str, float] = {}
"""Seconds of each file in this run."""


_workers: dict[str, set[str]] = defaultdict(set)
"""The workers that ran tests of each file."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add the seconds of a test to those of its file."""
    file = file_of(report.nodeid)
    _taken[file] = _taken.get(file, 0.0) + report.duration
    _workers[file].add(getattr(report, "worker_id", ""))


def _made_twice() -> list[str]:
    """Return the files whose shared fixtures several workers made."""
    return [file for file, workers in _workers.items() if len(workers) > 1 and shares(file)]


def _record_seconds() -> None:
    """Write the seconds of the files of this run; those of other files stay."""
    after = known_seconds() | {file: round(seconds, 1) for file, seconds in _taken.items()}
    lasting = {f: after[f] for f in sorted(after) if after[f] >= 1 and (ROOT / f).exists()}
    SECONDS.write_text(json.dumps(lasting, indent=1) + "\n")


@pytest.fixture
def live_limit(request: pytest.FixtureRequest) -> float:
    """Return the US dollars that the test may cost."""
    return float(request.config.getoption("--live-limit"))


@pytest.fixture(autouse=True)
def walled_off(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Give the test fake credentials and an empty home, so that nothing real is reached."""
    if request.node.get_closest_marker("live"):
        return
    copies.wall_off(monkeypatch, tmp_path / "home")


@pytest.fixture(autouse=True)
def no_internal_errors() -> Iterator[None]:
    """Fail the test during which an emulated service had an error of its own.

    A client may not notice it: it tries again.
    """
    yield
    if found := internal_errors.take():
        pytest.fail("\n".join(found), pytrace=False)
