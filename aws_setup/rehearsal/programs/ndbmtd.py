"""Stands in for ndbmtd: waits for the manager, keeps its files, and deletes them with --initial."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.programs.common import (
    NODE_DATA,
    daemonise,
    has_fault,
    is_running,
    record_start,
    settings,
)
from aws_setup.rehearsal.programs.manager_client import (
    NAME,
    connect_manager,
    connect_string,
    fail,
    print_line,
    send,
    send_request,
)

ATTEMPTS = 24
PAUSE = 0.25
"""Attempts to reach the manager and seconds between two; ndbmtd's own are 12 and 5."""

ATTEMPTS_AGAIN = 240
"""Attempts of a node that restarts: a minute, as ndbmtd's own, also on a busy computer."""


def main() -> None:
    """Connect to the manager, continue in the background, and start; a second start fails."""
    record_start()
    if any(is_running(file, NAME) for file in NODE_DATA.glob("ndb_*.pid")):
        fail("Error: Another process holds this node's id", 255)
    address = connect_string()
    if not address:
        fail("Unable to connect with connect string: nodeid=0,localhost:1186", 1)
    join(address, initial="--initial" in sys.argv)


def join(address: str, *, initial: bool) -> None:
    """Join the cluster and run as its data node."""
    answer, connection = request_start(address, initial=initial)
    node_id = answer["id"]
    print_line(
        f"{time.strftime('%Y-%m-%d %H:%M:%S')} [ndbd] INFO     -- Angel allocated nodeid: {node_id}"
    )
    sys.stdout.flush()
    daemonise(NODE_DATA / f"ndb_{node_id}.pid")
    if has_fault("ndbmtd dies"):
        exit_with_error(node_id, "Message: Unable to lock memory (Configuration error)")
    if has_fault("disk full"):
        exit_with_error(node_id, "Message: No space left on device (Disk full)")
    while True:
        prepare_files(NODE_DATA / f"ndb_{node_id}_fs", answer["figures"], initial=initial)
        with listening(answer["figures"].get("ServerPort")):
            run_node(connection, node_id)
        initial = False
        answer, connection = request_start(address, initial=False, attempts=ATTEMPTS_AGAIN)


def request_start(
    address: str, *, initial: bool, attempts: int = ATTEMPTS
) -> tuple[dict[str, Any], Any]:
    """Return the manager's answer and the connection; exits when it rejects or does not answer."""
    files = any(NODE_DATA.glob("ndb_*_fs"))
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE)
        connection = connect_manager(address)
        if connection is None:
            continue
        request = {"op": "join", "kind": "ndbd", "files": files, "initial": initial}
        answer = send_request(connection, request)
        if not answer:
            continue
        if "error" not in answer:
            return answer, connection
        # ConfigRetriever::allocNodeId (NDB's sources, ConfigRetriever.cpp): an id that is not
        # free is asked for again, because the manager may not have noticed yet that it became so.
        if not answer["again"] or attempt == attempts - 1:
            fail(answer["error"], 255)
    fail(f"Unable to connect with connect string: nodeid=0,{address}:1186", 1)
    raise AssertionError


def prepare_files(files: Path, figures: dict[str, str], *, initial: bool) -> None:
    """Delete the files with --initial, create missing ones, and keep existing ones."""
    if initial:
        shutil.rmtree(files, ignore_errors=True)
    if not files.exists():
        files.mkdir()
        (files / "generation").write_text(uuid.uuid4().hex, encoding="utf-8")
    (files / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


@contextlib.contextmanager
def listening(port: str | None) -> Iterator[None]:
    """Accept connections at the configured port, as for NameNodes; without one at none."""
    if port is None:
        yield
        return
    with socket.create_server(("", int(port)), backlog=64) as server:
        thread = threading.Thread(target=accept_and_close, args=(server,), daemon=True)
        thread.start()
        yield
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        # While it still waits for a connection, the port is in use for the next start.
        thread.join()


def accept_and_close(server: socket.socket) -> None:
    """Accept connections until the server is closed."""
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


def run_node(connection: Any, node_id: int) -> None:
    """Start on the manager's message, return for a restart, and exit for a shutdown."""
    for text in connection.makefile("r", encoding="utf-8"):
        message = json.loads(text)
        if message.get("shutdown"):
            log = NODE_DATA / f"ndb_{node_id}_out.log"
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{time.ctime()} [ndbd] INFO     -- Node shutdown completed.\n")
            os._exit(0)
        if message.get("restart"):
            return
        if message.get("go") and not has_fault("ndbmtd hangs"):
            time.sleep(settings()["start_seconds"])
            send(connection, {"state": "started"})


def exit_with_error(node_id: int, message: str) -> None:
    """Write the reason to the error log and exit, as the angel process does."""
    log = NODE_DATA / f"ndb_{node_id}_error.log"
    log.write_text(f"Time: {time.ctime()}\nStatus: Permanent error\n{message}\n", encoding="utf-8")
    os._exit(1)
