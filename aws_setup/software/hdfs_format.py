"""The steps that format the file system, once: formatting destroys its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.config.paths import format_log_path
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.software.machines import machines
from aws_setup.software.sql import migrations
from aws_setup.software.sql.client import NO_DATABASE, NO_TABLE, Mysql, SqlError
from aws_setup.software.sql.schema_step import root_client
from aws_setup.ssh import Machine, MachinePool

HADOOP = "/home/ubuntu/repos/hops/hadoop-dist/target"
TIMEOUT = 1800.0
SEEN = 12
"""Lines of the log's end in which the error is looked for."""


@dataclass(frozen=True)
class FileSystem:
    """What differs between λFS and HopsFS: the client's step, the release, and how to call it."""

    title: str
    client: str
    release: str

    @property
    def hdfs(self) -> str:
        """The path of `hdfs` on the client."""
        return f"{HADOOP}/{self.release}/bin/hdfs"


LAMBDA_FS = FileSystem("λFS", "lambda-fs client", "hadoop-3.2.0.3-SNAPSHOT")
HOPS_FS = FileSystem("HopsFS", "hopsfs client", "hadoop-3.2.0.2-RC0")


@dataclass(frozen=True)
class FormatFileSystem(Step):
    """The file system formatted by one of its clients; never again over one that is in use."""

    hosts: MachinePool
    system: FileSystem
    needs: tuple[str, ...]
    part: str = "software"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name, after the client's."""
        return f"{self.system.client.removesuffix(' client')} format"

    def find(self, ctx: Context) -> Found | None:
        """Ask the database: formatted before, or in use; None when it may be formatted."""
        if ctx.config.ndb_sql_scripts_dir is None and ctx.config.populate_mysql_ndb_tables:
            return Found("", skipped="there are no tables without ndb_sql_scripts_dir")
        if "mysqld" not in ctx.found:
            return None
        root = root_client(ctx, self.hosts)
        if root is None:
            return Found("", "unknown", drift=(Drift("mysqld", "down", "running"),))
        return self._formatted(ctx, root)

    def _formatted(self, ctx: Context, root: Mysql) -> Found | None:
        entry = migrations.read_applied(root).get(self.name)
        inodes = _inodes(ctx, root)
        done = entry is not None and entry.state is migrations.MigrationState.DONE
        if not done and (inodes is None or inodes <= 1):
            return None
        state = "formatted" if done else "in use, formatted by somebody else"
        drift = (Drift("file system", state, "formatted anew"),) if ctx.reformat else ()
        return Found(self.system.client, f"{state}, {inodes or 0} inodes", {}, drift)

    def create(self, ctx: Context) -> Found:
        """Format, unless the database says that the file system is in use.

        Raises:
            SetupError: there are no tables yet, or hdfs failed; its log is named.
        """
        root = root_client(ctx, self.hosts)
        if root is None:
            raise SetupError("mysqld does not run", "its step has not ended well", "run it again")
        formatted = self._formatted(ctx, root)
        if formatted and not ctx.reformat:
            return formatted
        if _inodes(ctx, root) is None:
            raise SetupError(
                f"{self.name}: there is no table hdfs_inodes in {ctx.config.ndb_database}",
                "the tables must be there before the file system is formatted",
                "set ndb_sql_scripts_dir and populate_mysql_ndb_tables: True",
            )
        return self._format(ctx, root)

    def _format(self, ctx: Context, root: Mysql) -> Found:
        client = machines(ctx, self.hosts, self.system.client)[0]
        migrations.create_table(root)
        migrations.record(
            root,
            self.name,
            migrations.AppliedScript(migrations.MigrationState.RUNNING, 0, "0" * 64),
        )
        log = format_log_path(ctx.config, self.name)
        ctx.note(f"hdfs writes to {log}")
        self._run(client, log)
        migrations.record(
            root, self.name, migrations.AppliedScript(migrations.MigrationState.DONE, 1, "0" * 64)
        )
        return Found(self.system.client, "formatted", {"log": str(log)})

    def _run(self, client: Machine, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [self.system.hdfs, "namenode", "-format", "-nonInteractive"]
        with log.open("wb") as file:
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
                _cause(log.read_text(encoding="utf-8", errors="replace")),
                f"see {log}, mend the cause, then run the same command again",
            )


def _inodes(ctx: Context, root: Mysql) -> int | None:
    """Return how many files and folders there are, the root included; None without the tables."""
    try:
        rows = root.run(f"SELECT COUNT(*) FROM `{ctx.config.ndb_database}`.hdfs_inodes;")
    except SqlError as error:
        if error.code in {NO_DATABASE, NO_TABLE}:
            return None
        raise
    return int(rows[0][0])


def _cause(log: str) -> str:
    """Return the line of the log's end that says why, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()][-SEEN:]
    told = [line for line in lines if "Exception" in line or "ERROR" in line or "FATAL" in line]
    return (told or lines or ["it printed nothing"])[-1]
