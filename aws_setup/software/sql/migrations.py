"""The table of applied scripts in the cluster: which ones in which database, which text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aws_setup.engine.decoding import decoding
from aws_setup.errors import SetupError
from aws_setup.software.sql.client import NO_DATABASE, NO_TABLE, Mysql, SqlError, literal

DATABASE = "lambda_fs_setup"
TABLE = f"{DATABASE}.scripts"

OF_ALL_DATABASES = frozenset({"create_user.sql", "database user"})
"""Entries of the users, which are those of every database of the cluster."""

_RESTORE = f"correct the row of {TABLE} that another program has written, or delete it"

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
"""An NDB table, not one on the manager's disk, so that it exists exactly as long as the data."""

HOLD_LOCK = f"DO GET_LOCK('{DATABASE}', 60)"
"""The statement that locks until the session that runs a script ends.

When its SSH connection is lost, mysql still executes all statements that it has received.
"""

LOCK_TIMEOUT_SECONDS = 3000
"""Seconds that a run waits for the session of an earlier run."""


class MigrationState(StrEnum):
    """The state of a script; `running` without a session means that it was interrupted."""

    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class AppliedScript:
    """The number of a script's statements that have been executed, and their SHA-256."""

    state: MigrationState
    statements: int
    sha256: str


def key_of(name: str, *, database: str) -> str:
    """Return the name of an entry in the table; '' is the database of OF_ALL_DATABASES."""
    return f"{database}/{name}" if database else name


def applied_in(entries: Mapping[str, AppliedScript], database: str) -> dict[str, AppliedScript]:
    """Return the entries that count for a database with tables, without its name.

    Entries without a database are an earlier version's: they count where it has none of its own.
    """
    prefix = key_of("", database=database)
    own = {
        name.removeprefix(prefix): entry
        for name, entry in entries.items()
        if name.startswith(prefix)
    }
    unnamed = {name: entry for name, entry in entries.items() if "/" not in name}
    return of_all_databases(entries) | (own or unnamed)


def of_all_databases(entries: Mapping[str, AppliedScript]) -> dict[str, AppliedScript]:
    """Return the entries that count for every database."""
    return {name: entry for name, entry in entries.items() if name in OF_ALL_DATABASES}


def create_table(root: Mysql) -> dict[str, AppliedScript]:
    """Create the table unless it exists, and return its entries."""
    root.run(_CREATE)
    return read_applied(root)


def wait_for_earlier(root: Mysql, *, note: Callable[[str], None]) -> None:
    """Return when no session of an earlier run, which lost its connection, runs a script any more.

    Raises:
        SetupError: one is still running after 50 minutes.
    """
    if root.run(f"SELECT IS_FREE_LOCK('{DATABASE}');") == [["1"]]:
        return
    note("waiting for the statements that an earlier run has sent")
    answer = root.run(
        f"SELECT GET_LOCK('{DATABASE}', {LOCK_TIMEOUT_SECONDS});", timeout=LOCK_TIMEOUT_SECONDS + 60
    )
    if answer != [["1"]]:
        raise SetupError(
            f"{root.machine}: an earlier run's SQL script is still being executed",
            f"its session did not end in {LOCK_TIMEOUT_SECONDS // 60} minutes",
            "wait until SHOW PROCESSLIST on the NDB manager no longer has it, then run this again",
        )


def read_applied(root: Mysql) -> dict[str, AppliedScript]:
    """Return the entries of the table; none when it does not exist."""
    try:
        # The table is a constant.
        rows = root.run(f"SELECT name, state, statements, sha256 FROM {TABLE};")  # nosec B608
    except SqlError as error:
        if error.code in {NO_DATABASE, NO_TABLE}:
            return {}
        raise
    with decoding(f"{root.machine}: the table {TABLE} cannot be used", _RESTORE):
        return {
            name: AppliedScript(MigrationState(state), int(count), sha256)
            for name, state, count, sha256 in rows
        }


def record_sql(name: str, entry: AppliedScript) -> str:
    """Return the statement that writes an entry, without delimiter."""
    values = (literal(name), literal(entry.state), str(entry.statements), literal(entry.sha256))
    return f"REPLACE INTO {TABLE} (name, state, statements, sha256) VALUES ({', '.join(values)})"


def record(root: Mysql, name: str, entry: AppliedScript) -> None:
    """Write an entry."""
    root.run(record_sql(name, entry) + ";")


def assign(root: Mysql, names: Sequence[str], *, database: str) -> None:
    """Note entries without a database as those of one, all of them or none."""
    if names:
        prefix = literal(key_of("", database=database))
        root.run(
            f"UPDATE {TABLE} SET name=CONCAT({prefix}, name) WHERE name IN ({_list(names)});"  # nosec B608
        )


def delete(root: Mysql, names: Sequence[str]) -> None:
    """Delete entries."""
    if names:
        root.run(f"DELETE FROM {TABLE} WHERE name IN ({_list(names)});")  # nosec B608


def _list(names: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in names)
