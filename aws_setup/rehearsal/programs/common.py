"""What the stand-ins share: the VM's settings, and daemons."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.programs.manager_client import NAME

SETTINGS = Path("/etc/lambda-fs-rehearsal.json")
STARTED = Path("/var/log/started")
"""Log of started programs with their arguments, one per line."""

NODE_DATA = Path("/usr/local/mysql/data")
MANAGER_DATA = Path("/var/lib/mysql-cluster")


def settings() -> dict[str, Any]:
    """Return the VM's settings, read at each use."""
    found: dict[str, Any] = json.loads(SETTINGS.read_text(encoding="utf-8"))
    return found


def has_fault(name: str) -> bool:
    """Return whether a fault is active on this VM."""
    return name in settings()["faults"]


def record_start() -> None:
    """Log the start of this program."""
    with STARTED.open("a", encoding="utf-8") as file:
        file.write(" ".join([NAME, *sys.argv[1:]]) + "\n")


def daemonise(pid_file: Path) -> None:
    """Continue in the background; the caller gets exit code 0 when the PID file is written.

    The inherited stderr stays open, as in mysqld_safe, which mysql.server starts with nothing but
    its stdout redirected.
    """
    sys.stdout.flush()
    written, write = os.pipe()
    if os.fork():
        os.close(write)
        os._exit(0 if os.read(written, 1) else 1)
    os.close(written)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(null, stream)
    pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
    os.write(write, b"!")
    os.close(write)


def is_running(pid_file: Path, name: str) -> bool:
    """Return whether another process than this one has the number in a PID file, and this name.

    After a VM has booted again, numbers begin anew: its program may get the number of its last run.
    """
    try:
        pid = pid_file.read_text(encoding="utf-8").strip()
        name_of_it = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return False
    return pid != str(os.getpid()) and name_of_it == name
