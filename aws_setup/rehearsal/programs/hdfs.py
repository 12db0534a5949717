"""Stands in for `hdfs namenode -format -nonInteractive`: replaces all inodes by the root.

It logs in to the database as its ndb-config.properties says, and fails as Hadoop does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, TextIO

from aws_setup.rehearsal.programs.common import has_fault, record_start
from aws_setup.rehearsal.programs.hadoop_config import driver_file, read_properties
from aws_setup.rehearsal.programs.manager_client import fail
from aws_setup.rehearsal.programs.manager_client import print_line as print_to

SERVER = "io.hops.metadata.ndb.mysqlserver"

SQL = """\
DELETE FROM hdfs_inodes;
INSERT INTO hdfs_inodes (id, parent_id, name) VALUES (1, 0, '');
"""

GO_ON = Path("/var/log/hdfs-goes-on")
"""The file for which a format waits that was started with the fault `hdfs hangs`."""

NOT_CONNECTED = ("ERROR 2002", "ERROR 2003", "ERROR 2005", "ERROR 2013")
"""Starts of the errors of MariaDB's client when it does not reach a server."""


def main() -> None:
    """Format the file system in the deployment's database, with output as long as the real one."""
    hangs = has_fault("hdfs hangs")
    record_start()
    if sys.argv[1:3] != ["namenode", "-format"]:
        fail("Usage: hdfs namenode -format [-nonInteractive]")
    for number in range(200):
        print_line(
            f"2026-01-01 00:00:00,{number:03d} INFO  namenode.NameNode: line {number}", sys.stderr
        )
    if has_fault("hdfs fails"):
        _failed("java.io.IOException: no storage")
    while hangs and not GO_ON.exists():
        time.sleep(0.05)
    try:
        ndb = read_properties(driver_file(Path(sys.argv[0]).resolve().parent.parent / "etc/hadoop"))
    except FileNotFoundError as error:
        _failed(f"java.io.FileNotFoundException: {error.filename} (No such file or directory)")
    _execute(ndb)
    print_line(
        "INFO common.Storage: Storage directory has been successfully formatted.", sys.stderr
    )


def print_line(text: str, stream: TextIO) -> None:
    """Print a line; as a JVM, go on when nobody reads it any more."""
    with contextlib.suppress(BrokenPipeError):
        print_to(text, stream)
        stream.flush()


def _execute(ndb: Mapping[str, str]) -> None:
    """Execute the statements with the database, user and password of the properties."""
    command = [
        *("mariadb", "--no-defaults", "--protocol=TCP", "--connect-timeout=5"),
        f"--host={ndb.get(f'{SERVER}.host', '')}",
        f"--port={ndb.get(f'{SERVER}.port', '3306')}",
        f"--user={ndb.get(f'{SERVER}.username', '')}",
        ndb.get("com.mysql.clusterj.database", ""),
    ]
    environment = {**os.environ, "MYSQL_PWD": ndb.get(f"{SERVER}.password", "")}
    done = subprocess.run(
        command, input=SQL.encode(), check=False, capture_output=True, env=environment
    )
    if done.returncode == 0:
        return
    error = done.stderr.decode(errors="replace").strip()
    if error.startswith(NOT_CONNECTED):
        _failed(
            "io.hops.exception.StorageException: "
            "com.mysql.jdbc.exceptions.jdbc4.CommunicationsException: Communications link failure"
        )
    message = error.partition("): ")[2] or error
    _failed(f"io.hops.exception.StorageException: java.sql.SQLException: {message}")


def _failed(why: str) -> NoReturn:
    fail(f"ERROR namenode.NameNode: Failed to start namenode.\n{why}")
    raise AssertionError
