"""The steps that format the file systems, once each: formatting destroys all metadata."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.config.paths import format_log_path
from aws_setup.config.software import SQL_SCRIPTS
from aws_setup.engine.private_files import open_private
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.software.clients.desired import HADOOP, HOPS_FS_RELEASE, LAMBDA_FS_RELEASE
from aws_setup.software.clients.login import database_login, stopped_login_source
from aws_setup.software.machines import machines_of, not_checked
from aws_setup.software.sql import migrations
from aws_setup.software.sql.client import NO_DATABASE, NO_TABLE, Mysql, SqlError
from aws_setup.software.sql.migrations import AppliedScript, MigrationState
from aws_setup.software.sql.schema_step import NAME as SCHEMA
from aws_setup.software.sql.schema_step import mysqld_down, root_client
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

TIMEOUT = 1800.0
"""Time limit of `hdfs namenode -format`, in seconds."""

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


LAMBDA_FS = FileSystem("lambda-fs format", "lambda-fs client", LAMBDA_FS_RELEASE)
HOPS_FS = FileSystem("hopsfs format", "hopsfs client", HOPS_FS_RELEASE)


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
        applied = migrations.read_applied(root).get(self.name)
        inodes = _count_inodes(self._database(ctx), root)
        done = applied is not None and applied.state is MigrationState.DONE
        if not done and (inodes is None or inodes <= 1):
            return None
        state = "formatted" if done else "in use, not formatted by this deployment"
        drift = (Drift("file system", state, "reformatted"),) if ctx.reformat else ()
        return Found(self.system.client, f"{state}, {count_of(inodes or 0, 'inode')}", {}, drift)

    def create(self, ctx: Context) -> Found:
        """Format, unless the database shows that the file system is in use.

        Raises:
            SetupError: there are no tables yet, or hdfs failed; the error names its log.
        """
        root = root_client(ctx, self.pool)
        if root is None:
            raise mysqld_down()
        formatted = self._formatted(ctx, root)
        if formatted and not ctx.reformat:
            return formatted
        database = self._database(ctx)
        if _count_inodes(database, root) is None:
            raise SetupError(
                f"{self.name}: there is no table hdfs_inodes in {database}",
                "the tables must exist before the file system is formatted",
                "set populate_mysql_ndb_tables: True"
                if ctx.config.ndb_sql_scripts_dir
                else SQL_SCRIPTS,
            )
        return self._format(ctx, root)

    def _database(self, ctx: Context) -> str:
        return self._known_database(ctx) or database_login(ctx, self.pool).database

    def _known_database(self, ctx: Context) -> str:
        """Return the clients' database: as configured, or as the step of the tables has read it."""
        tables = ctx.found.get(SCHEMA)
        known = str(tables.facts.get("database", "")) if tables else ""
        return ctx.config.ndb_database or known

    def _format(self, ctx: Context, root: Mysql) -> Found:
        client = machines_of(ctx, self.pool, self.system.client)[0]
        migrations.create_table(root)
        self._record(root, MigrationState.RUNNING, statements=0)
        log = format_log_path(ctx.config, self.name)
        ctx.note(f"hdfs writes to {log}")
        self._run(client, log)
        self._record(root, MigrationState.DONE, statements=1)
        return Found(self.system.client, "formatted", {"log": str(log)})

    def _record(self, root: Mysql, state: MigrationState, *, statements: int) -> None:
        migrations.record(root, self.name, AppliedScript(state, statements, "0" * 64))

    def _run(self, client: Machine, log: Path) -> None:
        command = [self.system.hdfs, "namenode", "-format", "-nonInteractive"]
        with os.fdopen(_open_log(log), "wb") as file:
            result = client.run(
                command,
                sudo=True,
                timeout=TIMEOUT,
                check=False,
                output=file.write,
            )
        if result.code:
            raise SetupError(
                f"{client}: hdfs namenode -format ended with exit code {result.code}",
                error_line(log.read_text(encoding="utf-8", errors="replace")),
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


def _count_inodes(database: str, root: Mysql) -> int | None:
    """Return the number of files and folders, including the root; None without the tables."""
    try:
        # The name of the database is checked by the configuration: letters, digits and _.
        rows = root.run(f"SELECT COUNT(*) FROM `{database}`.hdfs_inodes;")  # nosec B608
    except SqlError as error:
        if error.code in {NO_DATABASE, NO_TABLE}:
            return None
        raise
    return int(rows[0][0])


def error_line(log: str) -> str:
    """Return the last line of a log's end that reports an error, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()][-LOG_TAIL_LINES:]
    errors = [line for line in lines if "Exception" in line or "ERROR" in line or "FATAL" in line]
    return (errors or lines or ["it printed nothing"])[-1]
