"""The client VMs on real machines: keys between machines, and formatting once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.vm_groups import CLIENTS
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.client_files import AUTHORS_DRIVER_FILE
from aws_setup.rehearsal.vms.namespace_vms import missing_requirement
from aws_setup.software import hdfs_format
from aws_setup.software.clients import desired
from aws_setup.software.clients.step import ClientConfiguration
from aws_setup.software.cluster_ssh_keys import ClusterSshKeys, authorized_text
from aws_setup.software.hdfs_format import HOPS_FS, LAMBDA_FS, FormatFileSystem
from aws_setup.software.machines import auto_scaled_machines
from aws_setup.software.ndb.mysqld import start_mysqld
from aws_setup.software.sql.client import Mysql
from aws_setup.ssh.errors import ConnectionLost
from aws_setup.ssh.keys import readable_by_java
from aws_setup.ssh.pool import MachinePool
from tests.support import ndb
from tests.support.ndb import VMS, NdbEnvironment, ndb_environment, run

pytestmark = pytest.mark.skipif(
    missing_requirement() != "", reason=missing_requirement() or "machines run here"
)

INODES = """\
CREATE DATABASE IF NOT EXISTS vanilla_hopsfs;
CREATE TABLE IF NOT EXISTS vanilla_hopsfs.hdfs_inodes (
  id BIGINT, parent_id BIGINT, name VARCHAR(255), PRIMARY KEY (parent_id, name)
);
CREATE USER IF NOT EXISTS 'user'@'%' IDENTIFIED BY '123password123';
GRANT ALL ON vanilla_hopsfs.* TO 'user'@'%';
"""


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[NdbEnvironment]:
    with ndb_environment(tmp_path, (VMS[0], *ndb.CLIENTS), ndb.mariadb_template()) as made:
        yield made


@pytest.fixture
def tables(clients: NdbEnvironment) -> NdbEnvironment:
    _, pool = clients.context()
    machine = pool.machine("i-0a", clients.public["i-0a"])
    start_mysqld(machine)
    pool.close()
    sql(clients, INODES)
    return clients


def sql(clients: NdbEnvironment, text: str) -> list[list[str]]:
    _, pool = clients.context()
    try:
        return Mysql(pool.machine("i-0a", clients.public["i-0a"]), "root").run(text)
    finally:
        pool.close()


def link(clients: NdbEnvironment, **keys: Any) -> Row:
    ctx, pool = clients.context(**keys)
    needs = ("ndb manager", *CLIENTS)
    try:
        return run(ctx, [ClusterSshKeys(pool, clients=CLIENTS, needs=needs)])[
            "ssh between machines"
        ]
    finally:
        pool.close()


def reformat(
    clients: NdbEnvironment, *, confirmed: bool = False, configured: bool = True, **keys: Any
) -> list[Row]:
    """Run both formatting steps; `confirmed` is --reformat.

    With `configured` the clients' files are brought to this deployment before.
    """
    ctx, pool = clients.context(ndb_sql_scripts_dir=str(clients.folder), **keys)
    ctx.found["mysqld"] = Found("i-0a", "running")
    ctx = replace(ctx, reformat=confirmed)
    try:
        if configured:
            run(ctx, [ClientConfiguration(pool, lambda _: "")])
        rows = run(
            ctx,
            [
                FormatFileSystem(pool, LAMBDA_FS, needs=()),
                FormatFileSystem(pool, HOPS_FS, needs=()),
            ],
        )
    finally:
        pool.close()
    return list(rows.values())


def test_a_client_reaches_another_machine_with_a_key_that_never_left_it(
    clients: NdbEnvironment,
) -> None:
    assert link(clients).action is Action.CREATE
    _, pool = clients.context()
    client = pool.machine("i-3a", clients.public["i-3a"])
    answer = client.run(
        ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", "10.0.6.227", "hostname"]
    )
    pool.close()
    assert answer.stdout.strip() == "ip-10-0-6-227"
    assert link(clients).action is Action.EXISTS
    assert len(clients.disk(0).read("/home/ubuntu/.ssh/authorized_keys").splitlines()) == 3


def test_the_next_run_authorises_an_auto_scaled_machine_and_skips_one_that_boots(
    clients: NdbEnvironment,
) -> None:
    link(clients)
    new = clients.vm_pool.disk(clients.scale(0, answers=True))
    clients.scale(1, answers=False)
    assert link(clients).action is Action.UPDATE
    assert len(new.read("/home/ubuntu/.ssh/authorized_keys").splitlines()) == 3
    assert any("i-91 does not answer yet: run this again" in note for note in clients.notes)
    assert link(clients).action is Action.EXISTS


@pytest.mark.parametrize("noticed", [True, False])
def test_an_auto_scaled_machine_that_ends_during_a_run_keeps_no_other_from_its_files(
    clients: NdbEnvironment, monkeypatch: pytest.MonkeyPatch, noticed: bool
) -> None:
    """Its group may end it before or after the attempt to reach it; nothing waits until it boots.

    Only where that attempt has succeeded, the next command does, as for a machine that reboots.
    """
    gone = clients.scale(0, answers=True)
    ctx, pool = clients.context()
    (machine,) = auto_scaled_machines(ctx, pool)
    machine.connect()
    clients.vm_pool.power_off(gone)
    if not noticed:
        monkeypatch.setattr("aws_setup.software.ssh_access.is_reachable", lambda _: True)
        monkeypatch.setattr("aws_setup.software.clients.step.is_reachable", lambda _: True)
        defaults = MachinePool._wait_connected.__kwdefaults__
        assert defaults
        monkeypatch.setitem(defaults, "deadline", 0.5)
    keys = ClusterSshKeys(pool, clients=CLIENTS, needs=("ndb manager", *CLIENTS))
    files = ClientConfiguration(pool, lambda _: "")
    try:
        rows = run(ctx, [keys, files])
        assert [row.action for row in rows.values()] == [Action.CREATE, Action.UPDATE]
        found = keys.find(ctx)
    finally:
        pool.close()
    assert found
    assert found.drift == ()
    said = "does not answer yet: run this again" if noticed else "does not answer any more: "
    assert any(f"{gone} {said}" in note for note in clients.notes)


def test_a_key_of_the_image_is_renamed_and_never_authorised(clients: NdbEnvironment) -> None:
    for name in ("id_rsa", "id_rsa.pub"):
        clients.disk(1).write(f"/home/ubuntu/.ssh/{name}", "ssh-rsa PUBLIC of-the-image\n")
    link(clients)
    assert "PUBLIC" in clients.disk(1).read("/home/ubuntu/.ssh/id_rsa.of-the-image")
    kept = "the key of the image is kept in /home/ubuntu/.ssh/id_rsa.of-the-image"
    assert [note for note in clients.notes if kept in note] == [f"lambda-fs-client-driver: {kept}"]
    assert "PUBLIC" not in clients.disk(0).read("/home/ubuntu/.ssh/authorized_keys")


def test_the_operators_key_is_copied_only_on_request_and_with_a_warning(
    clients: NdbEnvironment,
) -> None:
    link(clients, copy_operator_key=True)
    path = clients.disk(1).path("/home/ubuntu/.ssh/id_rsa")
    assert path.read_text() == readable_by_java(clients.key.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert any("copying your private key to the client VMs" in note for note in clients.notes)


def test_other_keys_stay_and_a_lost_clients_key_goes() -> None:
    before = "ssh-rsa A me@laptop\nssh-rsa B lambda-fs:x:i-old\n"
    after = authorized_text(before, "lambda-fs:x:", ["ssh-rsa C lambda-fs:x:i-new"])
    assert after == "ssh-rsa A me@laptop\nssh-rsa C lambda-fs:x:i-new\n"
    assert authorized_text(after, "lambda-fs:x:", ["ssh-rsa C lambda-fs:x:i-new"]) is None


def test_formatting_happens_once_and_its_output_goes_to_a_file(tables: NdbEnvironment) -> None:
    assert [row.action for row in reformat(tables)] == [Action.CREATE, Action.CREATE]
    log = (tables.folder / "receipts" / "lambda-fs.lambda-fs-format.log").read_text()
    assert "successfully formatted" in log
    assert [row.action for row in reformat(tables)] == [Action.EXISTS, Action.EXISTS]
    assert len(tables.started(1)) == len(tables.started(2)) == 1


def test_a_file_system_in_use_is_never_formatted_by_another_client(tables: NdbEnvironment) -> None:
    sql(tables, "INSERT INTO vanilla_hopsfs.hdfs_inodes VALUES (1, 0, ''), (2, 1, 'thesis');")
    rows = reformat(tables)
    assert [row.action for row in rows] == [Action.EXISTS, Action.EXISTS]
    assert rows[0].found
    assert rows[0].found.state == "in use, not formatted by this deployment, 2 inodes"
    assert tables.started(1) == tables.started(2) == []


def test_reformat_formats_what_is_in_use(tables: NdbEnvironment) -> None:
    reformat(tables)
    sql(tables, "INSERT INTO vanilla_hopsfs.hdfs_inodes VALUES (2, 1, 'thesis');")
    assert [row.action for row in reformat(tables, confirmed=True)] == [Action.UPDATE] * 2
    assert sql(tables, "SELECT COUNT(*) FROM vanilla_hopsfs.hdfs_inodes;") == [["1"]]


def test_a_failed_format_shows_its_exception_and_a_rerun_finishes(tables: NdbEnvironment) -> None:
    images.set_faults(tables.disk(1), "hdfs fails")
    with pytest.raises(SetupError) as caught:
        reformat(tables)
    assert caught.value.problems[0].why == "java.io.IOException: no storage"
    assert ".log" in caught.value.problems[0].hint
    images.set_faults(tables.disk(1))
    assert [row.action for row in reformat(tables)] == [Action.CREATE, Action.CREATE]


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def lose_the_connection(clients: NdbEnvironment) -> None:
    """Start a format that hangs, and lose the connection to it."""
    images.set_faults(clients.disk(1), "hdfs hangs")
    ctx, pool = clients.context(ndb_sql_scripts_dir=str(clients.folder))
    ctx.found["mysqld"] = Found("i-0a", "running")
    run(ctx, [ClientConfiguration(pool, lambda _: "")])
    with ThreadPoolExecutor(1) as executor:
        hung = executor.submit(run, ctx, [FormatFileSystem(pool, LAMBDA_FS, needs=())])
        wait_until(lambda: len(clients.started(1)) == 1)
        pool.machine("i-3a", clients.public["i-3a"]).connect().close()
        with pytest.raises(ConnectionLost):
            hung.result(60)
    pool.close()
    images.set_faults(clients.disk(1))


def hdfs_runs(clients: NdbEnvironment) -> bool:
    _, pool = clients.context()
    machine = pool.machine("i-3a", clients.public["i-3a"])
    found = machine.run(["grep", "-l", "-x", "hdfs", "-r", "/proc", "--include=comm"], check=False)
    pool.close()
    return found.stdout != ""


def test_a_format_that_outlives_its_connection_wipes_nothing_that_is_stored_later(
    tables: NdbEnvironment,
) -> None:
    lose_the_connection(tables)
    for confirmed in (False, True):
        with pytest.raises(SetupError) as caught:
            reformat(tables, confirmed=confirmed, configured=False)
        problem = caught.value.problems[0]
        assert "an earlier hdfs namenode -format still runs" in problem.what
        assert "at most 30 min 30 s, then run the same command again" in problem.hint
    assert len(tables.started(1)) == 1
    tables.disk(1).write("/var/log/hdfs-goes-on", "")
    wait_until(lambda: not hdfs_runs(tables))
    assert [row.action for row in reformat(tables)] == [Action.CREATE] * 2
    sql(tables, "INSERT INTO vanilla_hopsfs.hdfs_inodes VALUES (2, 1, 'thesis');")
    assert [row.action for row in reformat(tables)] == [Action.EXISTS] * 2
    assert sql(tables, "SELECT COUNT(*) FROM vanilla_hopsfs.hdfs_inodes;") == [["2"]]


def test_no_client_formats_while_the_other_one_does(tables: NdbEnvironment) -> None:
    lose_the_connection(tables)
    ctx, pool = tables.context(ndb_sql_scripts_dir=str(tables.folder))
    ctx.found["mysqld"] = Found("i-0a", "running")
    with pytest.raises(SetupError, match=r"lambda-fs-client-driver .*still runs"):
        run(ctx, [FormatFileSystem(pool, HOPS_FS, needs=())])
    pool.close()
    assert tables.started(2) == []


def test_the_client_itself_ends_a_format_that_takes_too_long(
    tables: NdbEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdfs_format, "TIMEOUT", 3.0)
    images.set_faults(tables.disk(1), "hdfs hangs")
    with pytest.raises(SetupError) as caught:
        reformat(tables)
    assert "did not end within 3 s and was ended" in caught.value.problems[0].what
    assert not hdfs_runs(tables)
    images.set_faults(tables.disk(1))
    monkeypatch.undo()
    assert [row.action for row in reformat(tables)] == [Action.CREATE] * 2


def test_a_client_with_the_configuration_of_its_image_cannot_format(tables: NdbEnvironment) -> None:
    with pytest.raises(SetupError) as caught:
        reformat(tables, configured=False)
    assert "experiments/ndb-config.properties (No such file" in caught.value.problems[0].why
    kind = desired.LAMBDA_FS
    original = tables.disk(1).read(kind.site)
    bare = original.replace(AUTHORS_DRIVER_FILE, "ndb-config.properties")
    tables.disk(1).write(kind.site, bare)
    with pytest.raises(SetupError) as caught:
        reformat(tables, configured=False)
    assert "FileNotFoundException: ndb-config.properties" in caught.value.problems[0].why
    site = original.replace(AUTHORS_DRIVER_FILE, kind.ndb)
    tables.disk(1).write(kind.site, site)
    with pytest.raises(SetupError) as caught:
        reformat(tables, configured=False)
    assert "Communications link failure" in caught.value.problems[0].why


def test_the_login_of_the_image_is_refused_where_the_database_has_another_user(
    tables: NdbEnvironment,
) -> None:
    sql(tables, "DROP USER 'user'@'%';")
    sql(tables, "CREATE USER 'lambdafs'@'%' IDENTIFIED BY 'generated';")
    with pytest.raises(SetupError) as caught:
        reformat(tables)
    assert "Access denied for user 'user'@'10.0.2.1'" in caught.value.problems[0].why


def test_another_database_is_unknown_in_hadoops_words(tables: NdbEnvironment) -> None:
    sql(tables, "CREATE USER 'ada'@'%' IDENTIFIED BY 'x'; GRANT ALL ON *.* TO 'ada'@'%';")
    path = desired.LAMBDA_FS.ndb
    before = tables.disk(1).read(path)
    tables.disk(1).write(
        path,
        before.replace("=user", "=ada").replace("=123password123", "=x").replace("=vanilla", "=x"),
    )
    ctx, pool = tables.context()
    run(ctx, [ClientConfiguration(pool, lambda _: "")])
    machine = pool.machine("i-3a", tables.public["i-3a"])
    result = machine.run([LAMBDA_FS.hdfs, "namenode", "-format"], sudo=True, check=False)
    pool.close()
    assert "SQLException: Unknown database 'x_hopsfs'" in result.stderr


def test_without_tables_nothing_is_formatted(tables: NdbEnvironment) -> None:
    sql(tables, "DROP TABLE vanilla_hopsfs.hdfs_inodes;")
    with pytest.raises(SetupError, match="there is no table hdfs_inodes"):
        reformat(tables)
    assert tables.started(1) == []


SECOND = INODES.replace("vanilla_hopsfs", "second")


def test_another_database_is_formatted_once_and_the_first_one_keeps_its_files(
    tables: NdbEnvironment,
) -> None:
    reformat(tables)
    sql(tables, "INSERT INTO vanilla_hopsfs.hdfs_inodes VALUES (2, 1, 'thesis');")
    sql(tables, SECOND)
    for action in (Action.CREATE, Action.EXISTS):
        rows = reformat(tables, ndb_database="second")
        assert [row.action for row in rows] == [action] * 2
    assert sql(tables, "SELECT COUNT(*) FROM second.hdfs_inodes;") == [["1"]]
    assert [row.action for row in reformat(tables)] == [Action.EXISTS] * 2
    assert sql(tables, "SELECT COUNT(*) FROM vanilla_hopsfs.hdfs_inodes;") == [["2"]]


def test_a_client_that_names_another_database_formats_none(tables: NdbEnvironment) -> None:
    """As with configure_clients: False: hdfs empties the database of its own file."""
    reformat(tables)
    sql(tables, "INSERT INTO vanilla_hopsfs.hdfs_inodes VALUES (2, 1, 'thesis');")
    sql(tables, SECOND)
    for confirmed in (False, True):
        with pytest.raises(SetupError) as caught:
            reformat(tables, ndb_database="second", configured=False, confirmed=confirmed)
        problem = caught.value.problems[0]
        assert "would format the database vanilla_hopsfs, not second" in problem.what
        assert problem.hint == "set configure_clients: True, or ndb_database: vanilla_hopsfs"
    assert sql(tables, "SELECT COUNT(*) FROM vanilla_hopsfs.hdfs_inodes;") == [["2"]]


def test_a_database_that_was_dropped_and_made_again_is_formatted_again(
    tables: NdbEnvironment,
) -> None:
    reformat(tables)
    sql(tables, "DROP DATABASE vanilla_hopsfs;")
    ctx, pool = tables.context(ndb_sql_scripts_dir=str(tables.folder))
    ctx.found["mysqld"] = Found("i-0a", "running")
    try:
        assert FormatFileSystem(pool, LAMBDA_FS, needs=()).find(ctx) is None
    finally:
        pool.close()
