"""Real ZooKeeper servers on real machines: elections, rolling restarts, znodes, a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.context import Context, Step
from aws_setup.engine.plan import inspect_step
from aws_setup.engine.step import Action, Found
from aws_setup.errors import SetupError
from aws_setup.rehearsal.vms import images
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper import steps
from aws_setup.ssh.pool import MachinePool
from aws_setup.tables import software as tables
from tests.support.machines import VmEnvironment, needs_machines, vm_environment

pytestmark = [
    needs_machines,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not Path(images.ZOOKEEPER_JARS).exists(), reason="Debian's package zookeeper is missing"
    ),
]

MACHINES = ("ssh", steps.ENSEMBLE, steps.ZNODES)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path) as made:
        made.launch(3, lay=[images.install_zookeeper])
        yield made


def table(ctx: Context) -> list[Step]:
    """Return the steps of a new run, without those that create the machines."""
    config = ctx.config.model_copy(
        update={
            "create_ndb_cluster": False,
            "create_lambda_fs_client_vm": False,
            "create_hops_fs_client_vm": False,
        }
    )
    return tables.zookeeper_steps(config, MachinePool(ctx.config))


def run(
    made: VmEnvironment, count: int = 3, **keys: Any
) -> tuple[dict[str, Action], dict[str, Found], list[str]]:
    """Run the steps as the runner does; returns actions, results and notes."""
    ctx, notes = made.context(count, **keys)
    actions: dict[str, Action] = {}
    for step in table(ctx):
        row = inspect_step(step, ctx)
        if row.error:
            raise row.error
        actions[step.name] = row.action
        found = row.found or step.create(ctx)
        if row.action is Action.UPDATE:
            found = step.update(ctx, found)
        ctx.found[step.name] = found if found.ready else step.wait(ctx, found)
    return actions, ctx.found, notes


def roles(found: dict[str, Found]) -> list[str]:
    return sorted(found[steps.ENSEMBLE].facts["roles"].values())


def mtimes(made: VmEnvironment, count: int = 3) -> list[float]:
    """Return when each file and each server was last touched."""
    paths = (zk.ZOO_CFG, zk.ENVIRONMENT, zk.MY_ID, zk.PID_FILE)
    trees = [made.vm_pool.disk(f"i-{index}") for index in range(count)]
    return [tree.path(path).stat().st_mtime_ns for tree in trees for path in paths]


def test_from_nothing_to_an_ensemble_and_nothing_to_do_after(three: VmEnvironment) -> None:
    actions, found, _ = run(three)
    assert [actions[name] for name in MACHINES[1:]] == [Action.CREATE, Action.CREATE]
    assert roles(found) == ["follower", "follower", "leader"]
    assert found[steps.ZNODES].id == "100 znodes"
    before = mtimes(three)
    actions, found, _ = run(three)
    assert set(actions.values()) == {Action.EXISTS}
    assert mtimes(three) == before, "nothing was written and no server restarted"


def test_a_changed_heap_restarts_one_at_a_time_leader_last_quorum_kept(
    three: VmEnvironment,
) -> None:
    _, found, _ = run(three)
    before = found[steps.ENSEMBLE].facts["roles"]
    (leader,) = (name for name, mode in before.items() if mode == "leader")
    watch = Watch(three)
    with watch:
        actions, found, notes = run(three, zookeeper_jvm_heap_size=300)
    assert actions[steps.ENSEMBLE] is Action.UPDATE
    restarted = [note.removeprefix("restarting ") for note in notes if "restarting" in note]
    assert len(restarted) == 3
    assert restarted[-1] == leader
    assert roles(found) == ["follower", "follower", "leader"]
    assert watch.polls > 10
    assert watch.fewest_listening >= 2, "two of three servers were up all the time"
    pids = [three.vm_pool.disk(f"i-{i}").read(zk.PID_FILE) for i in range(3)]
    assert len(pids) == 3


class Watch:
    """Polls all servers over separate connections in the background."""

    def __init__(self, made: VmEnvironment) -> None:
        pool = made.pool()
        self.machines = [pool.machine(f"i-{i}", f"203.0.113.{10 + i}") for i in range(3)]
        for machine in self.machines:
            machine.connect()
        self.fewest_listening, self.polls = 3, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        while not self.stopped.wait(0.05):
            up = sum(
                machine.query_port(zk.CLIENT_PORT, b"srvr") is not None for machine in self.machines
            )
            self.fewest_listening = min(self.fewest_listening, up)
            self.polls += 1

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()


def test_after_a_stop_services_start_again_at_new_addresses(three: VmEnvironment) -> None:
    run(three)
    for index in range(3):
        three.vm_pool.power_off(f"i-{index}")
    _is_not_asked_while_stopped(three)
    for index in range(3):
        three.vm_pool.power_on(f"i-{index}", public_ip=f"203.0.113.{60 + index}")
    actions, found, _ = run(three, shift=50)
    assert actions[steps.ENSEMBLE] is Action.UPDATE
    assert actions[steps.ZNODES] is Action.EXISTS, "the data survived"
    assert roles(found) == ["follower", "follower", "leader"]


def _is_not_asked_while_stopped(three: VmEnvironment) -> None:
    """As after `pause`: the plan and `status` say so, without an error and without a connection."""
    ctx, _ = three.context(3)
    ctx.found["zookeeper"].facts["instances"][1]["public_ip"] = None
    rows = [inspect_step(step, ctx) for step in table(ctx) if step.name in MACHINES[1:]]
    assert [row.error for row in rows] == [None, None]
    assert [row.found.state for row in rows if row.found] == [
        "stopped",
        "not checked: zk-1 is stopped",
    ]
    assert [row.action for row in rows] == [Action.UPDATE, Action.EXISTS]


def test_a_pid_file_of_another_process_does_not_keep_a_server_down(three: VmEnvironment) -> None:
    run(three)
    three.vm_pool.reboot("i-1")
    three.vm_pool.disk("i-1").path(zk.PID_FILE).write_text("1")
    _, found, _ = run(three)
    assert roles(found) == ["follower", "follower", "leader"]
    # Without the file zkServer.sh stops nothing, and what it starts finds the port taken.
    three.vm_pool.disk("i-2").path(zk.PID_FILE).unlink()
    _, found, notes = run(three)
    assert roles(found) == ["follower", "follower", "leader"]
    assert "restarting zk-2" in notes
    assert run(three)[0][steps.ENSEMBLE] is Action.EXISTS


def test_missing_znodes_are_added_and_others_not_changed(three: VmEnvironment) -> None:
    """However few NameNodes there are, there are the znodes that those of the image read."""
    _, found, _ = run(three, num_namenode_deployments=1)
    assert found[steps.ZNODES].id == "100 znodes"
    machine = three.machine()
    command = [zk.CLIENT, "-server", "127.0.0.1:2181"]
    machine.run(command, stdin="set /namenode0/guest kept\ndelete /namenode0/INV\n", check=False)
    actions, found, _ = run(three, num_namenode_deployments=21)
    assert actions[steps.ZNODES] is Action.UPDATE
    assert found[steps.ZNODES].id == "105 znodes"
    output = machine.run(command, stdin="get /namenode0/guest\nls -R /\n", check=False).stdout
    assert "kept" in output.splitlines()
    assert "/namenode0/INV" in output.splitlines()


def test_one_server_grows_to_three_without_losing_its_znodes(three: VmEnvironment) -> None:
    _, found, _ = run(three, 1)
    assert roles(found) == ["standalone"]
    actions, found, _ = run(three, 3)
    assert actions[steps.ENSEMBLE] is Action.UPDATE
    assert actions[steps.ZNODES] is Action.EXISTS, "new and empty servers did not elect alone"
    assert roles(found) == ["follower", "follower", "leader"]


def test_a_reboot_in_the_middle_is_repaired_by_running_again(three: VmEnvironment) -> None:
    stop = threading.Thread(
        target=_when,
        args=(
            lambda: three.vm_pool.disk("i-2").exists(zk.PID_FILE),
            lambda: three.vm_pool.reboot("i-2"),
        ),
    )
    stop.start()
    try:
        run(three)
    except SetupError as error:
        assert error.problems[0].hint
    stop.join()
    _, found, _ = run(three)
    assert roles(found) == ["follower", "follower", "leader"]
    assert found[steps.ZNODES].id == "100 znodes"


def _when(condition: Callable[[], bool], act: Callable[[], None]) -> None:
    while not condition():
        time.sleep(0.01)
    act()


def test_a_server_that_cannot_start_is_named(three: VmEnvironment) -> None:
    start = three.vm_pool.disk("i-2").path("/opt/zookeeper/bin/zkEnv.sh")
    good = start.read_text()
    start.write_text(good + "JAVA=/bin/false\n")
    with pytest.raises(SetupError) as caught:
        run(three)
    problem = caught.value.problems[0]
    assert "zk-2" in problem.what + problem.why
    assert problem.hint
    start.write_text(good)
    _, found, _ = run(three)
    assert roles(found) == ["follower", "follower", "leader"]


def test_without_a_quorum_the_znodes_are_unknown_and_not_missing(three: VmEnvironment) -> None:
    run(three)
    three.vm_pool.power_off("i-1")
    three.vm_pool.power_off("i-2")
    ctx, _ = three.context(1)
    found = table(ctx)[-1].find(ctx)
    for _ in range(100):
        if found is None or not found.ready:
            break
        time.sleep(0.1)
        found = table(ctx)[-1].find(ctx)
    assert found is not None
    assert not found.ready
    assert "no leader" in found.state


def test_an_even_number_is_warned_about(three: VmEnvironment) -> None:
    _, found, notes = run(three, 2)
    assert roles(found) == ["follower", "leader"]
    assert "2 servers survive no more failures than 1" in notes


def test_with_every_switch_off_no_machine_is_contacted(three: VmEnvironment) -> None:
    off = {
        "start_zookeeper_cluster": False,
        "populate_zookeeper_cluster": False,
        "start_ndb_cluster": False,
        "populate_mysql_ndb_tables": False,
        "format_filesystem": False,
        "sftp_ssh_key": False,
        "configure_clients": False,
    }
    assert tables.zookeeper_steps(three.config(**off), three.pool()) == []


def test_existing_machines_are_set_up_like_created_ones_and_their_names_are_their_addresses(
    three: VmEnvironment,
) -> None:
    keys = {
        "create_zookeeper_vms": False,
        "zk_node_public_IPs": [f"203.0.113.{10 + index}" for index in range(3)],
    }
    actions, found, _ = run(three, 0, **keys)
    assert actions[steps.ENSEMBLE] is Action.CREATE
    assert sorted(found[steps.ENSEMBLE].facts["roles"]) == keys["zk_node_public_IPs"]
    assert roles(found) == ["follower", "follower", "leader"]
    assert found[steps.ZNODES].id == "100 znodes"
    assert "server.2=10.0.14.89:2888:3888" in three.vm_pool.disk("i-0").read(zk.ZOO_CFG)
    before = mtimes(three)
    actions, _, _ = run(three, 0, **keys)
    assert set(actions.values()) == {Action.EXISTS}
    assert mtimes(three) == before, "nothing was written and no server restarted"
