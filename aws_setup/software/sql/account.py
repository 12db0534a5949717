"""The database user of HopsFS and λFS, and its password: configured, stored or generated."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.config.paths import ndb_password_path
from aws_setup.engine.receipt import write_private
from aws_setup.engine.step import Found
from aws_setup.errors import SetupError
from aws_setup.software.sql import migrations
from aws_setup.software.sql.client import DENIED, Mysql, SqlError, literal

PASSWORD_KEY = "database user"
PASSWORD_HOSTS = ("%", "localhost")
"""The user's hosts; with '%' alone an anonymous user of the image would take precedence."""


def known_password(config: Config) -> str | None:
    """Return the configured password, else the stored one, else None."""
    if config.ndb_password:
        return config.ndb_password.get_secret_value()
    try:
        return ndb_password_path(config).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def ensure_account(config: Config, root: Mysql, *, preexisting: bool) -> Mysql:
    """Create the database user or set its password, and return its client.

    Args:
        config: the user's name, password and database.
        root: the client of root.
        preexisting: the user existed before the first run of this setup.

    Raises:
        SetupError: the user has a password that is neither configured nor stored.
    """
    password = known_password(config)
    entry = migrations.read_applied(root).get(PASSWORD_KEY)
    created_here = entry is not None and entry.state is migrations.MigrationState.DONE
    if password is not None and _authenticates(Mysql(root.machine, config.ndb_user, password)):
        _grant(config, root)
    elif user_exists(config, root) and (created_here or (preexisting and not config.ndb_password)):
        raise SetupError(
            f"the database user {config.ndb_user} has another password",
            f"it is neither configured nor in {ndb_password_path(config)}",
            "set LAMBDA_FS_NDB_PASSWORD to it, or change it in the database with ALTER USER",
        )
    else:
        password = password or _new_password(config)
        _set_password(config, root, password)
    migrations.record(
        root, PASSWORD_KEY, migrations.AppliedScript(migrations.MigrationState.DONE, 1, "0" * 64)
    )
    return Mysql(root.machine, config.ndb_user, password or "")


def user_exists(config: Config, root: Mysql) -> bool:
    """Tell whether the database user exists."""
    return bool(root.run(f"SELECT host FROM mysql.user WHERE user={literal(config.ndb_user)};"))


def _authenticates(user: Mysql) -> bool:
    try:
        user.run("SELECT 1;")
    except SqlError as error:
        if error.code == DENIED:
            return False
        raise
    return True


def _new_password(config: Config) -> str:
    """Generate a password and store it before it is used."""
    # MySQL's default policy requires each class of characters.
    password = secrets.token_urlsafe(24) + "-Aa1"
    write_private(ndb_password_path(config), password + "\n")
    return password


def _set_password(config: Config, root: Mysql, password: str) -> None:
    rows = root.run(f"SELECT host FROM mysql.user WHERE user={literal(config.ndb_user)};")
    hosts = dict.fromkeys([*PASSWORD_HOSTS, *(row[0] for row in rows)])
    names = [f"{literal(config.ndb_user)}@{literal(host)}" for host in hosts]
    by = f"IDENTIFIED BY {literal(password)}"
    root.run(
        "".join(f"CREATE USER IF NOT EXISTS {name} {by};\n" for name in names)
        + "".join(f"ALTER USER {name} {by};\n" for name in names)
    )
    _grant(config, root)


def _grant(config: Config, root: Mysql) -> None:
    names = [f"{literal(config.ndb_user)}@{literal(host)}" for host in PASSWORD_HOSTS]
    existing = {
        row[0]
        for row in root.run(f"SELECT host FROM mysql.user WHERE user={literal(config.ndb_user)};")
    }
    grantees = [name for name, host in zip(names, PASSWORD_HOSTS, strict=True) if host in existing]
    root.run(
        "".join(
            f"GRANT ALL PRIVILEGES ON `{database}`.* TO {name};\n"
            for name in grantees
            for database in (config.ndb_database, migrations.DATABASE)
        )
    )


@dataclass(frozen=True)
class PasswordFile(Step):
    """The generated password on this computer; destroy deletes it with the database."""

    name: str = "database password"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return the file, None when it does not exist."""
        path = ndb_password_path(ctx.config)
        return Found(str(path)) if path.exists() else None

    def create(self, ctx: Context) -> Found:
        """Do nothing: the file is written with the database user."""
        return Found(str(ndb_password_path(ctx.config)))

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the file."""
        ndb_password_path(ctx.config).unlink(missing_ok=True)
