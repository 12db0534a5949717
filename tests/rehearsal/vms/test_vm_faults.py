"""Chaos on machines: a connection that breaks, a reboot, an sshd that comes late."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.random_faults import FaultKind
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.vms.ec2_sync import LATE_SSHD_SECONDS, draw_vm_faults
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.ssh import Machine, MachinePool
from aws_setup.ssh.errors import ConnectionLost
from tests.support.machines import (
    ADDRESSES,
    VmEnvironment,
    make_key,
    needs_machines,
    public_ip,
    vm_environment,
)

COMMANDS = 100


@pytest.fixture
def place(tmp_path: Path) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path) as made:
        yield made


def awake(place: VmEnvironment) -> Machine:
    """Return the machine once it has booted; a connection before that would count."""
    while "Server listening" not in place.vm_pool.disk("i-0").read("/var/log/sshd.log"):
        pass
    return place.machine()


def connections(machine: Machine) -> int:
    """Run commands, the lost ones again, and return over how many connections they went."""
    seen = {id(machine.connect()): machine.connect()}
    for _ in range(COMMANDS):
        with suppress(ConnectionLost):
            assert machine.run(["echo", "hello"]).stdout == "hello\n"
        seen[id(machine.connect())] = machine.connect()
    return len(seen)


@needs_machines
def test_a_connection_breaks_once_and_the_next_one_holds(place: VmEnvironment) -> None:
    place.vm_pool.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0), breaks="1:5000")
    machine = awake(place)
    assert connections(machine) == 2
    assert connections(machine) == 1
    assert place.vm_pool.reboot_crashed() == []


@needs_machines
def test_a_machine_goes_down_once_and_boots_again(place: VmEnvironment) -> None:
    instance_id, address = ADDRESSES[0], public_ip(0)
    tree = place.vm_pool.launch("i-0", private_ip=instance_id, public_ip=address, breaks="1:6000!")
    machine, over = awake(place), threading.Event()
    revived: list[str] = []
    machine.write("/opt/kept", "on the disk")
    machine.run("touch /run/lost")

    def revive() -> None:
        while not over.wait(0.05):
            revived.extend(place.vm_pool.reboot_crashed())

    sync = threading.Thread(target=revive)
    sync.start()
    try:
        assert connections(machine) == 2
        assert revived == ["i-0"]
        assert machine.run(["ls", "/run/lost"], check=False).code != 0
    finally:
        over.set()
        sync.join()
    assert tree.exists("/opt/kept")


@needs_machines
def test_a_port_that_was_taken_while_the_machine_was_off_is_replaced(place: VmEnvironment) -> None:
    place.vm_pool.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
    port = place.vm_pool.port("i-0")
    place.vm_pool.power_off("i-0")
    with socket.create_server(("127.0.0.1", port)):
        place.vm_pool.power_on("i-0")
        assert place.vm_pool.port("i-0") != port
        hosts = place.pool()
        machine = hosts.machine("i-0", public_ip(0))
        hosts.wait_for_ssh([machine])
        assert connections(machine) == 1


def test_imitated_machines_do_the_same(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    public = key.with_suffix(".pub").read_text()
    with InProcessVmPool(tmp_path / "crowd", authorized_key=public) as pool:
        for number, breaks in enumerate(("1:5000", "1:5000!")):
            pool.launch(
                f"i-{number}", private_ip="10.0.0.9", public_ip=public_ip(number), breaks=breaks
            )
        config = VmEnvironment(pool, tmp_path, key).config()  # type: ignore[arg-type]  # it has the file
        for number in (0, 1):
            machine = MachinePool(config).machine(f"i-{number}", public_ip(number))
            with pytest.raises(ConnectionLost):
                for _ in range(COMMANDS):
                    machine.run(["echo", "hello"])
            assert machine.run(["echo", "hello"]).stdout == "hello\n"


def test_a_seed_gives_each_machine_its_fate() -> None:
    def fates(seed: int) -> list[tuple[bool, str]]:
        cloud = Cloud(Settings(speed=100, chaos=seed))
        drawn = [
            draw_vm_faults(cloud, step) for step in ("zookeeper", "ndb manager") for _ in range(3)
        ]
        now = cloud.clock.now()
        assert all(item.boots_at <= now + LATE_SSHD_SECONDS[1] for item in drawn)
        return [(item.boots_at > now + LATE_SSHD_SECONDS[0] - 5, item.breaks) for item in drawn]

    every = [fates(seed) for seed in range(12)]
    assert every == [fates(seed) for seed in range(12)]
    drawn = [item for some in every for item in some]
    assert any(late for late, _ in drawn)
    assert any(breaks.endswith("!") for _, breaks in drawn)
    assert any(breaks and not breaks.endswith("!") for _, breaks in drawn)
    assert draw_vm_faults(Cloud(Settings(speed=100)), "zookeeper").breaks == ""


def test_late_and_cut_are_counted() -> None:
    cloud = Cloud(Settings(speed=100, chaos=1))
    for step in range(30):
        draw_vm_faults(cloud, f"step {step}")
    assert cloud.random_faults is not None
    assert {FaultKind.LATE, FaultKind.CUT, FaultKind.REBOOT} <= {
        hit.kind for hit in cloud.random_faults.injected
    }
