"""A data node whose machine is gone comes back with its peer's rows, or nothing is launched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.plan import Row, conflict_problems, inspect_step
from aws_setup.engine.step import Action
from aws_setup.errors import Problem, SetupError
from aws_setup.infrastructure.cluster_members import at_known_addresses
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.rehearsal.vms import images
from aws_setup.tables import software as tables
from tests.support.machines import needs_machines
from tests.support.ndb import VMS, NdbEnvironment, Vm, ndb_environment, run

pytestmark = needs_machines

FOUR = (
    VMS[0],
    Vm("ndb data nodes 1", "i-1a", "ndb-datanode-type1-0", "10.0.1.1"),
    Vm("ndb data nodes 1", "i-1b", "ndb-datanode-type1-1", "10.0.1.2"),
    Vm("ndb data nodes 2", "i-2a", "ndb-datanode-type2-0", "10.0.1.3"),
    Vm("ndb data nodes 2", "i-2b", "ndb-datanode-type2-1", "10.0.1.4"),
)
INITIAL, DATA = "ndbmtd --initial", "/usr/local/mysql/data"


@pytest.fixture
def ndb(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NdbEnvironment]:
    """Return the machines of a running cluster: two data nodes, or what the test asks for."""
    vms = getattr(request, "param", VMS)
    with ndb_environment(tmp_path, vms) as made:
        create(made)
        yield made


def keys(ndb: NdbEnvironment, **more: Any) -> dict[str, Any]:
    return {"num_ndb_datanodes": 4 if "i-1b" in ndb.public else 2} | more


def create(ndb: NdbEnvironment, **more: Any) -> dict[str, Row]:
    ctx, pool = ndb.context(**keys(ndb, **more))
    try:
        return run(ctx, tables.ndb_steps(ctx.config, pool))
    finally:
        pool.close()


def refused(ndb: NdbEnvironment, **more: Any) -> Problem:
    """Return the one conflict that a plan has."""
    ctx, pool = ndb.context(**keys(ndb, **more))
    row = inspect_step(tables.ndb_steps(ctx.config, pool)[0], ctx)
    pool.close()
    assert row.action is Action.CONFLICT
    (problem,) = conflict_problems(row)
    return problem


def launched_at(ndb: NdbEnvironment) -> list[str]:
    """Return the addresses at which a run launches the machines that are missing."""
    ctx, pool = ndb.context(**keys(ndb))
    row = inspect_step(tables.ndb_steps(ctx.config, pool)[0], ctx)
    pool.close()
    assert row.action is Action.UPDATE
    assert row.found
    ctx.found[row.step.name] = row.found
    groups = [at_known_addresses(ctx, group) for group in vm_groups(ctx.config) if group.cluster]
    known = {vm.private_ip for vm in ndb.vms}
    return [str(it) for group in groups for it in group.addresses if str(it) not in known]


def rows(ndb: NdbEnvironment, index: int) -> str:
    """Return what a data node's files hold; that of a group's nodes is the same."""
    return ndb.disk(index).read(f"{DATA}/ndb_{index + 1}_fs/generation")


@pytest.mark.parametrize("ndb", [VMS, FOUR], ids=["two", "four"], indirect=True)
@pytest.mark.parametrize("position", ["first", "last"])
def test_a_lost_data_node_comes_back_at_its_address_with_its_peers_rows(
    ndb: NdbEnvironment, position: str
) -> None:
    index = 1 if position == "first" else len(ndb.vms) - 1
    held = [rows(ndb, each) for each in range(1, len(ndb.vms))]
    lost = ndb.terminate(index)
    assert launched_at(ndb) == [lost.private_ip]
    ndb.launch_again(lost)
    create(ndb)
    assert [rows(ndb, each) for each in range(1, len(ndb.vms))] == held
    assert ndb.started(index) == [INITIAL]
    others = [each for each in range(1, len(ndb.vms)) if each != index]
    assert [ndb.started(each) for each in others] == [[INITIAL]] * len(others), "none restarted"
    assert len(ndb.started(0)) == 2, "nor the management server"
    assert {row.action for row in create(ndb).values()} == {Action.EXISTS}
    ndb.restart()
    create(ndb)
    assert ndb.started(index) == [INITIAL, "ndbmtd"]
    assert [rows(ndb, each) for each in range(1, len(ndb.vms))] == held


@pytest.mark.parametrize("ndb", [VMS, FOUR], ids=["two", "four"], indirect=True)
def test_where_the_others_are_stopped_they_start_first_and_do_not_wait_for_it(
    ndb: NdbEnvironment,
) -> None:
    held = rows(ndb, 2)
    lost = ndb.terminate(1)
    ndb.restart()
    assert launched_at(ndb) == [lost.private_ip]
    ndb.launch_again(lost)
    create(ndb)
    assert rows(ndb, 1) == rows(ndb, 2) == held
    assert ndb.started(2) == [INITIAL, "ndbmtd --nowait-nodes=2"]
    assert ndb.started(1) == [INITIAL]


def test_a_copy_that_was_interrupted_begins_again(ndb: NdbEnvironment) -> None:
    held = rows(ndb, 2)
    ndb.launch_again(ndb.terminate(1))
    images.set_faults(ndb.disk(1), "ndbmtd dies")
    with pytest.raises(SetupError, match="Unable to lock memory"):
        create(ndb)
    ndb.disk(1).write(f"{DATA}/ndb_2_fs/generation", "half of the rows")
    images.set_faults(ndb.disk(1))
    ndb.restart(new_addresses=False)
    create(ndb)
    assert rows(ndb, 1) == rows(ndb, 2) == held
    assert ndb.started(1) == [INITIAL, INITIAL]
    assert {row.action for row in create(ndb).values()} == {Action.EXISTS}


def test_a_replacement_at_another_address_is_refused_with_what_to_do(ndb: NdbEnvironment) -> None:
    lost = ndb.terminate(1)
    ndb.launch_again(lost, private_ip="10.0.1.77")
    problem = refused(ndb)
    assert "the address of ndb-datanode-type1-0 is 10.0.1.77, but 10.0.1.1" in problem.what
    assert "terminate-instances --instance-ids i-1a0" in problem.hint
    ndb.launch_again(ndb.terminate(1), private_ip=lost.private_ip)
    create(ndb)
    assert rows(ndb, 1) == rows(ndb, 2)


@pytest.mark.parametrize("ndb", [FOUR], ids=["four"], indirect=True)
def test_a_lost_node_group_is_refused_before_anything_is_launched(ndb: NdbEnvironment) -> None:
    for _ in range(2):
        ndb.terminate(1)
    problem = refused(ndb)
    assert "node group is 2 (10.0.1.1), 3 (10.0.1.2) lost" in problem.what
    assert "its rows exist nowhere else" in problem.hint
    assert 'destroy --only "ndb manager"' in problem.hint


def test_a_peer_that_has_not_finished_its_copy_has_no_rows_to_copy(ndb: NdbEnvironment) -> None:
    ndb.launch_again(ndb.terminate(1))
    images.set_faults(ndb.disk(1), "ndbmtd dies")
    with pytest.raises(SetupError, match="Unable to lock memory"):
        create(ndb)
    ndb.terminate(2)
    assert "node group is 2 (10.0.1.1), 3 (10.0.1.2) lost" in refused(ndb).what


@pytest.mark.parametrize(
    ("number", "fix"), [(4, "reorganisation of every table"), (6, "reorganisation")]
)
def test_more_data_nodes_are_refused_before_anything_is_launched(
    ndb: NdbEnvironment, number: int, fix: str
) -> None:
    problem = refused(ndb, num_ndb_datanodes=number)
    assert f"the number of data nodes is 2, but {number} in" in problem.what
    assert fix in problem.hint


@pytest.mark.parametrize("ndb", [FOUR], ids=["four"], indirect=True)
def test_fewer_data_nodes_are_refused_and_none_is_to_be_terminated(ndb: NdbEnvironment) -> None:
    problem = refused(ndb, num_ndb_datanodes=2)
    assert "terminate no data node" in problem.hint


@pytest.mark.parametrize("manager", ["stopped", "lost"])
def test_without_the_managers_files_nothing_is_launched(ndb: NdbEnvironment, manager: str) -> None:
    assert ndb.tagged == {"i-0a", "i-1a", "i-2a"}
    ndb.terminate(1)
    state, tags = {"Name": "running"}, [{"Key": "lambda-fs:ndb", "Value": "started"}]
    ndb.instances.append({"InstanceId": "i-2a", "State": state, "Tags": tags})
    if manager == "stopped":
        ndb.vm_pool.power_off("i-0a")
        ndb.public["i-0a"] = ""
        problem = refused(ndb)
        assert "aws ec2 start-instances --instance-ids i-0a`" in problem.hint
        return
    ndb.terminate(0)
    problem = refused(ndb)
    assert 'create --only "ndb manager"' in problem.hint


def test_permuted_names_move_no_node_id(ndb: NdbEnvironment) -> None:
    """A name is a tag that anyone can change; files belong to an id."""
    manager, first, second = ndb.vms
    ndb.vms = (
        manager,
        Vm(first.step, second.id, second.name, second.private_ip),
        Vm(second.step, first.id, first.name, first.private_ip),
    )
    assert {row.action for row in create(ndb).values()} == {Action.EXISTS}
