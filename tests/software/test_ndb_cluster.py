"""The NDB steps on real machines: first start, re-run, stop and start, changes and faults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action
from aws_setup.errors import SetupError
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.namespace_vms import missing_requirement
from aws_setup.software.ndb.config_files import FIXED
from aws_setup.tables import software as tables
from tests.support.ndb import MANAGER, VMS, NdbEnvironment, ndb_environment, run

pytestmark = pytest.mark.skipif(
    missing_requirement() != "", reason=missing_requirement() or "machines run here"
)

MARKER = "/usr/local/mysql/data/lambda-fs-initialised"


@pytest.fixture
def ndb(tmp_path: Path) -> Iterator[NdbEnvironment]:
    with ndb_environment(tmp_path) as made:
        yield made


def create(ndb: NdbEnvironment, **keys: Any) -> dict[str, Row]:
    ctx, pool = ndb.context(**keys)
    try:
        return run(ctx, tables.ndb_steps(ctx.config, pool))
    finally:
        pool.close()


def data(ndb: NdbEnvironment, index: int) -> str:
    """Return what a data node's files hold; --initial would change it."""
    return ndb.disk(index).read(f"/usr/local/mysql/data/ndb_{index + 1}_fs/generation")


def test_a_new_cluster_starts_once_with_initial_and_a_second_run_does_nothing(
    ndb: NdbEnvironment,
) -> None:
    create(ndb)
    assert ndb.started(0) == [
        "ndb_mgmd --initial --skip-config-cache -f /var/lib/mysql-cluster/config.ini",
        "mysql.server start --user=ubuntu",
    ]
    assert ndb.started(1) == ndb.started(2) == ["ndbmtd --initial"]
    held = [data(ndb, 1), data(ndb, 2)]
    again = create(ndb)
    assert {row.action for row in again.values()} == {Action.EXISTS}
    assert again["ndb storage"].found
    assert again["ndb storage"].found.state == "2 of 2 started"
    assert held == [data(ndb, 1), data(ndb, 2)]
    assert len(ndb.started(0)) == 2


def test_after_a_stop_everything_starts_in_order_and_never_with_initial(
    ndb: NdbEnvironment,
) -> None:
    create(ndb)
    held = [data(ndb, 1), data(ndb, 2)]
    ndb.restart()
    rows = create(ndb)
    assert {row.action for row in rows.values()} == {Action.UPDATE}
    assert held == [data(ndb, 1), data(ndb, 2)]
    assert [line.split()[1:2] for line in ndb.started(0)] == [
        ["--initial"],
        ["start"],
        ["--reload"],
        ["start"],
    ]
    assert ndb.started(1) == ["ndbmtd --initial", "ndbmtd"]


def test_a_data_node_that_dies_is_named_with_its_log_and_a_rerun_finishes(
    ndb: NdbEnvironment,
) -> None:
    images.set_faults(ndb.disk(2), "ndbmtd dies")
    with pytest.raises(SetupError) as caught:
        create(ndb)
    problem = caught.value.problems[0]
    assert "ndb-datanode-type2-0 (id 3)" in problem.what
    assert "Unable to lock memory" in problem.why
    images.set_faults(ndb.disk(2))
    create(ndb)
    assert ndb.started(1) == ["ndbmtd --initial"]


def test_a_reboot_in_the_middle_of_the_first_start_does_not_wipe_twice(ndb: NdbEnvironment) -> None:
    images.set_faults(ndb.disk(2), "ndbmtd dies")
    with pytest.raises(SetupError):
        create(ndb)
    images.set_faults(ndb.disk(2))
    ndb.restart(new_addresses=False)
    create(ndb)
    assert [line for line in ndb.started(0) if "--initial" in line] == ndb.started(0)[:1]


def test_data_of_unknown_origin_is_refused_and_kept(ndb: NdbEnvironment) -> None:
    ndb.disk(1).write("/usr/local/mysql/data/ndb_2_fs/generation", "precious")
    with pytest.raises(SetupError, match="holds NDB data that this deployment did not create"):
        create(ndb)
    assert ndb.started(0) == []
    assert data(ndb, 1) == "precious"


def test_a_data_node_that_has_lost_its_files_copies_them_from_its_peer(
    ndb: NdbEnvironment,
) -> None:
    create(ndb)
    held = data(ndb, 1)
    ndb.restart()
    disk = ndb.disk(2)
    for name in ("ndb_3_fs/generation", "ndb_3_fs/figures.json", "lambda-fs-initialised"):
        disk.path(f"/usr/local/mysql/data/{name}").unlink()
    disk.path("/usr/local/mysql/data/ndb_3_fs").rmdir()
    create(ndb)
    assert data(ndb, 1) == data(ndb, 2) == held
    assert ndb.started(1) == ["ndbmtd --initial", "ndbmtd --nowait-nodes=3"]


def test_more_memory_restarts_the_data_nodes_one_at_a_time_and_keeps_the_data(
    ndb: NdbEnvironment,
) -> None:
    create(ndb)
    held = [data(ndb, 1), data(ndb, 2)]
    rows = create(ndb, ndb_data_memory="12G")
    assert rows["ndb management server"].action is Action.UPDATE
    assert held == [data(ndb, 1), data(ndb, 2)]
    for index in (1, 2):
        path = f"/usr/local/mysql/data/ndb_{index + 1}_fs/figures.json"
        assert '"DataMemory": "12G"' in ndb.disk(index).read(path)
    assert not ndb.disk(0).exists("/var/lib/mysql-cluster/lambda-fs-restarts")
    assert {row.action for row in create(ndb, ndb_data_memory="12G").values()} == {Action.EXISTS}


def test_a_cluster_without_a_fixed_port_gets_it_by_restarts_in_the_order_of_the_ids(
    ndb: NdbEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        free = {name: value for name, value in FIXED.items() if name != "ServerPort"}
        earlier.setattr("aws_setup.software.ndb.config_files.FIXED", free)
        create(ndb)
    held, ndb.notes[:] = [data(ndb, 1), data(ndb, 2)], []
    assert create(ndb)["ndb management server"].action is Action.UPDATE
    assert held == [data(ndb, 1), data(ndb, 2)]
    restarts = [note for note in ndb.notes if note.startswith("restarting")]
    assert restarts == [f"restarting {ndb.vms[index].name}" for index in (1, 2)]
    assert "ServerPort=11860\n" in ndb.disk(0).read("/var/lib/mysql-cluster/config.ini")
    assert {row.action for row in create(ndb).values()} == {Action.EXISTS}


def test_a_setting_that_ndb_cannot_change_is_a_conflict(ndb: NdbEnvironment) -> None:
    create(ndb)
    ctx, pool = ndb.context(ndb_num_cpus=8)
    found = tables.ndb_steps(ctx.config, pool)[0].find(ctx)
    pool.close()
    assert found
    assert [(drift.what, bool(drift.fix)) for drift in found.drift] == [("NumCPUs", True)]


def test_a_full_disk_leaves_nothing_half_written_and_a_rerun_finishes(ndb: NdbEnvironment) -> None:
    folder = "/var/lib/mysql-cluster"
    ndb.vm_pool.small_disk("i-0a", folder, kib=4)
    with pytest.raises(SetupError) as caught:
        create(ndb)
    problem = caught.value.problems[0]
    assert "No space left on device" in problem.why
    assert "free space" in problem.hint
    assert ndb.started(0) == ndb.started(1) == []
    ndb.restart(new_addresses=False)
    create(ndb)
    assert ndb.started(1) == ["ndbmtd --initial"]


def test_a_data_node_with_a_full_disk_says_so(ndb: NdbEnvironment) -> None:
    images.set_faults(ndb.disk(1), "disk full")
    with pytest.raises(SetupError, match="No space left on device"):
        create(ndb)


def test_a_data_node_that_hangs_is_named_at_the_deadline(
    ndb: NdbEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.set_faults(ndb.disk(2), "ndbmtd hangs")
    monkeypatch.setattr("aws_setup.software.ndb.data_nodes.START_TIMEOUT", 3.0)
    with pytest.raises(SetupError) as caught:
        create(ndb)
    assert "every NDB data node is started: not within 3 s" in caught.value.problems[0].what
    assert "ndb-datanode-type2-0 starting" in caught.value.problems[0].why


def test_a_management_server_that_does_not_answer_is_waited_for_and_not_started_twice(
    ndb: NdbEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(ndb)
    images.set_faults(ndb.disk(0), "ndb_mgmd hangs")
    monkeypatch.setattr("aws_setup.software.ndb.management_server.TIMEOUT", 2.0)
    with pytest.raises(SetupError) as caught:
        create(ndb)
    (problem,) = caught.value.problems
    assert problem.what.startswith("ndb_mgmd on ndb-manager-node answers: not within 2 s")
    assert "check /var/lib/mysql-cluster/ndb_1_cluster.log" in problem.hint
    images.set_faults(ndb.disk(0))
    assert {row.action for row in create(ndb).values()} == {Action.EXISTS}
    assert len([line for line in ndb.started(0) if line.startswith("ndb_mgmd")]) == 1


def test_a_cluster_set_up_otherwise_is_adopted_by_empty_markers(ndb: NdbEnvironment) -> None:
    for index in (1, 2):
        ndb.disk(index).write(f"/usr/local/mysql/data/ndb_{index + 1}_fs/generation", "precious")
        ndb.disk(index).write(MARKER, "")
    ndb.disk(0).write("/var/lib/mysql-cluster/lambda-fs-initialised", "")
    create(ndb)
    assert [data(ndb, 1), data(ndb, 2)] == ["precious", "precious"]
    assert not any("--initial" in line for index in range(3) for line in ndb.started(index))


def test_files_that_came_with_the_image_do_not_stop_a_new_cluster(ndb: NdbEnvironment) -> None:
    old = "/usr/local/mysql/data/ndb_2_fs/generation"
    ndb.disk(1).write(old, "of the image")
    os.utime(ndb.disk(1).path(old), (1, 1))
    create(ndb)
    assert data(ndb, 1) != "of the image"


def test_mysqld_that_was_stopped_is_started_again(ndb: NdbEnvironment) -> None:
    create(ndb)
    _, pool = ndb.context()
    pool.machine("i-0a", ndb.public["i-0a"], name=VMS[0].name, private_ip=MANAGER).run(
        ["/home/ubuntu/mysql.server", "stop"]
    )
    pool.close()
    rows = create(ndb)
    assert rows["mysqld"].action is Action.UPDATE
    assert rows["ndb storage"].action is Action.EXISTS


def test_a_manager_that_stopped_is_started_again_and_nothing_else(ndb: NdbEnvironment) -> None:
    create(ndb)
    _, pool = ndb.context()
    manager = pool.machine("i-0a", ndb.public["i-0a"], name=VMS[0].name, private_ip=MANAGER)
    manager.run(["/usr/local/bin/ndb_mgm", "-e", "1 stop"])
    manager.close()
    rows = create(ndb)
    assert rows["ndb management server"].action is Action.UPDATE
    assert [line for line in ndb.started(0) if line.startswith("ndb_mgmd")][1:] == [
        "ndb_mgmd --reload --skip-config-cache -f /var/lib/mysql-cluster/config.ini"
    ]


def test_one_data_node_that_ended_is_started_alone_and_without_initial(ndb: NdbEnvironment) -> None:
    create(ndb)
    _, pool = ndb.context()
    vm = VMS[2]
    node = pool.machine(vm.id, ndb.public[vm.id], name=vm.name, private_ip=vm.private_ip)
    node.run("kill $(cat /usr/local/mysql/data/ndb_3.pid)", sudo=True)
    pool.close()
    rows = create(ndb)
    drift = rows["ndb storage"].found.drift if rows["ndb storage"].found else ()
    assert [one.what for one in drift] == ["data node ndb-datanode-type2-0"]
    assert ndb.started(1) == ["ndbmtd --initial"]
    assert ndb.started(2) == ["ndbmtd --initial", "ndbmtd"]
