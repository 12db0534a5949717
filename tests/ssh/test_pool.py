"""200 machines at once, in-process: time grows with the slowest and not with the count."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup import tables
from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.software.zookeeper import steps
from aws_setup.ssh import Machine, MachinePool, RemoteError
from tests.support.machines import ADDRESSES, VmEnvironment, make_key, public_ip

COUNT = 200
SECONDS = 0.2


@pytest.fixture
def vms(tmp_path: Path) -> Iterator[InProcessVmPool]:
    key = make_key(tmp_path / "key")
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


def test_200_machines_take_little_longer_than_one(vms: InProcessVmPool, config: Config) -> None:
    for index in range(COUNT):
        private_ip = f"10.0.{index // 200}.{index % 200 + 1}"
        vms.launch(f"i-{index}", private_ip=private_ip, public_ip=address(index), seconds=SECONDS)
    pool = MachinePool(config)
    machines = [pool.machine(f"i-{index}", address(index)) for index in range(COUNT)]
    before = threading.active_count()
    pool.wait_for_ssh(machines, deadline=60)
    written = pool.each(machines, lambda machine: machine.write("/etc/x.conf", "x", sudo=True))
    assert all(written)
    assert vms.busy.peak > COUNT / 10, "two cores also do the work of all 200 servers"
    assert all(member.machine.disk.read("/etc/x.conf") == "x" for member in vms.vms.values())
    assert threading.active_count() - before < 6 * COUNT
    pool.close()


def test_one_slow_machine_does_not_delay_the_others(vms: InProcessVmPool, config: Config) -> None:
    done: dict[str, float] = {}
    for index in range(10):
        vms.launch(
            f"i-{index}",
            private_ip=ADDRESSES[0],
            public_ip=public_ip(index),
            boot=3 if index == 0 else 0,
        )
    pool = MachinePool(config, SystemClock(pace=0.1))

    def reach(machine: Machine) -> None:
        pool.wait_for_ssh([machine])
        done[machine.id] = time.monotonic()

    pool.each([pool.machine(f"i-{index}", public_ip(index)) for index in range(10)], reach)
    assert max(done, key=lambda instance_id: done[instance_id]) == "i-0"


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


def test_an_unknown_command_fails_as_in_a_shell(vms: InProcessVmPool, config: Config) -> None:
    vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
    machine = MachinePool(config).machine("i-0", public_ip(0))
    with pytest.raises(RemoteError) as caught:
        machine.run(["/opt/no/such/program"])
    assert caught.value.code == 127
