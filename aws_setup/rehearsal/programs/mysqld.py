"""Stands in for mysqld: runs MariaDB if it is installed, and joins the NDB cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.programs.common import NODE_DATA, daemonise
from aws_setup.rehearsal.programs.manager_client import (
    connect_manager,
    connect_string,
    send_request,
)
from aws_setup.rehearsal.programs.mysql import DATABASE, SOCKET

POLL = 0.2


def main() -> None:
    """Continue in the background, start MariaDB, and stay in the cluster while it runs."""
    ready = NODE_DATA / "mysqld.ready"
    ready.unlink(missing_ok=True)
    Path(SOCKET).unlink(missing_ok=True)
    daemonise(NODE_DATA / "mysqld.pid")
    database = start_mariadb() if Path(DATABASE).exists() and shutil.which("mariadbd") else None

    def stop(*_: Any) -> None:
        if database:
            database.terminate()
            # Popen.wait has a lock, which the signal may have found taken, in `poll` below.
            with suppress(ChildProcessError):
                os.waitpid(database.pid, 0)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    while database and not Path(SOCKET).exists() and database.poll() is None:
        time.sleep(0.05)
    ready.touch()
    while database is None or database.poll() is None:
        stay_connected()
        time.sleep(POLL)
    stop()


def start_mariadb() -> subprocess.Popen[bytes]:
    """Start MariaDB on its data folder; it listens on the VM's socket and for other VMs."""
    return subprocess.Popen(
        [
            "mariadbd",
            "--no-defaults",
            f"--datadir={DATABASE}",
            f"--socket={SOCKET}",
            "--pid-file=/run/mariadbd.pid",
            "--user=root",
            "--bind-address=0.0.0.0",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=4M",
            "--innodb-flush-log-at-trx-commit=0",
            "--performance-schema=OFF",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(NODE_DATA / "mariadb.err").open("ab"),
    )


def stay_connected() -> None:
    """Join the cluster, if it exists, until the connection to its manager ends."""
    connection = connect_manager(connect_string() or "127.0.0.1")
    if connection is None:
        return
    with connection:
        if "id" in send_request(connection, {"op": "join", "kind": "api"}):
            connection.recv(1)
