"""Processes of this computer: which one this is, and whether another one still runs.

A process is identified by its computer, its number and its start, because numbers are used again.
The identity of a computer is one that no other computer has at the same time: Linux's boot id, and
the namespace in which the numbers of processes count, since containers share the rest.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")

LARGEST = 2**31 - 1
"""The largest number that the kernel takes for a process."""


@dataclass(frozen=True)
class ProcessId:
    """A process: `computer` is a digest, `started` the kernel's start time where it is known."""

    computer: str
    pid: int
    started: str = ""


def this_process() -> ProcessId:
    """Return the identity of this process."""
    return ProcessId(_computer(), os.getpid(), _started(os.getpid()) or "")


def is_running(process: ProcessId) -> bool | None:
    """Return whether a process runs; None: not known, as of a process of another computer."""
    if not 0 < process.pid <= LARGEST or process.computer != _computer():
        return None
    if os.name == "nt":  # os.kill(pid, 0) would send Ctrl-C there
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's process has the number
    started = _started(process.pid)
    return None if started is None else started == process.started


@cache
def _computer() -> str:
    """Return a digest that differs between computers, containers and, on Linux, boots."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        parts = [boot, str(Path("/proc/self/ns/pid").readlink())]
    except (OSError, ValueError):
        # getnode is random, and so never equal, where there is no address of a network card.
        parts = [socket.gethostname(), f"{uuid.getnode():x}"]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """Return the start of a process in clock ticks since boot; '' of one that has ended.

    None: it cannot be known, as on other systems than Linux and for hidden processes of others.
    Fields 3 and 22 of /proc/PID/stat: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="latin-1").rpartition(") ")[2]
    except OSError:
        return None
    values = fields.split()
    return "" if values[0] in ("Z", "X", "x") else values[19]
