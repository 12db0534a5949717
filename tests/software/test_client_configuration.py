"""The clients' files on real machines: brought to this deployment, and nothing else changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.context import Context
from aws_setup.config.paths import ndb_password_path
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action, Found
from aws_setup.errors import Refused, SetupError
from aws_setup.rehearsal.vms import client_files
from aws_setup.rehearsal.vms.namespace_vms import missing_requirement
from aws_setup.software.clients.desired import BENCHMARK, HOPS_FS, LAMBDA_FS
from aws_setup.software.clients.login import database_login, stopped_login_source
from aws_setup.software.clients.namenode_record import NameNodeRecord, write_record
from aws_setup.software.clients.remote_files import ORIGINAL
from aws_setup.software.clients.step import ClientConfiguration
from aws_setup.ssh.pool import MachinePool
from tests.support import ndb
from tests.support.ndb import VMS, NdbEnvironment, ndb_environment, run

pytestmark = pytest.mark.skipif(
    missing_requirement() != "", reason=missing_requirement() or "machines run here"
)

HOST = "https://elb.example:443"

SITE = (
    client_files.LAMBDA_FS_SITE.replace(
        client_files.AUTHORS_ENDPOINT, f"{HOST}/api/v1/web/guest/default/namenode"
    )
    .replace("<value>37</value>", "<value>20</value>")
    .replace("<value>36</value>", "<value>20</value>")
    .replace("172.31.8.1:2181,172.31.8.2:2181", "10.0.8.233:2181,10.0.4.113:2181")
    .replace(client_files.AUTHORS_DRIVER_FILE, LAMBDA_FS.ndb)
)
NDB = client_files.NDB_CONFIG.replace(client_files.AUTHORS_MANAGER, ndb.MANAGER).replace(
    "port=3307", "port=3306"
)
ZOOKEEPERS = [
    {"id": f"i-z{i}", "name": f"zk-{i}", "private_ip": address, "public_ip": "203.0.113.99"}
    for i, address in enumerate(("10.0.8.233", "10.0.4.113"))
]


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[NdbEnvironment]:
    with ndb_environment(tmp_path, (VMS[0], *ndb.CLIENTS)) as made:
        yield made


def configure(clients: NdbEnvironment, host: str = HOST, **keys: Any) -> Row:
    """Run the step as `create` does; the ZooKeeper VMs are only known, not reached."""
    ctx, pool = clients.context(**keys)
    ctx.found["zookeeper"] = Found("zookeeper", "running", {"instances": ZOOKEEPERS})
    step = ClientConfiguration(pool, lambda _: host)
    try:
        row = run(ctx, [step])[step.name]
        after = step.find(ctx)
        assert after
        assert after.drift == ()
        assert "password" not in repr(after)
        return row
    finally:
        pool.close()


def test_the_files_of_both_clients_are_those_of_this_deployment(clients: NdbEnvironment) -> None:
    row = configure(clients)
    assert row.action is Action.UPDATE
    assert row.found
    assert "123password123" not in repr(row.found)
    lambda_fs, hops_fs = clients.disk(1), clients.disk(2)
    assert lambda_fs.read(LAMBDA_FS.site) == SITE
    assert lambda_fs.read(LAMBDA_FS.ndb) == hops_fs.read(HOPS_FS.ndb) == NDB
    assert lambda_fs.path(LAMBDA_FS.ndb).stat().st_mode & 0o777 == 0o640
    assert lambda_fs.read(LAMBDA_FS.site + ORIGINAL) == client_files.LAMBDA_FS_SITE
    assert hops_fs.read(HOPS_FS.site) == client_files.HOPS_FS_SITE
    assert not hops_fs.exists(HOPS_FS.site + ORIGINAL)
    kept = f"lambda-fs-client-driver: the original is kept in {LAMBDA_FS.site}{ORIGINAL}"
    assert clients.notes.count(kept) == 1
    lambda_fs.write(LAMBDA_FS.site, SITE.replace(HOST, "https://other"))
    assert configure(clients).action is Action.UPDATE
    assert clients.notes.count(kept) == 1, "it is an older one"
    assert configure(clients).action is Action.EXISTS


def without(clients: NdbEnvironment, instance_id: str) -> tuple[Context, MachinePool]:
    """Return a run's context and pool in which one VM does not answer."""
    ctx, pool = clients.context()
    pool.close()
    clients.vm_pool.power_off(instance_id)
    return ctx, MachinePool(ctx.config, ctx.clock)


def test_a_client_that_cannot_be_reached_keeps_no_other_from_its_configuration(
    clients: NdbEnvironment,
) -> None:
    ctx, pool = without(clients, "i-4a")
    ctx.found["zookeeper"] = Found("zookeeper", "running", {"instances": ZOOKEEPERS})
    step = ClientConfiguration(pool, lambda _: HOST)
    try:
        found = step.find(ctx)
        assert found
        assert "a client: hops-fs-client-driver" in str(found.drift[-1])
        with pytest.raises(SetupError, match=r"hops-fs-client-driver.* cannot be reached"):
            step.update(ctx, found)
        assert clients.disk(1).read(LAMBDA_FS.site) == SITE
        with pytest.raises(SetupError, match=r"hops-fs-client-driver.* cannot be reached"):
            step.find(ctx)
    finally:
        pool.close()


def test_without_the_lambda_fs_client_no_login_is_taken_from_another_image(
    clients: NdbEnvironment,
) -> None:
    disk = clients.disk(2)
    disk.write(HOPS_FS.ndb, client_files.NDB_CONFIG.replace("=user", "=another"))
    ctx, pool = without(clients, "i-3a")
    step = ClientConfiguration(pool, lambda _: HOST)
    try:
        found = step.find(ctx)
        assert found
        with pytest.raises(SetupError, match=r"lambda-fs-client-driver.* cannot be reached"):
            step.update(ctx, found)
    finally:
        pool.close()
    assert ".username=another\n" in disk.read(HOPS_FS.ndb)
    assert f"connectstring={ndb.MANAGER}:1186" in disk.read(HOPS_FS.ndb)


def test_a_stopped_client_is_not_checked(clients: NdbEnvironment) -> None:
    ctx, pool = clients.context()
    for vm in ctx.found["lambda-fs client"].facts["instances"]:
        vm["public_ip"] = ""
    try:
        found = ClientConfiguration(pool, lambda _: HOST).find(ctx)
        assert found
        assert (found.state, found.drift) == (
            "not checked: lambda-fs-client-driver is stopped",
            (),
        )
        assert stopped_login_source(ctx, pool) == "lambda-fs-client-driver"
        with pytest.raises(SetupError, match=r"is stopped.*decides the database login"):
            database_login(ctx, pool)
    finally:
        pool.close()


def test_what_is_changed_by_hand_is_drift_and_the_first_copy_is_kept(
    clients: NdbEnvironment,
) -> None:
    configure(clients)
    disk = clients.disk(1)
    disk.write(LAMBDA_FS.site, SITE.replace(HOST, "https://other") + "<!-- mine -->\n")
    row = configure(clients)
    assert row.found
    (drift,) = row.found.drift
    assert str(drift) == (
        "lambda-fs-client-driver: hdfs-site.xml: serverless.endpoint -> this deployment's"
    )
    assert disk.read(LAMBDA_FS.site) == SITE + "<!-- mine -->\n"
    assert disk.read(LAMBDA_FS.site + ORIGINAL) == client_files.LAMBDA_FS_SITE


def test_without_an_address_of_openwhisk_everything_else_is_set(clients: NdbEnvironment) -> None:
    row = configure(clients, host="")
    assert row.found
    written = clients.disk(1).read(LAMBDA_FS.site)
    assert client_files.AUTHORS_ENDPOINT in written
    assert "10.0.8.233:2181,10.0.4.113:2181" in written
    again = configure(clients, host="")
    assert again.found
    assert again.found.state.endswith("serverless.endpoint is set when OpenWhisk has an address")
    assert configure(clients).action is Action.UPDATE


def test_what_whisk_helper_deployed_decides_endpoint_and_number(clients: NdbEnvironment) -> None:
    write_record(clients.config(), NameNodeRecord("mine", "whisk.system", 7))
    configure(clients)
    written = clients.disk(1).read(LAMBDA_FS.site)
    assert f"<value>{HOST}/api/v1/web/whisk.system/default/mine</value>" in written
    assert written.count("<value>7</value>") == 2


def test_another_computer_without_the_record_leaves_the_clients_with_what_they_call(
    clients: NdbEnvironment,
) -> None:
    write_record(clients.config(), NameNodeRecord("mine", "whisk.system", 7))
    configure(clients)
    before = clients.disk(1).read(LAMBDA_FS.site)
    other = {"infrastructure_json_path": str(clients.folder / "other")}
    assert configure(clients, **other).action is Action.EXISTS
    new = clients.vm_pool.disk(clients.scale(0, answers=True))
    moved = configure(clients, host="https://new.example:443", **other)
    assert moved.action is Action.UPDATE
    after = before.replace(HOST, "https://new.example:443")
    assert clients.disk(1).read(LAMBDA_FS.site) == after
    assert new.read(LAMBDA_FS.site) == after, "one that was launched meanwhile calls the same ones"


def test_another_computer_without_the_stored_password_leaves_the_clients_with_theirs(
    clients: NdbEnvironment,
) -> None:
    path = ndb_password_path(clients.config())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("generated-1A\n")
    configure(clients, ndb_user="lambdafs")
    before = clients.disk(1).read(LAMBDA_FS.ndb)
    assert ".password=generated-1A\n" in before
    other = {"infrastructure_json_path": str(clients.folder / "other")}
    assert configure(clients, ndb_user="lambdafs", **other).action is Action.EXISTS
    assert clients.disk(1).read(LAMBDA_FS.ndb) == before


def test_a_configured_login_is_written_and_without_it_that_of_the_image_returns(
    clients: NdbEnvironment,
) -> None:
    login = {"ndb_user": "ada", "ndb_password": "a b\\c=d", "ndb_database": "mine"}
    row = configure(clients, **login)
    assert row.found
    assert row.found.facts["user"] == "ada"
    assert "a b" not in repr(row.found)
    for disk, path in ((clients.disk(1), LAMBDA_FS.ndb), (clients.disk(2), HOPS_FS.ndb)):
        written = disk.read(path)
        assert ".username=ada\n" in written
        assert ".password=a b\\\\c=d\n" in written
        assert ".database=mine\n" in written
    configure(clients)
    assert clients.disk(1).read(LAMBDA_FS.ndb) == NDB
    assert not any("a b" in note for note in clients.notes)


def test_the_next_run_configures_auto_scaled_clients_and_the_followers(
    clients: NdbEnvironment,
) -> None:
    configure(clients)
    assert "followers: []\n" in clients.disk(1).read(BENCHMARK)
    new = clients.vm_pool.disk(clients.scale(0, answers=True))
    clients.scale(1, answers=False)
    assert configure(clients).action is Action.UPDATE
    assert new.read(LAMBDA_FS.site) == SITE
    assert any("i-91 does not answer yet: run this again" in note for note in clients.notes)
    head, _, _ = client_files.BENCHMARK_CONFIG.partition("followers:")
    head = head.replace("/home/ubuntu/experiments/hdfs-site.xml", LAMBDA_FS.site)
    followers = [f"  - ip: 10.0.9.{number}\n    user: ubuntu\n" for number in (1, 2)]
    assert clients.disk(1).read(BENCHMARK) == f"{head}followers:\n{''.join(followers)}"
    assert clients.disk(1).read(BENCHMARK + ORIGINAL) == client_files.BENCHMARK_CONFIG


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        (LAMBDA_FS.site, "<configuration>", "not well-formed"),
        (LAMBDA_FS.ndb, client_files.NDB_CONFIG * 2, "is set 2 times"),
        (BENCHMARK, "followers: [}", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_edited_is_named_and_nothing_is_changed(
    clients: NdbEnvironment, path: str, text: str, why: str
) -> None:
    clients.disk(1).write(path, text)
    with pytest.raises(Refused, match=why) as caught:
        configure(clients)
    assert caught.value.problems[0].what.startswith(f"lambda-fs-client-driver: {path}")
    assert "123password123" not in str(caught.value)
    assert clients.disk(1).read(path) == text
    assert clients.disk(2).read(HOPS_FS.ndb) == client_files.NDB_CONFIG


def test_an_image_without_the_files_is_named_with_the_fix(clients: NdbEnvironment) -> None:
    clients.disk(2).path(HOPS_FS.ndb).unlink()
    with pytest.raises(SetupError, match=r"ndb-config\.properties does not exist") as caught:
        configure(clients)
    assert "configure_clients: False" in caught.value.problems[0].hint
