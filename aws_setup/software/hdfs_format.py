"""The steps that format the file systems, once each: formatting destroys all metadata."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.config.paths import FORMAT_STEPS, format_log_path
from aws_setup.config.regular_files import read_file
from aws_setup.engine.private_files import open_private
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import format_duration
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.software.clients.desired import (
    DATABASE,
    HADOOP,
    HOPS_FS_RELEASE,
    KINDS,
    LAMBDA_FS_RELEASE,
)
from aws_setup.software.clients.login import PUBLISHED, database_login, stopped_login_source
from aws_setup.software.clients.remote_files import read_files
from aws_setup.software.java_properties import JavaProperties
from aws_setup.software.machines import machines_of, not_checked
from aws_setup.software.sql import migrations
from aws_setup.software.sql.client import Mysql
from aws_setup.software.sql.databases import (
    INODES,
    count_inodes,
    how_to_make_tables,
    prepare_entries,
)
from aws_setup.software.sql.migrations import AppliedScript, MigrationState
from aws_setup.software.sql.schema_step import NAME as SCHEMA
from aws_setup.software.sql.schema_step import mysqld_down, root_client
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

TIMEOUT = 1800.0
"""Time limit of `hdfs namenode -format`, in seconds; the client keeps it without a connection."""

KILL_AFTER = 30.0
"""Seconds that hdfs has to end after its time limit, before it is killed."""

_GRACE = 15.0
"""Seconds by which the limit of the SSH command is later, so that the client's comes first."""

LOCK = "/run/lambda-fs-format.lock"
"""The file on a client that is locked as long as a process of hdfs formats from there."""

_LOCKED = 75
"""Exit code of flock where the file is locked: EX_TEMPFAIL, which hdfs does not use."""

_LOCKING = ("flock", "--nonblock", "--conflict-exit-code", str(_LOCKED), LOCK)

LOG_TAIL_LINES = 12
"""Lines at the end of the log that are searched for the error."""


@dataclass(frozen=True)
class FileSystem:
    """What differs between λFS and HopsFS: the format step, the client's step, the release."""

    step: str
    client: str
    release: str

    @property
    def hdfs(self) -> str:
        """The path of `hdfs` on the client."""
        return f"{HADOOP}/{self.release}/bin/hdfs"


LAMBDA_FS = FileSystem(FORMAT_STEPS[0], "lambda-fs client", LAMBDA_FS_RELEASE)
HOPS_FS = FileSystem(FORMAT_STEPS[1], "hopsfs client", HOPS_FS_RELEASE)


@dataclass(frozen=True)
class FormatFileSystem(Step):
    """A file system formatted by one of its clients; one that is in use is never formatted.

    There is nothing to delete: the metadata is in the database.
    """

    pool: MachinePool
    system: FileSystem
    needs: tuple[str, ...]
    part: str = "software"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.system.step

    def find(self, ctx: Context) -> Found | None:
        """Query the database; None when the file system is neither formatted nor in use."""
        if ctx.config.ndb_sql_scripts_dir is None and ctx.config.populate_mysql_ndb_tables:
            return Found("", skipped="there are no tables without ndb_sql_scripts_dir")
        if "mysqld" not in ctx.found:
            return None
        root = root_client(ctx, self.pool)
        if root is None:
            return Found("", "unknown", drift=(Drift("mysqld", "down", "running"),))
        stopped = "" if self._known_database(ctx) else stopped_login_source(ctx, self.pool)
        if stopped:
            return Found(self.system.client, not_checked(stopped))
        return self._formatted(ctx, root)

    def _formatted(self, ctx: Context, root: Mysql) -> Found | None:
        database = self._database(ctx)
        applied = migrations.applied_in(migrations.read_applied(root), database).get(self.name)
        inodes = count_inodes(database, root)
        done = applied is not None and applied.state is MigrationState.DONE
        if inodes is None or (not done and inodes <= 1):
            return None
        state = "formatted" if done else "in use, not formatted by this deployment"
        drift = (Drift("file system", state, "reformatted"),) if ctx.reformat else ()
        return Found(self.system.client, f"{state}, {count_of(inodes, 'inode')}", {}, drift)

    def create(self, ctx: Context) -> Found:
        """Format, unless the database shows that the file system is in use.

        Raises:
            SetupError: there are no tables yet, an earlier format still runs, or hdfs failed; the
                error names its log.
        """
        root = root_client(ctx, self.pool)
        if root is None:
            raise mysqld_down()
        self._refuse_beside_earlier(ctx)
        formatted = self._formatted(ctx, root)
        if formatted and not ctx.reformat:
            return formatted
        database = self._database(ctx)
        if count_inodes(database, root) is None:
            raise SetupError(
                f"{self.name}: there is no table {INODES} in {database}",
                "the tables must exist before the file system is formatted",
                how_to_make_tables(ctx.config, database),
            )
        return self._format(ctx, root, database)

    def _database(self, ctx: Context) -> str:
        return self._known_database(ctx) or database_login(ctx, self.pool).database

    def _known_database(self, ctx: Context) -> str:
        """Return the clients' database: as configured, or as the step of the tables has read it."""
        tables = ctx.found.get(SCHEMA)
        known = str(tables.facts.get("database", "")) if tables else ""
        return ctx.config.ndb_database or known

    def _format(self, ctx: Context, root: Mysql, database: str) -> Found:
        client = machines_of(ctx, self.pool, self.system.client)[0]
        self._refuse_another_database(client, database)
        prepare_entries(database, root)
        key = migrations.key_of(self.name, database=database)
        migrations.record(root, key, AppliedScript(MigrationState.RUNNING, 0, "0" * 64))
        log = format_log_path(ctx.config, self.name)
        ctx.note(f"hdfs writes to {log}")
        self._run(client, log)
        migrations.record(root, key, AppliedScript(MigrationState.DONE, 1, "0" * 64))
        return Found(self.system.client, "formatted", {"log": str(log)})

    def _refuse_beside_earlier(self, ctx: Context) -> None:
        """Refuse while a client formats, also the other one: both systems share the tables.

        It precedes the look at the tables, which an earlier format could change after it.
        """
        clients = machines_of(ctx, self.pool, LAMBDA_FS.client, HOPS_FS.client)
        probe = [*_LOCKING, "true"]
        for client in (client for client in clients if client.address):
            if client.run(probe, sudo=True, check=False, repeatable=True).code == _LOCKED:
                raise _still_runs(client)

    def _refuse_another_database(self, client: Machine, database: str) -> None:
        """Refuse where hdfs would format another database than the one that was looked at."""
        kind = next(kind for kind in KINDS if kind.step == self.system.client)
        files = read_files(client, (kind.ndb,))
        if kind.ndb not in files:
            return
        file = JavaProperties.parse(files[kind.ndb], source=f"{client.name}: {kind.ndb}")
        named = file.get(DATABASE) or PUBLISHED.database
        if named != database:
            raise SetupError(
                f"{self.name}: {client.name} would format the database {named}, not {database}",
                f"{DATABASE} in {kind.ndb} names it",
                f"set configure_clients: True, or ndb_database: {named}",
            )

    def _run(self, client: Machine, log: Path) -> None:
        """Run hdfs, which goes on when the connection is lost: without a terminal no signal comes.

        So the client itself limits its time, and locks out another one. The lock is released when
        the last process that has inherited the open file ends (flock(2)).
        """
        limit = ["timeout", f"--kill-after={KILL_AFTER}", str(TIMEOUT)]
        command = [*limit, *_LOCKING, self.system.hdfs, "namenode", "-format", "-nonInteractive"]
        began = client.clock.now()
        with os.fdopen(_open_log(log), "wb") as file:
            result = client.run(
                command,
                sudo=True,
                timeout=TIMEOUT + KILL_AFTER + _GRACE,
                check=False,
                output=file.write,
                label="hdfs namenode -format",
            )
        if result.code == _LOCKED:
            raise _still_runs(client)
        if result.code:
            late = client.clock.now() - began >= TIMEOUT
            raise _failed(client, result.code, log, late=late)


def _still_runs(client: Machine) -> SetupError:
    return SetupError(
        f"{client}: an earlier hdfs namenode -format still runs",
        "it goes on without the run that started it, and empties the tables of both file systems "
        "when it gets through",
        f"wait until it has ended, at most {format_duration(TIMEOUT + KILL_AFTER)}, then run the "
        "same command again; store nothing in the file systems before",
    )


def _failed(client: Machine, code: int, log: Path, *, late: bool) -> SetupError:
    line = error_line(read_file(log).decode("utf-8", "replace"))
    if late:
        return SetupError(
            f"{client}: hdfs namenode -format did not end within {format_duration(TIMEOUT)} and "
            "was ended",
            line,
            f"check `ndb_mgm -e show` and {log}, then run the same command again",
        )
    return SetupError(
        f"{client}: hdfs namenode -format ended with exit code {code}",
        line,
        f"fix the cause (see {log}), then run the same command again",
    )


def _open_log(log: Path) -> int:
    """Return the handle of the log of `hdfs`.

    Raises:
        SetupError: it cannot be written.
    """
    try:
        return open_private(log)
    except OSError as error:
        raise SetupError(
            f"{log} cannot be written", error.strerror or str(error), "remove it, then run again"
        ) from None


def error_line(log: str) -> str:
    """Return the last line of a log's end that reports an error, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()][-LOG_TAIL_LINES:]
    errors = [line for line in lines if "Exception" in line or "ERROR" in line or "FATAL" in line]
    return (errors or lines or ["it printed nothing"])[-1]
