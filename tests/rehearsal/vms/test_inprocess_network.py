"""Connections of imitated VMs: to each other, to the load balancer, and what they do not have."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from aws_setup.config import Config
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.vm_init import INTERNAL_HOST, INTERNAL_PORTS
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify import client_checks
from aws_setup.verify.chain import Chain
from tests.support.machines import ADDRESSES, public_ip, shared_key

LOAD_BALANCER = 8443


class Balancer:
    """A load balancer that echoes one line, drops packets, or refuses."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []
        self.drops = self.refuses = False

    def open(self, instance_id: str, internal_port: int) -> socket.socket | None:
        instance_id += f" inside at {internal_port}" if internal_port else ""
        if self.refuses:
            raise ConnectionRefusedError
        if self.drops:
            return None
        near, far = socket.socketpair()
        self.ends.append(far)
        threading.Thread(target=self._echo, args=(far, instance_id), daemon=True).start()
        return near

    def _echo(self, end: socket.socket, instance_id: str) -> None:
        with end:
            end.sendall(end.recv(100) + f" from {instance_id}".encode())


@pytest.fixture
def balancer() -> Balancer:
    return Balancer()


@pytest.fixture
def vms(tmp_path: Path, balancer: Balancer) -> Iterator[tuple[InProcessVmPool, Machine]]:
    key = shared_key(tmp_path / "key")
    public = key.with_suffix(".pub").read_text()
    gateway = Gateway(LOAD_BALANCER, balancer.open)
    with InProcessVmPool(tmp_path / "vms", authorized_key=public, gateway=gateway) as made:
        for index in (0, 1):
            made.launch(f"i-{index}", private_ip=ADDRESSES[index], public_ip=public_ip(index))
        config = Config(
            ssh_keypair_name="key",
            ssh_key_path=str(key),
            ssh_config_path=str(made.ssh_config),
            infrastructure_json_path=str(tmp_path / "receipts"),
        )
        pool = MachinePool(config)
        yield made, pool.machine("i-0", public_ip(0), name="client")
        pool.close()


def test_a_vm_reaches_the_zookeeper_of_another_and_nothing_that_does_not_run(
    vms: tuple[InProcessVmPool, Machine],
) -> None:
    pool, client = vms
    other = ADDRESSES[1]
    assert client.port_state(other, zk.CLIENT_PORT) is PortState.REFUSED
    shell = pool.vms["i-1"].machine
    shell.disk.write(zk.ZOO_CFG, "clientPort=2181\n")
    pool.ensemble.running[other] = shell
    assert client.port_state(other, zk.CLIENT_PORT) is PortState.OPEN
    assert b"Mode: standalone" in (client.query_port(zk.CLIENT_PORT, b"srvr", host=other) or b"")
    assert client.port_state("127.0.0.1", zk.CLIENT_PORT) is PortState.REFUSED
    assert client.port_state(other, 22) is PortState.OPEN
    for port in (1186, 3306, 11860, 8000):
        assert client.port_state(other, port) is PortState.REFUSED
    pool.power_off("i-1")
    assert client.port_state(other, zk.CLIENT_PORT) is PortState.REFUSED
    assert client.port_state("10.0.99.99", zk.CLIENT_PORT) is PortState.REFUSED


def test_a_vm_reaches_the_load_balancer_as_its_network_allows(
    vms: tuple[InProcessVmPool, Machine], balancer: Balancer
) -> None:
    _, client = vms

    def ask() -> bytes | None:
        return client.query_port(LOAD_BALANCER, b"GET", host="localhost", timeout=240)

    assert ask() == b"GET from i-0"
    balancer.refuses = True
    assert ask() is None
    balancer.refuses, balancer.drops = False, True
    assert client.query_port(LOAD_BALANCER, b"GET", host="localhost", timeout=0.2) == b""


def test_the_internal_load_balancer_has_its_own_ports(
    vms: tuple[InProcessVmPool, Machine],
) -> None:
    _, client = vms
    for port in INTERNAL_PORTS:
        found = client.query_port(port, b"GET", host=INTERNAL_HOST, timeout=240)
        assert found == f"GET from i-0 inside at {port}".encode()
    assert client.port_state(INTERNAL_HOST, LOAD_BALANCER) is PortState.REFUSED


def test_verify_says_that_the_client_is_imitated(vms: tuple[InProcessVmPool, Machine]) -> None:
    _, client = vms
    assert client.banner == "", "there is no connection yet"
    made: Any = Chain(cast("Any", None), cast("Any", MachinePoolThatWorks()), cast("Any", None))
    made.__dict__["client"] = client
    assert client_checks.check_ssh(made) == str(client)
    [said] = made.said
    assert said.startswith("client says at login: This VM is imitated")
    assert "neither MySQL NDB nor Hadoop" in said


class MachinePoolThatWorks:
    """A pool whose keys can be read."""

    def check(self) -> None:
        """Do nothing."""
