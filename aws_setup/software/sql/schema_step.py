"""The step that makes the database user and runs HopsFS's and λFS's scripts, each once."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.config.paths import ndb_password_path
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.software import ssh_access
from aws_setup.software.machines import machines
from aws_setup.software.sql.account import PASSWORD_KEY, ensure_account, exists
from aws_setup.software.sql.client import ROOT, Mysql
from aws_setup.software.sql.migrations import (
    AppliedScript,
    MigrationState,
    create_table,
    read_applied,
    wait_for_earlier,
)
from aws_setup.software.sql.scripts import CREATE_USER, Script, execute, load
from aws_setup.ssh import MachinePool

NAME = "ndb tables"
SKIPPED_WITHOUT_SCRIPTS = "ndb_sql_scripts_dir names no folder with HopsFS's and λFS's SQL scripts"


def root_client(ctx: Context, hosts: MachinePool) -> Mysql | None:
    """Return the mysql client as root on the NDB manager; None while mysqld is not usable."""
    server = ctx.found.get("mysqld")
    managers = machines(ctx, hosts, "ndb manager")
    if server is None or server.drift or not server.ready or not managers:
        return None
    secret = ctx.config.ndb_root_password
    return Mysql(managers[0], ROOT, secret.get_secret_value() if secret else "")


@dataclass(frozen=True)
class SchemaStep(Step):
    """The database user and every table, made by the scripts of ndb_sql_scripts_dir."""

    hosts: MachinePool
    name: str = NAME
    needs: tuple[str, ...] = (ssh_access.NAME, "mysqld")
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Ask the books which scripts have run; a changed one that has is a conflict."""
        if not ctx.config.ndb_sql_scripts_dir:
            return Found("", skipped=SKIPPED_WITHOUT_SCRIPTS)
        scripts = load(ctx.config.ndb_sql_scripts_dir)
        if "mysqld" not in ctx.found:
            return None
        root = root_client(ctx, self.hosts)
        if root is None:
            return Found("", "unknown", drift=(Drift("mysqld", "down", "running"),))
        entries = read_applied(root)
        return _found(ctx, scripts, entries) if entries else None

    def create(self, ctx: Context) -> Found:
        """Make the database and its user, then run every script that has not run to its end."""
        config = ctx.config
        scripts = load(config.ndb_sql_scripts_dir or "")
        root = root_client(ctx, self.hosts)
        if root is None:
            raise SetupError("mysqld does not run", "its step has not ended well", "run it again")
        wait_for_earlier(root, note=ctx.note)
        entries = create_table(root)
        foreign = (
            PASSWORD_KEY not in entries and CREATE_USER not in entries and exists(config, root)
        )
        users = [script for script in scripts if script.name == CREATE_USER and not foreign]
        self._run(ctx, users, root, root)
        root.run(f"CREATE DATABASE IF NOT EXISTS `{config.ndb_database}`;")
        user = ensure_account(config, root, foreign=foreign)
        self._run(ctx, [script for script in scripts if script.name != CREATE_USER], user, root)
        return _found(ctx, scripts, read_applied(root))

    def _run(self, ctx: Context, scripts: list[Script], user: Mysql, root: Mysql) -> None:
        database = "" if user is root else ctx.config.ndb_database
        entries = read_applied(root)
        for script in scripts:
            entry = entries.get(script.name)
            if entry is None or entry.state is not MigrationState.DONE:
                ctx.note(script.name)
                execute(script, entry, user, root, database=database)


def _found(ctx: Context, scripts: list[Script], entries: dict[str, AppliedScript]) -> Found:
    drift: list[Drift] = []
    wanted = [script for script in scripts if script.name != CREATE_USER or script.name in entries]
    for script in wanted:
        drift += _differences(script, entries.get(script.name))
    if PASSWORD_KEY not in entries:
        drift.append(Drift(PASSWORD_KEY, "missing", ctx.config.ndb_user))
    done = sum(
        1
        for script in wanted
        if script.name in entries and not _differences(script, entries[script.name])
    )
    facts = {"database": ctx.config.ndb_database, "user": ctx.config.ndb_user}
    if ndb_password_path(ctx.config).exists():
        facts["password_file"] = str(ndb_password_path(ctx.config))
    return Found(ctx.config.ndb_database, f"{done} of {len(wanted)} scripts", facts, tuple(drift))


def _differences(script: Script, entry: AppliedScript | None) -> list[Drift]:
    if entry is None:
        return [Drift(script.name, "not run", "run")]
    if not script.agrees(entry):
        mend = (
            f"put {script.path} back as it was when it ran; a change to the tables belongs into "
            "a script of its own, run by hand"
        )
        return [Drift(script.name, "run with another text", "the file's text", mend)]
    if entry.state is not MigrationState.DONE:
        return [Drift(script.name, f"{entry.statements} statements run", str(len(script.work)))]
    return []
