"""The step that creates the database user and runs HopsFS's and λFS's scripts, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.engine.plan import shorten
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem, SetupError
from aws_setup.software import ssh_access
from aws_setup.software.clients.desired import NdbLogin
from aws_setup.software.clients.login import database_login, stopped_login_source
from aws_setup.software.machines import machines_of, not_checked
from aws_setup.software.sql.account import (
    ACCOUNT_KEY,
    UNKNOWN_PASSWORD,
    ensure_account,
    how_to_know,
    refusal,
    user_exists,
)
from aws_setup.software.sql.client import ROOT, Mysql
from aws_setup.software.sql.databases import (
    databases_with_files,
    how_to_make_tables,
    is_empty,
    prepare_entries,
    recorded_database,
)
from aws_setup.software.sql.migrations import (
    AppliedScript,
    MigrationState,
    applied_in,
    read_applied,
    wait_for_earlier,
)
from aws_setup.software.sql.scripts import CREATE_USER, SqlScript, execute, load
from aws_setup.software.sql.tables import missing_tables, tables_of
from aws_setup.ssh.pool import MachinePool

NAME = "ndb tables"
SKIPPED_WITHOUT_SCRIPTS = "ndb_sql_scripts_dir is not set (HopsFS's and λFS's SQL scripts)"


def root_client(ctx: Context, pool: MachinePool) -> Mysql | None:
    """Return the mysql client of root on the NDB manager; None while mysqld is not usable."""
    server = ctx.found.get("mysqld")
    managers = machines_of(ctx, pool, "ndb manager")
    if server is None or server.drift or not server.ready or not managers:
        return None
    secret = ctx.config.ndb_root_password
    return Mysql(managers[0], ROOT, secret.get_secret_value() if secret else "")


def mysqld_down() -> SetupError:
    """Return the error of a database that cannot be used yet."""
    return SetupError(
        "mysqld is not running",
        "the step mysqld has not succeeded",
        "run `create` again: it starts mysqld",
    )


@dataclass(frozen=True)
class SchemaStep(Step):
    """The database user and all tables, created by the scripts in ndb_sql_scripts_dir.

    There is nothing to delete: the tables are in the cluster.
    """

    pool: MachinePool
    name: str = NAME
    needs: tuple[str, ...] = (ssh_access.NAME, "mysqld")
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Read which scripts have been applied; one that has changed since is a conflict."""
        if not ctx.config.ndb_sql_scripts_dir:
            return Found("", skipped=SKIPPED_WITHOUT_SCRIPTS)
        scripts = load(ctx.config.ndb_sql_scripts_dir)
        if "mysqld" not in ctx.found:
            return None
        root = root_client(ctx, self.pool)
        if root is None:
            return Found("", "unknown", drift=(Drift("mysqld", "down", "running"),))
        recorded = read_applied(root)
        if not recorded:
            return None
        return self._compared(ctx, scripts, recorded, root)

    def _compared(
        self,
        ctx: Context,
        scripts: list[SqlScript],
        recorded: Mapping[str, AppliedScript],
        root: Mysql,
    ) -> Found:
        stopped = stopped_login_source(ctx, self.pool)
        login = None if stopped else database_login(ctx, self.pool)
        database = login.database if login else _known_database(ctx, recorded)
        if database is None:
            return Found("", not_checked(stopped))
        if database and is_empty(database, root):
            return _without_tables(ctx, scripts, database, login, root)
        entries = applied_in(recorded, database)
        _warn_of_missing(ctx, scripts, entries, database, root)
        remark = f"; login {not_checked(stopped)}" if stopped else ""
        return _found(scripts, entries, login, root, remark=remark)

    def create(self, ctx: Context) -> Found:
        """Create the database and its user, then run every script that is not complete.

        The user is made to match the login of the clients.
        """
        scripts = load(ctx.config.ndb_sql_scripts_dir or "")
        root = root_client(ctx, self.pool)
        if root is None:
            raise mysqld_down()
        login = database_login(ctx, self.pool)
        wait_for_earlier(root, note=ctx.note)
        entries = prepare_entries(login.database, root)
        skipped = CREATE_USER not in entries and user_exists(login, root)
        users = [script for script in scripts if script.name == CREATE_USER and not skipped]
        self._run(ctx, users, entries, root, root)
        root.run(f"CREATE DATABASE IF NOT EXISTS `{login.database}`;")
        user = ensure_account(login, root)
        others = [script for script in scripts if script.name != CREATE_USER]
        self._run(ctx, others, entries, user, root, database=login.database)
        if is_empty(login.database, root):
            raise _made_elsewhere(others, login.database)
        return _found(scripts, applied_in(read_applied(root), login.database), login, root)

    def _run(
        self,
        ctx: Context,
        scripts: list[SqlScript],
        entries: Mapping[str, AppliedScript],
        user: Mysql,
        root: Mysql,
        *,
        database: str = "",
    ) -> None:
        for script in scripts:
            entry = entries.get(script.name)
            if entry is None or entry.state is not MigrationState.DONE:
                ctx.note(script.name)
                execute(script, entry, user, root, database=database)


def _known_database(ctx: Context, recorded: Mapping[str, AppliedScript]) -> str | None:
    """Return the clients' database where no client tells: configured, or the only one recorded."""
    return ctx.config.ndb_database or recorded_database(recorded)


def _without_tables(
    ctx: Context, scripts: Sequence[SqlScript], database: str, login: NdbLogin | None, root: Mysql
) -> Found:
    """Return the state of a database that is new, was dropped, or was emptied."""
    others = ", ".join(name for name in databases_with_files(root) if name != database)
    if others:
        ctx.warn(
            Problem(
                f"λFS changes to the database {database}, which has no files",
                f"the files in {others} stay there, and clients and NameNodes do not see them",
                f"to keep using them, set ndb_database: {others}",
            )
        )
    facts = {"database": database, "user": login.user} if login else {}
    state = f"{database} has no tables"
    drift = Drift(
        "database", others or state, f"{database}, made with its tables and without files"
    )
    return Found(database, state, facts, (drift,))


def _warn_of_missing(
    ctx: Context,
    scripts: Sequence[SqlScript],
    entries: Mapping[str, AppliedScript],
    database: str,
    root: Mysql,
) -> None:
    """Warn of tables that were dropped: a script that has run is not repeated beside others."""
    if not database or any(_differences(script, entries.get(script.name)) for script in scripts):
        return
    needed = tables_of(scripts)
    if missing := missing_tables(needed, database, root):
        total = count_of(len(needed), "table of the scripts does", "tables of the scripts do")
        ctx.warn(
            Problem(
                f"{len(missing)} of {total} not exist in {database}: {shorten(missing)}",
                "they were dropped, and their rows with them: the NameNodes cannot work",
                f"{how_to_make_tables(ctx.config, database)}, and run this again",
            )
        )


def _made_elsewhere(scripts: Sequence[SqlScript], database: str) -> SetupError:
    uses = [
        f"{script.path}, line {statement.line}: {statement.start}"
        for script in scripts
        for statement in script.statements
        if statement.context and statement.start.upper().startswith("USE ")
    ]
    return SetupError(
        f"{database} has no tables although all scripts ran",
        uses[0] if uses else "they make their tables in another database",
        "remove the name of the other database from the scripts, or set ndb_database to it",
    )


def _found(
    scripts: list[SqlScript],
    entries: dict[str, AppliedScript],
    login: NdbLogin | None,
    root: Mysql,
    *,
    remark: str = "",
) -> Found:
    """Return the state of the scripts and of the account; `login` is None while it is not known."""
    drift: list[Drift] = []
    expected = [
        script for script in scripts if script.name != CREATE_USER or script.name in entries
    ]
    for script in expected:
        drift += _differences(script, entries.get(script.name))
    if login:
        drift += _account_differences(entries, login, root)
    done = sum(
        1
        for script in expected
        if script.name in entries and not _differences(script, entries[script.name])
    )
    facts = {"database": login.database, "user": login.user} if login else {}
    state = f"{done} of {count_of(len(expected), 'script')}{remark}"
    return Found(login.database if login else "", state, facts, tuple(drift))


def _account_differences(
    entries: dict[str, AppliedScript], login: NdbLogin, root: Mysql
) -> list[Drift]:
    if ACCOUNT_KEY not in entries:
        return [Drift(ACCOUNT_KEY, "missing", login.user)]
    user = Mysql(root.machine, login.user, login.password)
    if not (refused := refusal(user, database=login.database)):
        return []
    if refused == "refused" and login.assumed and user_exists(login, root):
        what = f"password of {login.user}"
        return [Drift(what, UNKNOWN_PASSWORD, "that of the image's user", how_to_know(login))]
    return [Drift(ACCOUNT_KEY, refused, f"{login.user}, as the clients log in")]


def _differences(script: SqlScript, entry: AppliedScript | None) -> list[Drift]:
    if entry is None:
        return [Drift(script.name, "not applied", "applied")]
    if not script.matches(entry):
        fix = (
            f"restore {script.path} as it was when it ran, and put changes to the tables into "
            "a separate script that you run by hand"
        )
        return [Drift(script.name, "applied with another text", "the file's text", fix)]
    if entry.state is not MigrationState.DONE:
        return [
            Drift(script.name, f"{entry.statements} statements executed", str(len(script.counted)))
        ]
    return []
