"""Checks of what runs on the VMs: ZooKeeper, NDB, its tables, and the formatted file system."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence

from aws_setup.config import Config
from aws_setup.config.software import SQL_SCRIPTS
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.engine.wording import count_of
from aws_setup.software.clients.desired import LAMBDA_FS
from aws_setup.software.ndb.cluster import NDB_MGM
from aws_setup.software.ndb.config_files import REPLICAS, nodes
from aws_setup.software.ndb.ndb_mgm import ClusterStatus, NodeState, parse_show
from aws_setup.software.sql.client import (
    DENIED,
    DENIED_DATABASE,
    MYSQL,
    NO_DATABASE,
    Mysql,
    SqlError,
)
from aws_setup.software.sql.databases import INODES, how_to_make_tables
from aws_setup.software.sql.scripts import load
from aws_setup.software.sql.tables import tables_of
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper.servers import is_complete, role_texts, server_role
from aws_setup.software.zookeeper.steps import list_znodes, needed_znodes
from aws_setup.ssh.errors import RemoteError
from aws_setup.ssh.machine import Machine
from aws_setup.verify.chain import CREATE, DATA_NODES, MANAGER, Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.machine_checks import run_or_skip

SYNC_SECONDS = 10.0
"""Seconds within which a follower applies what its leader had applied; some milliseconds usually.
A follower that is behind by syncLimit (2 s here) is dropped by its leader."""

POPULATE = "populate_zookeeper_cluster"
"""The key that lets `create` create the znodes."""

ROW_TABLE = "lambda_fs_verify_"
"""Beginning of the names of the tables in which a row is written."""


def check_ensemble(chain: Chain) -> str:
    """ZooKeeper has one leader; all others follow it and have applied what it has applied."""
    machines = chain.zookeepers
    if not machines:
        raise NotApplicable("ZooKeeper is not part of this deployment")
    answers = chain.pool.each(machines, server_role)
    roles = {machine.name: role for machine, role in zip(machines, answers, strict=True)}
    if not is_complete(roles):
        text = ", ".join(f"{name} {role}" for name, role in role_texts(roles).items())
        raise Broken(
            f"there is no single leader that all others follow: {text}",
            f"{CREATE}, which starts servers that are down",
        )
    leader = newest_transaction(answers)
    wait_until(
        "ZooKeeper's followers are in sync",
        lambda: _behind(chain, machines, leader) or True,
        clock=chain.clock,
        deadline=SYNC_SECONDS,
        pause=1.0,
        hint=f"check the newest file in {zk.HOME}/logs on that machine",
    )
    return ", ".join(f"{name} {role}" for name, role in role_texts(roles).items())


def newest_transaction(roles: Iterable[zk.ServerRole | None]) -> int:
    """Return the leader's last transaction; 0 in an epoch that has had none.

    A zxid is an epoch and, in its lower 32 bits, a counter. A new leader begins at 0, and its
    followers, which have synchronised with it, keep the zxid of the earlier epoch until the first
    transaction: https://zookeeper.apache.org/doc/current/zookeeperInternals.html.
    """
    leader = max(role.zxid for role in roles if role and role.mode != "follower")
    return leader if leader & 0xFFFFFFFF else 0


def _behind(chain: Chain, machines: Sequence[Machine], leader: int) -> Pending | None:
    """Return which servers have not applied the leader's transaction yet, None for none."""
    answers = chain.pool.each(machines, server_role)
    late = [
        f"{machine.name} has applied {role.zxid if role else 0:#x}, its leader {leader:#x}"
        for machine, role in zip(machines, answers, strict=True)
        if role is None or role.zxid < leader
    ]
    return Pending(", ".join(late)) if late else None


def check_znodes(chain: Chain) -> str:
    """A session with ZooKeeper lists the znodes that every NameNode reads when it starts."""
    machines = chain.zookeepers
    if not machines:
        raise NotApplicable("ZooKeeper is not part of this deployment")
    config = chain.ctx.config
    needed = needed_znodes(config)
    existing = list_znodes(machines[-1], create=[])
    missing = [path for path in needed if path not in existing]
    if missing:
        znodes = count_of(len(needed), "znode does", "znodes do")
        switch = "" if config.populate_zookeeper_cluster else f"set {POPULATE}: True, and "
        raise Broken(f"{len(missing)} of {znodes} not exist ({missing[0]})", switch + CREATE)
    return f"{count_of(len(needed), 'znode')}, in a session"


def check_data_nodes(chain: Chain) -> str:
    """Every NDB data node has started, and each node group has all its replicas."""
    managers = chain.machines(MANAGER)
    if not managers:
        raise NotApplicable("NDB is not part of this deployment")
    try:
        shown = run_or_skip(managers[0], [NDB_MGM, "-e", "show"], timeout=90)
    except RemoteError as error:
        why = error.lines[-1] if error.lines else error.problems[0].why
        raise Broken(f"the management server does not answer: {why}", CREATE) from None
    addresses = [machine.private_ip for machine in chain.machines(*DATA_NODES)]
    return judge_data_nodes(parse_show(shown.stdout), addresses)


def judge_data_nodes(status: ClusterStatus, addresses: Sequence[str]) -> str:
    """Return how many data nodes and node groups a cluster has.

    Args:
        status: what the management server says.
        addresses: the private addresses of the data nodes' VMs, in the order of their ids.

    Raises:
        Broken: one has not started, or a node group lacks a replica.
    """
    for node in nodes(addresses):
        state = status.state(node.id)
        if state is not NodeState.STARTED:
            cause = f"data node {node.id} ({node.address}) is {state}"
            raise Broken(cause, f"{CREATE}, which starts it")
    groups: dict[int | None, set[str]] = defaultdict(set)
    for item in status.data_nodes:
        groups[item.group].add(item.address)
    for group, members in groups.items():
        if group is None or len(members) < REPLICAS:
            where = "no node group" if group is None else f"node group {group}"
            count = count_of(len(members), "data node")
            cause = f"{where} has {count} ({', '.join(sorted(members))})"
            raise Broken(
                f"{cause}, not {REPLICAS}: a failure loses data",
                f"check `{NDB_MGM} -e show` on the NDB manager, and {CREATE}",
            )
    started = count_of(len(status.data_nodes), "data node")
    return f"{started} started, {REPLICAS} in each of {count_of(len(groups), 'group')}"


def query(chain: Chain, sql: str) -> list[list[str]]:
    """Run statements as the λFS client logs in, over TCP, by the NDB manager's client.

    Raises:
        NotApplicable: the NDB manager is not part of this deployment.
        Broken: the login is refused.
        SqlError: a statement failed.
    """
    managers = chain.machines(MANAGER)
    if not managers:
        raise NotApplicable("the NDB manager is not part of this deployment")
    address, login = chain.settings.mysqld, chain.settings.login
    user = Mysql(managers[0], login.user, login.password)
    options = ("--protocol=TCP", f"--host={address.host}", f"--port={address.port}")
    try:
        return user.run(sql, database=login.database, arguments=options)
    except SqlError as error:
        if error.code in (DENIED, DENIED_DATABASE, NO_DATABASE):
            fix = f"{CREATE}, which makes the database and its user as {LAMBDA_FS.ndb} says"
            raise Broken(f"{login.user} to {login.database}: {error.message}", fix) from error
        raise


def check_login(chain: Chain) -> str:
    """The login of the client's ndb-config.properties works."""
    query(chain, "SELECT 1;")
    login = chain.settings.login
    return f"{login.user} to {login.database} by {MYSQL.rpartition('/')[2]}"


def check_tables(chain: Chain) -> str:
    """The tables of HopsFS's and λFS's scripts exist; without the scripts, that of the files."""
    rows = query(
        chain,
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE();",
    )
    existing = {row[0].lower() for row in rows}
    needed = expected_tables(chain.ctx.config.ndb_sql_scripts_dir)
    missing = [name for name in needed if name.lower() not in existing]
    if missing:
        raise Broken(
            f"{len(missing)} of {count_of(len(needed), 'table does', 'tables do')} not exist in "
            f"{chain.settings.login.database} ({missing[0]})",
            _how_to_make_tables(chain, everything=len(missing) == len(needed)),
        )
    return f"{count_of(len(needed), 'table')} in {chain.settings.login.database}"


def _how_to_make_tables(chain: Chain, *, everything: bool) -> str:
    """Return the fix for missing tables; `create` itself fills a database without any."""
    config = chain.ctx.config
    if everything and config.ndb_sql_scripts_dir and config.populate_mysql_ndb_tables:
        return CREATE
    return f"{how_to_make_tables(config, chain.settings.login.database)}, and {CREATE}"


def expected_tables(folder: str | None) -> list[str]:
    """Return the tables that the scripts of a folder leave behind, always with that of the files.

    Raises:
        Refused: the scripts cannot be read.
    """
    names = tables_of(load(folder)) if folder else []
    return list(dict.fromkeys([INODES, *names]))


def check_row(chain: Chain) -> str:
    """A row is written into a new table, and read by another session; the table is then dropped.

    Tables of killed runs are dropped after an hour.
    """
    name, value = ROW_TABLE + secrets.token_hex(4), secrets.token_hex(8)
    try:
        query(
            chain,
            f"CREATE TABLE {name} (id INT NOT NULL PRIMARY KEY, value CHAR(16) NOT NULL) "
            f"ENGINE=NDBCLUSTER; INSERT INTO {name} VALUES (1, '{value}');",  # nosec B608
        )
        rows = query(chain, f"SELECT value FROM {name} WHERE id = 1;")  # nosec B608
    finally:
        _drop_tables(chain, name)
    if rows != [[value]]:
        others = count_of(len(rows), "other row was", "other rows were")
        raise Broken(
            f"a row was written, and {others} read",
            f"check `{NDB_MGM} -e show` on the NDB manager, and {CREATE}",
        )
    return "a row written, read by another session, and removed"


def _drop_tables(chain: Chain, name: str) -> None:
    """Drop a run's table, and those that are older than an hour."""
    query(chain, f"DROP TABLE IF EXISTS {name};")
    old = query(
        chain,
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() "
        f"AND LEFT(TABLE_NAME, {len(ROW_TABLE)}) = '{ROW_TABLE}' "  # nosec B608 -- a constant
        "AND CREATE_TIME < NOW() - INTERVAL 1 HOUR;",
    )
    for row in old:
        query(chain, f"DROP TABLE IF EXISTS `{row[0]}`;")


def check_formatted(chain: Chain) -> str:
    """The file system is formatted: its root exists."""
    rows = query(chain, f"SELECT COUNT(*) FROM {INODES};")  # nosec B608
    count = int(rows[0][0])
    if not count:
        raise Broken(
            f"the file system is not formatted: {INODES} is empty",
            _how_to_format(chain.ctx.config),
        )
    return f"formatted, {count_of(count, 'file or folder', 'files and folders')}"


def _how_to_format(config: Config) -> str:
    if not config.format_filesystem:
        return f"set format_filesystem: True, and {CREATE}"
    if config.populate_mysql_ndb_tables and not config.ndb_sql_scripts_dir:
        return f"{SQL_SCRIPTS}, and {CREATE}"
    return f"{CREATE} create --reformat"
