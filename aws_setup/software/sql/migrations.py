"""The books: a table in the database that says which scripts ran, how far, and with which text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from aws_setup.errors import SetupError
from aws_setup.software.sql.client import NO_DATABASE, NO_TABLE, Mysql, SqlError, literal

DATABASE = "lambda_fs_setup"
TABLE = f"{DATABASE}.scripts"

_CREATE = f"""\
CREATE DATABASE IF NOT EXISTS {DATABASE};
CREATE TABLE IF NOT EXISTS {TABLE} (
  name VARCHAR(120) NOT NULL PRIMARY KEY,
  state VARCHAR(10) NOT NULL,
  statements INT NOT NULL,
  sha256 CHAR(64) NOT NULL,
  changed TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
) ENGINE=NDBCLUSTER;
"""
"""In the cluster and not on the manager's disk, so that it lives exactly as long as the data."""

HOLD_LOCK = f"DO GET_LOCK('{DATABASE}', 60)"
"""The statement with which a session that runs a script says so, until it ends.

mysql goes on with what it was sent when its SSH connection breaks, for as long as that takes.
"""

LOCK_TIMEOUT_SECONDS = 3000
"""Seconds that a run waits for the session of an earlier one."""


class MigrationState(StrEnum):
    """How far a script came; a running one was interrupted when nobody runs it."""

    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class AppliedScript:
    """How many of a script's statements have run, and the SHA-256 of those."""

    state: MigrationState
    statements: int
    sha256: str


def create_table(root: Mysql) -> dict[str, AppliedScript]:
    """Make the books when there are none, and return what they say."""
    root.run(_CREATE)
    return read_applied(root)


def wait_for_earlier(root: Mysql, *, note: Callable[[str], None]) -> None:
    """Return when no session of an earlier run, whose connection broke, runs a script any more.

    Raises:
        SetupError: one still does after 50 minutes.
    """
    if root.run(f"SELECT IS_FREE_LOCK('{DATABASE}');") == [["1"]]:
        return
    note("waiting for the statements that an earlier run has sent")
    got = root.run(
        f"SELECT GET_LOCK('{DATABASE}', {LOCK_TIMEOUT_SECONDS});", timeout=LOCK_TIMEOUT_SECONDS + 60
    )
    if got != [["1"]]:
        raise SetupError(
            f"{root.machine}: an earlier run's SQL script is still being executed",
            f"its session did not end in {LOCK_TIMEOUT_SECONDS // 60} minutes",
            "see SHOW PROCESSLIST on the NDB manager; when it has ended, run the same command",
        )


def read_applied(root: Mysql) -> dict[str, AppliedScript]:
    """Return what the books say; nothing when there are none."""
    try:
        rows = root.run(f"SELECT name, state, statements, sha256 FROM {TABLE};")
    except SqlError as error:
        if error.code in {NO_DATABASE, NO_TABLE}:
            return {}
        raise
    return {
        name: AppliedScript(MigrationState(state), int(count), sha256)
        for name, state, count, sha256 in rows
    }


def record_sql(name: str, entry: AppliedScript) -> str:
    """Return the statement that writes an entry, without its delimiter."""
    values = (literal(name), literal(entry.state), str(entry.statements), literal(entry.sha256))
    return f"REPLACE INTO {TABLE} (name, state, statements, sha256) VALUES ({', '.join(values)})"


def record(root: Mysql, name: str, entry: AppliedScript) -> None:
    """Write an entry."""
    root.run(record_sql(name, entry) + ";")
