"""The connection of NDB's programs to the management server.

ndb_mgm runs at each poll: this module imports only what it needs, and so it starts in half the
time that pathlib, typing and configparser would take.
"""

from __future__ import annotations

import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

MANAGEMENT_PORT = 1186
MY_CNF = "/etc/my.cnf"
NAME = os.path.basename(sys.argv[0])  # noqa: PTH119 -- pathlib takes as long as all else


def connect_string(file: str = MY_CNF) -> str:
    """Return the manager's address in my.cnf; '' without one."""
    try:
        with open(file, encoding="utf-8") as opened:  # noqa: PTH123 -- as above
            lines = [line.strip() for line in opened]
    except FileNotFoundError:
        return ""
    section, found = "", ""
    for number, line in enumerate(lines, 1):
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        if not section:
            # The message of MySQL's programs: my_default.cc, search_default_file_with_ext.
            where = f"{file} at line: {number}"
            fail(f"error: Found option without preceding group in config file: {where}")
        key, _, value = line.partition("=")
        if (section, key.strip()) == ("mysql_cluster", "ndb-connectstring"):
            found = value.strip()
    return found


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
