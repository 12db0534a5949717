"""Signals to other processes, sent so that a test knows when they have arrived."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def deliver(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal and return once the process handles it (or has ended).

    A Python process then runs its handler before any other bytecode of its main thread.
    """
    process.send_signal(number)
    while _is_pending(process.pid, number):
        time.sleep(0.002)


def _is_pending(pid: int, number: signal.Signals) -> bool:
    """Say whether a signal waits for its process (proc_pid_status(5): ShdPnd)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:")]
    return bool(int(masks[0], 16) >> (number - 1) & 1)


def wait_until_stopped(pid: int) -> None:
    """Return when a process that was sent SIGSTOP is stopped, in all of its threads, or ended."""
    while True:
        with suppress(FileNotFoundError, ProcessLookupError):
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            if {_state(task) for task in tasks} <= {"T", "Z", ""}:
                return
            time.sleep(0.001)
            continue
        return


def _state(task: Path) -> str:
    """Return the state of a thread; '' of one that has ended since it was listed."""
    try:
        return (task / "stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def family(pid: int) -> list[int]:
    """Return a process and all that it and its children have started, in that order.

    It is asked at each turn of two runs: a `Path` for each process of the computer takes longer
    than what it reads.
    """
    children: dict[int, list[int]] = {}
    with os.scandir("/proc") as entries:
        for name in (entry.name for entry in entries if entry.name.isdigit()):
            children.setdefault(_parent(name), []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, ())
    return found


def _parent(pid: str) -> int:
    """Return the process that has started another one; 0 where it is not known."""
    try:
        handle = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            state = os.read(handle, 1024)
        finally:
            os.close(handle)
    except OSError:
        return 0
    return int(state.rpartition(b") ")[2].split()[1])
