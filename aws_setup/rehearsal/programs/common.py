"""What the stand-ins share: the VM's settings, connections to the manager, and daemons."""

from __future__ import annotations

import configparser
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any, TextIO

MANAGEMENT_PORT = 1186
SETTINGS = Path("/etc/lambda-fs-rehearsal.json")
STARTED = Path("/var/log/started")
"""Log of started programs with their arguments, one per line."""

NODE_DATA = Path("/usr/local/mysql/data")
MANAGER_DATA = Path("/var/lib/mysql-cluster")
NAME = Path(sys.argv[0]).name


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


def connect_string() -> str:
    """Return the manager's address in my.cnf; '' without one."""
    parser = configparser.ConfigParser(allow_no_value=True, strict=False)
    parser.read("/etc/my.cnf", encoding="utf-8")
    return parser.get("mysql_cluster", "ndb-connectstring", fallback="")


def connect_manager(address: str) -> socket.socket | None:
    """Connect to the management server at an address; None when it does not answer."""
    try:
        connection = socket.create_connection((address, MANAGEMENT_PORT), timeout=5)
    except OSError:
        return None
    connection.settimeout(None)
    return connection


def send_request(connection: socket.socket, question: dict[str, Any]) -> dict[str, Any]:
    """Send one request and return its answer; {} when the connection ends."""
    try:
        send(connection, question)
        text = bytearray()
        while not text.endswith(b"\n"):
            piece = connection.recv(1)
            if not piece:
                return {}
            text += piece
    except OSError:
        return {}
    answer: dict[str, Any] = json.loads(text)
    return answer


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def print_line(text: str, stream: TextIO | None = None) -> None:
    """Print a line."""
    (stream or sys.stdout).write(text + "\n")


def fail(text: str, code: int = 1) -> None:
    """Print the reason and exit with a code."""
    print_line(text, sys.stderr)
    raise SystemExit(code)


def daemonise(pid_file: Path) -> None:
    """Continue in the background; the caller gets exit code 0."""
    sys.stdout.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")


def is_running(pid_file: Path, name: str) -> bool:
    """Return whether the process of a PID file runs and has this name."""
    try:
        pid = pid_file.read_text(encoding="utf-8").strip()
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == name
    except OSError:
        return False
