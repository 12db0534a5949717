"""Stands in for mysql and mysqladmin: runs MariaDB's clients on the VM's MariaDB.

MariaDB has no NDB storage engine: `ENGINE=NDBCLUSTER` is replaced by InnoDB.

It runs dozens of times for a schema: it imports nothing that it does not use, and becomes the real
client instead of waiting for it.
"""

from __future__ import annotations

import os
import sys

DATABASE = "/usr/local/mysql/mariadb"
SOCKET = "/run/mysqld.sock"
NDB_ENGINE = rb"(?i)ENGINE\s*=\s*ndb(cluster)?\b"
PROGRAMS = {"mysql": "mariadb", "mysqladmin": "mariadb-admin"}


def main() -> None:
    """Become the real client, with the same arguments and input."""
    if not os.path.exists(DATABASE):  # noqa: PTH110 -- pathlib takes as long as all else
        ping_without_database()
    name = os.path.basename(sys.argv[0])  # noqa: PTH119 -- as above
    local = [] if "--protocol=TCP" in sys.argv else [f"--socket={SOCKET}"]
    if name == "mysql":
        replace_input(with_innodb(sys.stdin.buffer.read()))
    os.execvp(PROGRAMS[name], [PROGRAMS[name], *sys.argv[1:], *local])


def with_innodb(statements: bytes) -> bytes:
    """Return the statements with InnoDB as the engine of NDB's tables."""
    if b"ndb" not in statements.lower():
        return statements
    import re

    return re.sub(NDB_ENGINE, b"ENGINE=InnoDB", statements)


def replace_input(data: bytes) -> None:
    """Let standard input be these bytes, also for the program that this process becomes."""
    memory = os.memfd_create("statements")
    with open(memory, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(memory, 0, os.SEEK_SET)
    os.dup2(memory, 0)


def ping_without_database() -> None:
    """Answer a ping on a VM without MariaDB; fail for anything else."""
    from aws_setup.rehearsal.programs.common import NODE_DATA, is_running
    from aws_setup.rehearsal.programs.manager_client import fail, print_line

    if sys.argv[-1] == "ping" and is_running(NODE_DATA / "mysqld.pid", "mysqld"):
        print_line("mysqld is alive")
        raise SystemExit(0)
    fail("ERROR 2002 (HY000): Can't connect to local MySQL server through socket (2)")
