"""The database login of clients and NameNodes: configured, else that of the client's image."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.config.paths import ndb_password_path
from aws_setup.engine.decoding import read_text
from aws_setup.errors import Refused, SetupError
from aws_setup.software.clients.desired import DATABASE, KINDS, PASSWORD, USER, ClientKind, NdbLogin
from aws_setup.software.clients.remote_files import ORIGINAL, files_of, read_files
from aws_setup.software.java_properties import JavaProperties
from aws_setup.software.machines import machines_of
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

PUBLISHED = NdbLogin("user", "123password123", "vanilla_hopsfs")
"""The login in λFS's published SQL scripts and instructions, for deployments without a client VM.

It is known to the world: the security group keeps others away from the database.
"""

_DATABASE_NAME = re.compile(r"[A-Za-z0-9_$-]{1,64}")


def database_login(ctx: Context, pool: MachinePool) -> NdbLogin:
    """Return the deployment's login; reads the λFS client's file, else the HopsFS client's.

    Raises:
        Refused: the client's file cannot be read as a properties file.
        SetupError: the client cannot be reached, or is stopped.
    """
    config, source = ctx.config, _login_source(ctx, pool)
    if source is None:
        return choose(config, PUBLISHED)
    machine, kind = source
    if not machine.address:
        raise SetupError(
            f"{machine.name} is stopped",
            f"its {kind.ndb} decides the database login",
            "run python create_aws_infrastructure.py, which starts stopped VMs, or set ndb_user, "
            "ndb_password and ndb_database",
        )
    files = read_files(machine, files_of(kind), pool.survey)
    return client_login(config, machine, kind, files)


def stopped_login_source(ctx: Context, pool: MachinePool) -> str:
    """Return the name of the VM whose file decides the login while it is stopped, '' if not."""
    source = _login_source(ctx, pool)
    return source[0].name if source and not source[0].address else ""


def _login_source(ctx: Context, pool: MachinePool) -> tuple[Machine, ClientKind] | None:
    """Return the client whose file decides the login; None where the configuration does, or none.

    It is the same one whether it runs or not: another client's file may have another login.
    """
    config = ctx.config
    if config.ndb_user and config.ndb_password and config.ndb_database:
        return None
    machines = ((machine, kind) for kind in KINDS for machine in machines_of(ctx, pool, kind.step))
    return next(machines, None)


def client_login(
    config: Config, machine: Machine, kind: ClientKind, files: Mapping[str, bytes]
) -> NdbLogin:
    """Return the login that a client should have.

    Of a user whose password is not known here, it is the one in the client's file: another
    computer has written it.

    Raises:
        Refused: the client's file cannot be read as a properties file.
    """
    login = choose(config, image_login(machine, kind, files))
    if not login.assumed or kind.ndb not in files:
        return login
    file = JavaProperties.parse(files[kind.ndb], source=f"{machine.name}: {kind.ndb}")
    password = file.get(PASSWORD)
    if file.get(USER) != login.user or password is None:
        return login
    return NdbLogin(login.user, password, login.database)


def image_login(machine: Machine, kind: ClientKind, files: Mapping[str, bytes]) -> NdbLogin:
    """Return the login of a client's image; keys that its file does not have are the published.

    It is read in the copy of the original file where there is one: the file itself may have been
    changed to a configured login.
    """
    path = kind.ndb + ORIGINAL if kind.ndb + ORIGINAL in files else kind.ndb
    if path not in files:
        return PUBLISHED
    file = JavaProperties.parse(files[path], source=f"{machine.name}: {path}")
    login = NdbLogin(
        file.get(USER) or PUBLISHED.user,
        PUBLISHED.password if file.get(PASSWORD) is None else file.get(PASSWORD) or "",
        file.get(DATABASE) or PUBLISHED.database,
    )
    if not _DATABASE_NAME.fullmatch(login.database):
        raise Refused(
            f"{machine.name}: {path}",
            f"{DATABASE} is {login.database!r}, which is no name of a database",
            "set ndb_database",
        )
    return login


def choose(config: Config, image: NdbLogin) -> NdbLogin:
    """Return the configured login, with what the configuration leaves out as the image has it.

    The password that an earlier version generated for its own user is stored beside the receipt:
    it is still used where `ndb_user` names that user.
    """
    user = config.ndb_user or image.user
    stored = stored_password(config) if user != image.user else None
    configured = config.ndb_password.get_secret_value() if config.ndb_password else None
    return NdbLogin(
        user,
        configured or stored or image.password,
        config.ndb_database or image.database,
        assumed=user != image.user and not (configured or stored),
    )


def stored_password(config: Config) -> str | None:
    """Return the password that an earlier version generated and stored; None without one.

    Raises:
        SetupError: the file cannot be read, or is no text.
    """
    what, hint = "the stored password", "set ndb_password to the user's password"
    try:
        return read_text(ndb_password_path(config), what=what, hint=hint).strip() or None
    except FileNotFoundError:
        return None
