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
from collections.abc import Iterator, Sequence
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
    answer, connection = request_start(address, initial=initial, nowait=nowait_nodes())
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
            while connection := run_node(connection, address, answer):
                pass
        initial = False
        answer, connection = request_start(address, initial=False, attempts=ATTEMPTS_AGAIN)


def nowait_nodes() -> list[int]:
    """Return the ids of the data nodes for which this one does not wait."""
    values = [word.partition("=")[2] for word in sys.argv if word.startswith("--nowait-nodes=")]
    return [int(id) for value in values for id in value.split(",")]


def generation(*, initial: bool) -> str:
    """Return what the files of this data node hold; '' without any, or before they are deleted."""
    found = [] if initial else list(NODE_DATA.glob("ndb_*_fs/generation"))
    return found[0].read_text(encoding="utf-8") if found else ""


def request_start(
    address: str, *, initial: bool, nowait: Sequence[int] = (), attempts: int = ATTEMPTS
) -> tuple[dict[str, Any], Any]:
    """Return the manager's answer and the connection; exits when it rejects or does not answer."""
    files = any(NODE_DATA.glob("ndb_*_fs"))
    request = {"op": "join", "kind": "ndbd", "files": files, "initial": initial}
    request |= {"nowait": list(nowait), "generation": generation(initial=initial)}
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE)
        connection = connect_manager(address)
        if connection is None:
            continue
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
    files.mkdir(exist_ok=True)
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


def run_node(connection: Any, address: str, answer: dict[str, Any]) -> Any:
    """Start on the manager's message, return None for a restart, and exit for a shutdown.

    A node that has started goes on without its manager, with the configuration of its start.

    Returns:
        its new connection to the manager that has been restarted.
    """
    node_id, started = answer["id"], "running" in answer
    for text in messages(connection):
        message = json.loads(text)
        if message.get("shutdown"):
            log = NODE_DATA / f"ndb_{node_id}_out.log"
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{time.ctime()} [ndbd] INFO     -- Node shutdown completed.\n")
            os._exit(0)
        if message.get("restart"):
            return None
        if message.get("go") and not has_fault("ndbmtd hangs"):
            time.sleep(settings()["start_seconds"])
            rows = NODE_DATA / f"ndb_{node_id}_fs" / "generation"
            rows.write_text(message["generation"], encoding="utf-8")
            send(connection, {"state": "started"})
            answer["running"] = started = True
    return connect_again(address, answer) if started else None


def messages(connection: Any) -> Iterator[str]:
    """Yield the manager's messages until it ends."""
    with contextlib.suppress(OSError):
        yield from connection.makefile("r", encoding="utf-8")


def connect_again(address: str, answer: dict[str, Any]) -> Any:
    """Return the connection to a manager that runs again; a started node waits without end."""
    request = {"op": "join", "kind": "ndbd", "files": True, "initial": False}
    request |= {"id": answer["id"], "hosts": answer["hosts"]}
    request |= {"generation": generation(initial=False)}
    while True:
        time.sleep(PAUSE)
        connection = connect_manager(address)
        if connection and "id" in send_request(connection, request):
            return connection


def exit_with_error(node_id: int, message: str) -> None:
    """Write the reason to the error log and exit, as the angel process does."""
    log = NODE_DATA / f"ndb_{node_id}_error.log"
    log.write_text(f"Time: {time.ctime()}\nStatus: Permanent error\n{message}\n", encoding="utf-8")
    os._exit(1)
