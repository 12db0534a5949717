"""Random faults of VMs: a dropped connection, a reboot, a late sshd."""

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
from aws_setup.ssh.errors import ConnectionLost
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from tests.support.machines import (
    ADDRESSES,
    VmEnvironment,
    needs_machines,
    public_ip,
    shared_key,
    vm_environment,
)

COMMANDS = 100


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path) as created:
        yield created


def awake(environment: VmEnvironment) -> Machine:
    """Return the machine once it has booted; a connection before that would count."""
    while "Server listening" not in environment.vm_pool.disk("i-0").read("/var/log/sshd.log"):
        pass
    return environment.machine()


def connections(machine: Machine) -> int:
    """Run commands, the lost ones again, and return over how many connections they went."""
    seen = {id(machine.connect()): machine.connect()}
    for _ in range(COMMANDS):
        with suppress(ConnectionLost):
            assert machine.run(["echo", "hello"]).stdout == "hello\n"
        seen[id(machine.connect())] = machine.connect()
    return len(seen)


@needs_machines
def test_one_connection_drops_and_the_next_does_not(environment: VmEnvironment) -> None:
    environment.vm_pool.launch(
        "i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0), breaks="1:5000"
    )
    machine = awake(environment)
    assert connections(machine) == 2
    assert connections(machine) == 1
    assert environment.vm_pool.reboot_crashed() == []


@needs_machines
def test_a_vm_reboots_once(environment: VmEnvironment) -> None:
    instance_id, address = ADDRESSES[0], public_ip(0)
    tree = environment.vm_pool.launch(
        "i-0", private_ip=instance_id, public_ip=address, breaks="1:6000!"
    )
    machine, over = awake(environment), threading.Event()
    rebooted: list[str] = []
    machine.write("/opt/kept", "on the disk")
    machine.run("touch /run/lost")

    def reboot() -> None:
        while not over.wait(0.05):
            rebooted.extend(environment.vm_pool.reboot_crashed())

    sync = threading.Thread(target=reboot)
    sync.start()
    try:
        assert connections(machine) == 2
        assert rebooted == ["i-0"]
        assert machine.run(["ls", "/run/lost"], check=False).code != 0
    finally:
        over.set()
        sync.join()
    assert tree.exists("/opt/kept")


@needs_machines
def test_a_port_that_is_used_by_another_program_is_replaced(environment: VmEnvironment) -> None:
    environment.vm_pool.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
    port = environment.vm_pool.port("i-0")
    environment.vm_pool.power_off("i-0")
    with socket.create_server(("127.0.0.1", port)):
        environment.vm_pool.power_on("i-0")
        assert environment.vm_pool.port("i-0") != port
        hosts = environment.pool()
        machine = hosts.machine("i-0", public_ip(0))
        hosts.wait_for_ssh([machine])
        assert connections(machine) == 1


def test_imitated_vms_have_the_same_faults(tmp_path: Path) -> None:
    key = shared_key(tmp_path / "key")
    public = key.with_suffix(".pub").read_text()
    with InProcessVmPool(tmp_path / "vms", authorized_key=public) as pool:
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


def test_a_seed_determines_the_faults_of_each_vm() -> None:
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


def test_faults_of_vms_are_counted() -> None:
    cloud = Cloud(Settings(speed=100, chaos=1))
    for step in range(30):
        draw_vm_faults(cloud, f"step {step}")
    assert cloud.random_faults is not None
    assert {FaultKind.LATE, FaultKind.CUT, FaultKind.REBOOT} <= {
        fault.kind for fault in cloud.random_faults.injected
    }
