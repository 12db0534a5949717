"""What a session leaves: processes, threads, ports, worlds, files; in CI that is a failure.

What a killed run of a script leaves is no failure where the next run deletes it.

Whatever a test starts inherits a variable, by which it is found at the end of the session, and a
port that is still open is one of such a process. The temporary folder is one of the session; a file
in the checkout is one that git does not know yet. Not seen: a process whose environment was
cleared, a fork of the session's own process, and files elsewhere. Processes are found on Linux.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.temporary_files import FOR_PROGRAM, delete_abandoned
from tests.support import script_runs

VARIABLE = "TESTS_SESSION"
"""Environment variable that all processes of a session have, with a value of that session."""

PATIENCE = float(os.environ.get("TESTS_PATIENCE", "15"))
"""Most seconds in which what was told to end does so, on a busy computer too."""

ROOT = Path(__file__).resolve().parents[2]

_left: list[str] = []
"""What the workers that have ended left."""

_first_seen: dict[str, str] = {}
"""After which test each running thread was seen first, by its name: a server that was paused for a
fork goes on in another thread of the same name."""

_untracked: set[str] = set()
"""Files of the checkout that git does not know, before the session."""


def pytest_configure(config: pytest.Config) -> None:
    """Let a worker tell of its threads, at the end of all its fixtures."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(_Worker())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Give the session a temporary folder and its variable, which workers inherit."""
    if hasattr(session.config, "workerinput"):
        return
    # pytest keeps the folders of its last three sessions for whoever looks for a failure.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ[VARIABLE] = f"{os.getpid()}-{time.time_ns()}"
    os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="tests-")
    tempfile.tempdir = None
    if session.config.rootpath == ROOT:
        _untracked.update(untracked())


class _Worker:
    """Sends what a worker leaves: xdist does that around the other hooks."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = session.config.workeroutput  # type: ignore[attr-defined]
        output |= {"left": _left_in_this_process(session)}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take the threads and ports of a worker from what it sends at its end."""
    output = getattr(node, "workeroutput", {})
    _left.extend(output.get("left", ()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note the threads that are there after a test."""
    answer = yield
    running = [thread.name for thread in threading.enumerate()]
    seen = {name: _first_seen.get(name, item.nodeid) for name in running}
    _first_seen.clear()
    _first_seen.update(seen)
    return answer


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Report what is left when all workers and fixtures have ended; in CI the session fails."""
    yield
    if hasattr(session.config, "workerinput"):
        return
    script_runs.end()
    folder = Path(os.environ["TMPDIR"])
    left = [*_left, *_left_in_this_process(session), *remaining(processes), *_files(folder)]
    if session.config.rootpath == ROOT:
        left += [f"file {name} in the checkout" for name in sorted(untracked() - _untracked)]
    shutil.rmtree(folder, ignore_errors=True)
    if reporter := session.config.pluginmanager.get_plugin("terminalreporter"):
        for what in left:
            reporter.write_line(f"left by the tests: {what}")
    if left and os.environ.get("CI") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _files(folder: Path) -> list[str]:
    """Return the temporary files that no later run of a script deletes."""
    delete_abandoned(folder)
    # A later run deletes those for a program, too, when the program can no longer be at work.
    kept = sorted(path for path in folder.iterdir() if not path.name.endswith(FOR_PROGRAM))
    return [f"file {path.name} with {_shown(path)}" for path in kept]


def _shown(path: Path) -> str:
    """Return what a file or folder has, to find its owner by."""
    if path.is_dir():
        return ", ".join(sorted(child.name for child in path.iterdir())[:5]) or "nothing"
    return repr(path.read_bytes()[:60])


def remaining(look: Callable[[], list[str]], *, patience: float = PATIENCE) -> list[str]:
    """Return what there is, when it has had time to end."""
    deadline = time.monotonic() + patience
    while (left := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _left_in_this_process(session: pytest.Session) -> list[str]:
    """Return what a process has left; the traceback of a failed test holds its world."""
    held = [] if session.testsfailed else remaining(worlds)
    return [*remaining(in_this_process), *held]


def in_this_process() -> list[str]:
    """Return the threads of this process, also daemons, and the ports that it listens on."""
    return [*threads(), *ports()]


WORLDS = {
    "aws_setup.rehearsal.core.server": "RehearsalCloud",
    "aws_setup.rehearsal.environment": "Environment",
    "aws_setup.rehearsal.kubernetes.eks_bridge": "EksApiServers",
    "aws_setup.rehearsal.kubernetes.server": "KubeApiServer",
    "aws_setup.rehearsal.openwhisk.load_balancer": "OpenWhiskFrontend",
    "aws_setup.rehearsal.openwhisk.server": "OpenWhiskServer",
    "aws_setup.rehearsal.vms.gateway": "Gateway",
    "aws_setup.rehearsal.vms.inprocess_vms": "InProcessVmPool",
    "aws_setup.rehearsal.vms.namespace_vms": "NamespaceVmPool",
    "aws_setup.ssh.pool": "MachinePool",
    "tests.support.copies": "World",
}
"""The classes that hold a world or a part of one, by their modules."""


def worlds() -> list[str]:
    """Return the worlds that are not freed, when all that nothing refers to is."""
    gc.collect()
    loaded = {
        vars(sys.modules[name]).get(kind) for name, kind in WORLDS.items() if name in sys.modules
    }
    return [f"world {type(item).__name__}" for item in gc.get_objects() if type(item) in loaded]


OWN_THREADS = ("pytest_timeout",)
"""How the names of threads begin that belong to pytest's plug-ins; execnet's are unknown to the
threading module."""


def threads() -> list[str]:
    """Return the threads of this process but the one that asks, with the test that left each."""
    ours = (threading.main_thread(), threading.current_thread())
    alive = [thread for thread in threading.enumerate() if thread not in ours]
    others = [thread for thread in alive if not thread.name.startswith(OWN_THREADS)]
    return [f"thread {thread.name}, since {_first_seen.get(thread.name, '?')}" for thread in others]


def processes() -> list[str]:
    """Return number and command of each running process that this session has started."""
    mark, found = f"{VARIABLE}={os.environ[VARIABLE]}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            if mark in environment and int(entry.name) != os.getpid():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                shown = command.decode(errors="replace").strip()
                found.append(f"process {entry.name} {shown[:150]}")
    return found


def untracked() -> set[str]:
    """Return the files of the checkout that git neither knows nor ignores; none without git."""
    command = ["git", "-C", str(ROOT), "ls-files", "--others", "--exclude-standard"]
    with contextlib.suppress(OSError):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return set(done.stdout.splitlines())
    return set()


def ports() -> list[str]:
    """Return the TCP ports that this process listens on (proc_pid_net(5)); none where /proc lacks.

    The field 3 is the state, of which 0A is TCP_LISTEN; 1 is the local address, 9 the inode.
    """
    own, found = set(), []
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            own.add(str(entry.readlink()))
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                    found.append(f"port {int(fields[1].rpartition(':')[2], 16)}")
    return found
