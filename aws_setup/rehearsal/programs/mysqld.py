"""Stands in for mysqld: runs MariaDB if it is installed, and joins the NDB cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.programs.common import NODE_DATA, daemonise
from aws_setup.rehearsal.programs.manager_client import (
    connect_manager,
    connect_string,
    fail,
    send_request,
)
from aws_setup.rehearsal.programs.mysql import DATABASE, SOCKET

POLL = 0.2


def main() -> None:
    """Continue in the background, start MariaDB, and stay in the cluster while it runs."""
    if refusal := refused_user():
        with (NODE_DATA / "mysqld.err").open("a", encoding="utf-8") as file:
            file.write(f"[ERROR] [Server] {refusal}\n")
        fail(refusal)
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


def refused_user() -> str:
    """Return why mysqld does not run as this user: root has to name one that exists; '' if it does.

    https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html (MY-010123, MY-010124)
    """
    if os.geteuid():
        return ""
    users = [word.partition("=")[2] for word in sys.argv[1:] if word.startswith("--user=")]
    if not users:
        return (
            'Fatal error: Please read "Security" section of the manual to find out how to run '
            "mysqld as root!"
        )
    accounts = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
    if any(users[-1] in account.split(":")[:3:2] for account in accounts):
        return ""
    return (
        f"Fatal error: Can't change to run as user '{users[-1]}' ; Please check that the user "
        "exists!"
    )


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
