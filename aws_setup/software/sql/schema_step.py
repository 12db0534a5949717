"""The step that creates the database user and runs HopsFS's and λFS's scripts, each once."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.software import ssh_access
from aws_setup.software.clients.desired import NdbLogin
from aws_setup.software.clients.login import database_login, stopped_login_source
from aws_setup.software.machines import machines_of, not_checked
from aws_setup.software.sql.account import (
    ACCOUNT_KEY,
    authenticates,
    ensure_account,
    user_exists,
)
from aws_setup.software.sql.client import ROOT, Mysql
from aws_setup.software.sql.migrations import (
    AppliedScript,
    MigrationState,
    create_table,
    read_applied,
    wait_for_earlier,
)
from aws_setup.software.sql.scripts import CREATE_USER, SqlScript, execute, load
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
        entries = read_applied(root)
        if not entries:
            return None
        stopped = stopped_login_source(ctx, self.pool)
        if stopped:
            return _found(scripts, entries, None, root, remark=f"; login {not_checked(stopped)}")
        return _found(scripts, entries, database_login(ctx, self.pool), root)

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
        entries = create_table(root)
        skipped = CREATE_USER not in entries and user_exists(login, root)
        users = [script for script in scripts if script.name == CREATE_USER and not skipped]
        self._run(ctx, users, root, root)
        root.run(f"CREATE DATABASE IF NOT EXISTS `{login.database}`;")
        user = ensure_account(login, root)
        others = [script for script in scripts if script.name != CREATE_USER]
        self._run(ctx, others, user, root, database=login.database)
        return _found(scripts, read_applied(root), login, root)

    def _run(
        self,
        ctx: Context,
        scripts: list[SqlScript],
        user: Mysql,
        root: Mysql,
        *,
        database: str = "",
    ) -> None:
        entries = read_applied(root)
        for script in scripts:
            entry = entries.get(script.name)
            if entry is None or entry.state is not MigrationState.DONE:
                ctx.note(script.name)
                execute(script, entry, user, root, database=database)


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
    if not authenticates(Mysql(root.machine, login.user, login.password), database=login.database):
        return [Drift(ACCOUNT_KEY, "refused", f"{login.user}, as the clients log in")]
    return []


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
