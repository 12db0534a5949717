"""The database user of HopsFS and λFS: created, and its password set, as the clients log in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.local_file import LocalFile
from aws_setup.config import Config
from aws_setup.config.paths import ndb_password_path
from aws_setup.errors import SetupError
from aws_setup.software.clients.desired import NdbLogin
from aws_setup.software.sql import migrations
from aws_setup.software.sql.client import (
    DENIED,
    DENIED_DATABASE,
    NO_DATABASE,
    ROOT,
    Mysql,
    SqlError,
    literal,
)

ACCOUNT_KEY = "database user"
"""Name of the account's entry in the table of applied scripts."""

ANY_HOST = "%"
ACCOUNT_HOSTS = (ANY_HOST, "localhost")
"""The user's hosts; with '%' alone an anonymous user of the image would take precedence."""


NDBINFO = "ndbinfo"
"""The database in which mysqld shows the state of NDB."""

READS_NDBINFO = """\
SELECT (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE='SELECT')
+ (SELECT COUNT(*) FROM information_schema.SCHEMA_PRIVILEGES
WHERE PRIVILEGE_TYPE='SELECT' AND TABLE_SCHEMA='ndbinfo');"""
"""Says of the user who asks whether it may read ndbinfo: 0 is no."""

UNKNOWN_PASSWORD = "one that this computer does not know"
"""What is wrong where another computer has set the password; changing it would lock others out."""


def how_to_know(login: NdbLogin) -> str:
    """Return the fix where the password of a user that exists is not known."""
    return (
        f"set LAMBDA_FS_NDB_PASSWORD to the password of {login.user}; the computer that made the "
        "deployment may have it in its file DEPLOYMENT.ndb_password beside the receipt"
    )


def ensure_account(login: NdbLogin, root: Mysql) -> Mysql:
    """Create the database user or set its password to the login's, and return its client.

    Raises:
        SetupError: the login is root's with another password, which is never changed; or the
            password of a user that exists is not known on this computer.
    """
    user = Mysql(root.machine, login.user, login.password)
    if ANY_HOST in _hosts(root, login.user) and authenticates(user):
        _grant(login, root)
    elif login.user == ROOT:
        raise SetupError(
            "the clients log in to MySQL as root, and their password is refused",
            "this program does not change the password of root",
            "set ndb_user to another name",
        )
    elif login.assumed and user_exists(login, root):
        raise SetupError(
            f"the password of MySQL's user {login.user} is {UNKNOWN_PASSWORD}",
            "NameNodes and clients may log in with it, so it is not changed",
            how_to_know(login),
        )
    else:
        _set_password(login, root)
        _grant(login, root)
    migrations.record(
        root, ACCOUNT_KEY, migrations.AppliedScript(migrations.MigrationState.DONE, 1, "0" * 64)
    )
    return user


def user_exists(login: NdbLogin, root: Mysql) -> bool:
    """Tell whether the database user exists."""
    return bool(_hosts(root, login.user))


def authenticates(user: Mysql, *, database: str = "") -> bool:
    """Tell whether a user can log in, and use a database."""
    try:
        user.run("SELECT 1;", database=database)
    except SqlError as error:
        if error.code in {DENIED, DENIED_DATABASE, NO_DATABASE}:
            return False
        raise
    return True


def refusal(user: Mysql, *, database: str) -> str:
    """Return what a user is refused: the login, or ndbinfo, which NameNodes read; '' for nothing.

    A NameNode asks for NDB's free memory when it starts (NameNodeResourceChecker,
    MysqlServerConnector.hasResources in https://github.com/ds2-lab/LambdaFS and
    https://github.com/hopshadoop/hops-metadata-dal-impl-ndb).
    """
    try:
        [[number]] = user.run(READS_NDBINFO, database=database)
    except SqlError as error:
        if error.code in {DENIED, DENIED_DATABASE, NO_DATABASE}:
            return "refused"
        raise
    return "" if number != "0" else f"may not read {NDBINFO}"


def _hosts(root: Mysql, user: str) -> list[str]:
    rows = root.run(f"SELECT host FROM mysql.user WHERE user={literal(user)};")  # nosec B608
    return [row[0] for row in rows]


def _set_password(login: NdbLogin, root: Mysql) -> None:
    hosts = dict.fromkeys([*ACCOUNT_HOSTS, *_hosts(root, login.user)])
    names = [f"{literal(login.user)}@{literal(host)}" for host in hosts]
    by = f"IDENTIFIED BY {literal(login.password)}"
    root.run(
        "".join(f"CREATE USER IF NOT EXISTS {name} {by};\n" for name in names)
        + "".join(f"ALTER USER {name} {by};\n" for name in names)
    )


def _grant(login: NdbLogin, root: Mysql) -> None:
    grantees = [host for host in _hosts(root, login.user) if host in ACCOUNT_HOSTS]
    root.run(
        "".join(
            f"GRANT ALL PRIVILEGES ON `{database}`.* TO {literal(login.user)}@{literal(host)};\n"
            for host in grantees
            for database in (login.database, migrations.DATABASE)
        )
        + "".join(
            f"GRANT SELECT ON {NDBINFO}.* TO {literal(login.user)}@{literal(host)};\n"
            for host in grantees
        )
    )


@dataclass(frozen=True)
class PasswordFile(LocalFile):
    """The password that an earlier version generated; destroy deletes it with the database."""

    name: str = "database password"

    def path(self, config: Config) -> Path:
        """Return where the file is."""
        return ndb_password_path(config)
