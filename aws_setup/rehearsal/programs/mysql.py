"""Stands in for mysql and mysqladmin: runs MariaDB's clients on the VM's MariaDB.

MariaDB has no NDB storage engine: `ENGINE=NDBCLUSTER` is replaced by InnoDB.
"""

from __future__ import annotations

import re
import subprocess
import sys

from aws_setup.rehearsal.programs.common import NAME, NODE_DATA, fail, is_running, print_line
from aws_setup.rehearsal.programs.mysqld import DATABASE, SOCKET

NDB_ENGINE = re.compile(r"ENGINE\s*=\s*ndb(cluster)?\b", re.IGNORECASE)
PROGRAMS = {"mysql": "mariadb", "mysqladmin": "mariadb-admin"}


def main() -> None:
    """Run the real client with the same arguments and input."""
    if not DATABASE.exists():
        ping_without_database()
    socket = [] if "--protocol=TCP" in sys.argv else [f"--socket={SOCKET}"]
    command = [PROGRAMS[NAME], *sys.argv[1:], *socket]
    if NAME != "mysql":
        raise SystemExit(subprocess.run(command, check=False).returncode)
    text = NDB_ENGINE.sub("ENGINE=InnoDB", sys.stdin.read())
    raise SystemExit(subprocess.run(command, input=text.encode(), check=False).returncode)


def ping_without_database() -> None:
    """Answer a ping on a VM without MariaDB; fail for anything else."""
    if sys.argv[-1] == "ping" and is_running(NODE_DATA / "mysqld.pid", "mysqld"):
        print_line("mysqld is alive")
        raise SystemExit(0)
    fail("ERROR 2002 (HY000): Can't connect to local MySQL server through socket (2)")
