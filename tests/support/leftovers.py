"""What a session of tests leaves: processes, threads, and temporary files; in CI a failure.

Whatever a test starts inherits a variable, by which it is found at the end of the session, and a
port that is still open is one of such a process. The temporary folder is one of the session. Not
seen: a process whose environment was cleared, and files elsewhere. Processes are found on Linux.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "TESTS_SESSION"
"""Environment variable that all processes of a session have, with a value of that session."""

PATIENCE = 15.0
"""Most seconds in which what was told to end does so, on a busy computer too."""

_left: list[str] = []
"""What the workers that have ended left."""


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a temporary folder and its variable; workers inherit them."""
    if hasattr(config, "workerinput"):
        return
    # pytest keeps the folders of its last three sessions for whoever looks for a failure.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ[VARIABLE] = f"{os.getpid()}-{time.time_ns()}"
    os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="tests-")
    tempfile.tempdir = None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take the threads of a worker from what it sends at its end."""
    _left.extend(getattr(node, "workeroutput", {}).get("threads", ()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Report what is left when all workers and fixtures have ended; in CI the session fails."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["threads"] = threads()
        return (yield)
    yield
    folder = Path(os.environ["TMPDIR"])
    left = [*_left, *threads(), *(f"process {name}" for name in ended_processes())]
    left += [f"file {path.name}" for path in sorted(folder.iterdir())]
    shutil.rmtree(folder, ignore_errors=True)
    if reporter := session.config.pluginmanager.get_plugin("terminalreporter"):
        for what in left:
            reporter.write_line(f"left by the tests: {what}")
    if left and os.environ.get("CI") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def threads() -> list[str]:
    """Return the threads that keep this process from ending."""
    ours = (threading.main_thread(), threading.current_thread())
    alive = [thread for thread in threading.enumerate() if not thread.daemon]
    return [f"thread {thread.name}" for thread in alive if thread not in ours]


def ended_processes() -> list[str]:
    """Wait for the processes of the session to end, and return those that do not."""
    deadline = time.monotonic() + PATIENCE
    while (left := list(processes())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def processes() -> Iterator[str]:
    """Yield number and command of each running process that this session has started."""
    mark = f"{VARIABLE}={os.environ[VARIABLE]}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            if mark in environment and int(entry.name) != os.getpid():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield f"{entry.name} {command.strip()[:150]}"
