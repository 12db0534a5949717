"""200 machines in-process: all are worked on at once, so that the slowest decides the time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

import paramiko
import pytest

from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import SetupError
from aws_setup.rehearsal.vms.inprocess_ssh import ConcurrencyGauge
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper import servers, steps
from aws_setup.ssh.connection import connect
from aws_setup.ssh.errors import ConnectStage, RemoteError, Unreachable
from aws_setup.ssh.known_hosts import HostKey
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.tables import software as tables
from tests.support.clock import RecordingClock
from tests.support.machines import ADDRESSES, VmEnvironment, public_ip, shared_key

COUNT = 200


class Gathering(ConcurrencyGauge):
    """Holds every command until `count` are under way at once (or four minutes have passed)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.complete = count, threading.Event()

    def __enter__(self) -> None:
        super().__enter__()
        if self.peak >= self.count:
            self.complete.set()
        self.complete.wait(240)


@pytest.fixture
def vms(tmp_path: Path) -> Iterator[InProcessVmPool]:
    key = shared_key(tmp_path / "key")
    with InProcessVmPool(
        tmp_path / "vms", authorized_key=key.with_suffix(".pub").read_text()
    ) as made:
        yield made


@pytest.fixture
def config(vms: InProcessVmPool, tmp_path: Path) -> Config:
    return Config(
        ssh_keypair_name="rehearsal",
        ssh_key_path=str(tmp_path / "key"),
        ssh_config_path=str(vms.ssh_config),
        infrastructure_json_path=str(tmp_path / "receipts"),
    )


def address(index: int) -> str:
    return f"203.0.{index // 200}.{index % 200 + 1}"


def test_200_machines_are_worked_on_all_at_once(vms: InProcessVmPool, config: Config) -> None:
    for index in range(COUNT):
        private_ip = f"10.0.{index // 200}.{index % 200 + 1}"
        vms.launch(f"i-{index}", private_ip=private_ip, public_ip=address(index))
    pool = MachinePool(config)
    vms.busy = Gathering(COUNT)
    machines = [pool.machine(f"i-{index}", address(index)) for index in range(COUNT)]
    before = threading.active_count()
    pool.wait_for_ssh(machines, deadline=240)
    written = pool.each(machines, lambda machine: machine.write("/etc/x.conf", "x", sudo=True))
    assert all(written)
    assert vms.busy.complete.is_set(), f"{vms.busy.peak} of {COUNT} commands ran at once"
    assert all(member.machine.disk.read("/etc/x.conf") == "x" for member in vms.vms.values())
    assert threading.active_count() - before < 6 * COUNT
    pool.close()


def test_one_slow_machine_does_not_delay_the_others(vms: InProcessVmPool, config: Config) -> None:
    done: list[str] = []
    for index in range(10):
        vms.launch(
            f"i-{index}",
            private_ip=ADDRESSES[0],
            public_ip=public_ip(index),
            boot=inf if index == 0 else 0,
        )
    pool = MachinePool(config, SystemClock(pace=0.1))

    def reach(machine: Machine) -> None:
        pool.wait_for_ssh([machine], deadline=240)
        done.append(machine.id)
        if len(done) == 9:
            vms.vms["i-0"].boots_at = 0

    pool.each([pool.machine(f"i-{index}", public_ip(index)) for index in range(10)], reach)
    assert done[9:] == ["i-0"]


def test_in_process_machines_run_the_same_steps(vms: InProcessVmPool, config: Config) -> None:
    for index in range(3):
        vms.launch(f"i-{index}", private_ip=ADDRESSES[index], public_ip=public_ip(index))
    stand_in = VmEnvironment.__new__(VmEnvironment)
    stand_in.vm_pool, stand_in.folder = vms, vms.folder  # type: ignore[assignment] # only asked for addresses
    stand_in.key = Path(config.ssh_key_path)
    for expected in (None, "exists"):
        ctx, _ = stand_in.context(3)
        table = tables.zookeeper_steps(ctx.config, MachinePool(ctx.config))
        for step in table[1:]:
            found: Found | None = step.find(ctx)
            assert (found is None) == (expected is None)
            ctx.found[step.name] = step.wait(ctx, found or step.create(ctx))
        assert ctx.found[steps.ENSEMBLE].facts["roles"] == {
            "zk-0": "follower",
            "zk-1": "follower",
            "zk-2": "leader",
        }


@pytest.mark.kind("C7")
def test_a_folder_where_a_file_of_zookeeper_belongs_is_named_with_the_fix(
    vms: InProcessVmPool, config: Config
) -> None:
    vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
    disk = vms.vms["i-0"].machine.disk
    disk.path(zk.ZOO_CFG).mkdir(parents=True)
    pool = MachinePool(config)
    member = servers.MemberSpec(pool.machine("i-0", public_ip(0)), {zk.ZOO_CFG: "tickTime=2000\n"})
    for act in (servers.member_status, servers.configure):
        with pytest.raises(RemoteError, match=f"{zk.ZOO_CFG} is a folder, not a file") as caught:
            act(member)
        assert f"`sudo mv {zk.ZOO_CFG} {zk.ZOO_CFG}.old`" in caught.value.problems[0].hint
    pool.close()


def test_an_unknown_command_fails_as_in_a_shell(vms: InProcessVmPool, config: Config) -> None:
    vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
    machine = MachinePool(config).machine("i-0", public_ip(0))
    with pytest.raises(RemoteError) as caught:
        machine.run(["/opt/no/such/program"])
    assert caught.value.code == 127


def test_a_wait_says_what_a_machine_lacks(config: Config) -> None:
    notes: list[str] = []
    pool = MachinePool(config, RecordingClock())
    with pytest.raises(SetupError, match="answers SSH: not within"):
        pool.wait_for_ssh([pool.machine("i-0", "")], deadline=5, note=notes.append)
    assert notes[0] == "i-0: cannot be reached yet (address)"


@pytest.mark.timeout(60)
def test_where_no_thread_can_be_started_the_work_on_machines_ends_with_the_fix(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("machine"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(SetupError, match="can't start new thread") as caught:
        MachinePool(config).each(["a", "b"], str)
    assert "ulimit -u" in caught.value.problems[0].hint


def test_a_failure_that_no_wait_mends_names_its_own_cause(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the attempt before, when the machine was booting."""
    errors = [
        Unreachable("vm", ConnectStage.PORT, "port 22 refuses connections", "wait"),
        Unreachable("vm", ConnectStage.KEY, "it accepts no key", "set a key", transient=False),
    ]

    def fail(*_: object, **__: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr("aws_setup.ssh.pool.connect", fail)
    pool = MachinePool(config, RecordingClock())
    with pytest.raises(Unreachable) as caught:
        pool.wait_for_ssh([pool.machine("i-0", "203.0.113.1")], deadline=60)
    (problem,) = caught.value.problems
    assert (problem.why, problem.hint) == ("it accepts no key", "set a key")


def test_a_machine_that_never_answers_is_unreachable_at_the_stage_that_failed_last(
    config: Config,
) -> None:
    pool = MachinePool(config, RecordingClock())
    with pytest.raises(Unreachable, match=r"i-0 .* answers SSH: not within 5 s") as caught:
        pool.wait_for_ssh([pool.machine("i-0", "")], deadline=5)
    assert caught.value.stage is ConnectStage.ADDRESS
    assert "it has no public address" in caught.value.problems[0].why


class Waiting:
    """A tunnel whose machine has gone, while a thread waits until it answers again."""

    def __init__(self, vms: InProcessVmPool, config: Config) -> None:
        vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
        self.clock, self.polls = SystemClock(pace=0.1), threading.Semaphore(0)
        self.pool = MachinePool(config, self.clock)
        self.machine = self.pool.machine("i-0", public_ip(0))
        transport = self.machine.connect()
        vms.power_off("i-0")
        for served in vms.transports:
            served.close()
        while transport.is_active():
            time.sleep(0.01)

    def ends_after(self, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
        """Return whether a use of the tunnel ends, and `act`, which is called during the wait."""
        known = self.pool.known_hosts
        keys = known.keys

        def counted(alias: str) -> list[HostKey]:
            self.polls.release()
            return keys(alias)

        monkeypatch.setattr(known, "keys", counted)
        acting = threading.Thread(target=act, daemon=True)
        with (
            self.machine.forward("10.0.4.113", 22) as port,
            socket.create_connection(("127.0.0.1", port), timeout=30) as client,
        ):
            assert self.polls.acquire(timeout=60)
            acting.start()
            acting.join(30)
            return not acting.is_alive() and client.recv(1) == b""


@pytest.mark.parametrize("end", ["close", "another address", "Ctrl-C"])
def test_a_tunnel_that_waits_for_its_machine_does_not_keep_the_run_from_its_end(
    vms: InProcessVmPool, config: Config, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    waiting = Waiting(vms, config)
    acts: dict[str, Callable[[], object]] = {
        "close": waiting.pool.close,
        "another address": lambda: waiting.pool.machine("i-0", public_ip(1)),
        "Ctrl-C": waiting.clock.stop,
    }
    assert waiting.ends_after(acts[end], monkeypatch)
    assert not shown, "a traceback is on the screen"


def test_a_connection_that_opens_while_its_machine_is_closed_is_not_kept(
    vms: InProcessVmPool, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
    pool = MachinePool(config)
    machine = pool.machine("i-0", public_ip(0))
    opened: list[paramiko.Transport] = []

    def opening(*arguments: object, **options: object) -> paramiko.Transport:
        opened.append(connect(*arguments, **options))  # type: ignore[arg-type] # as it was called
        machine.close()
        return opened[-1]

    monkeypatch.setattr("aws_setup.ssh.pool.connect", opening)
    with pytest.raises(Unreachable, match="closed meanwhile"):
        machine.connect()
    assert not opened[0].is_active()
    monkeypatch.undo()
    assert machine.run(["echo", "again"]).stdout == "again\n"
    pool.close()
