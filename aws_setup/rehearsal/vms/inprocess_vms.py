"""Imitated VMs in one process: SSH servers of paramiko, each on a port of loopback."""

from __future__ import annotations

import base64
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import paramiko

from aws_setup.rehearsal.vms.closed_at_end import ClosedAtEnd
from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.rehearsal.vms.fake_shell import FakeShell, FakeZooKeeperEnsemble
from aws_setup.rehearsal.vms.gateway import Gateway, relay
from aws_setup.rehearsal.vms.inprocess_ssh import Answer, ConcurrencyGauge, InProcessVm, VmServer
from aws_setup.rehearsal.vms.namespace_vms import ImageInstaller
from aws_setup.rehearsal.vms.packet_filter import InboundFilter
from aws_setup.rehearsal.vms.ssh_config import SshConfigFile, SshHostEntry
from aws_setup.rehearsal.vms.vm_init import (
    INTERNAL_HOST,
    INTERNAL_PORTS,
    parse_broken_connections,
)
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh.exchange import until_it_ends

SSH_PORT = 22

_REBOOT = 0.5
"""Seconds that an imitated VM takes to reboot."""

log = logging.getLogger(__name__)
log.setLevel(logging.CRITICAL)  # disconnecting clients are not logged


class InProcessVmPool(ClosedAtEnd):
    """Imitated VMs by instance id."""

    def __init__(
        self, folder: Path, *, authorized_key: str = "", gateway: Gateway | None = None
    ) -> None:
        """Create a pool without VMs; the arguments are those of NamespaceVmPool."""
        self.folder = folder
        self._gateway = gateway
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ensemble = FakeZooKeeperEnsemble()
        self.host_key = paramiko.ECDSAKey.generate()
        self.authorized_key = authorized_key
        self.vms: dict[str, InProcessVm] = {}
        self.transports: list[paramiko.Transport] = []
        self.busy = ConcurrencyGauge()
        self._dropped: list[paramiko.Channel] = []  # no answer ever comes
        self._lock = threading.Lock()
        self._forked = False
        self._ssh_config = SshConfigFile(self.folder / "ssh_config")

    def launch(
        self,
        instance_id: str,
        *,
        private_ip: str,
        public_ip: str,
        boot: float = 0,
        seconds: float = 0,
        authorized_key: str = "",
        installers: Iterable[ImageInstaller] = (),
        breaks: str = "",
    ) -> FakeShell:
        """Launch a VM that accepts the authorised key after `boot` seconds.

        `seconds` is the duration of each command. `installers` write files; programs among them are
        not used, because imitated VMs have their own. `breaks` is as in `vm_init`, for the first
        connection; bytes count as commands.
        """
        disk = Disk(self.folder / instance_id)
        disk.root.mkdir(parents=True, exist_ok=True)
        for install in installers:
            install(disk)
        machine = FakeShell(disk, private_ip, self.ensemble)
        listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        key = _key_blob(authorized_key or self.authorized_key)
        vm = InProcessVm(
            instance_id, machine, listener, public_ip, key, time.monotonic() + boot, seconds
        )
        vm.breaks = parse_broken_connections(breaks).get(1, "")
        with self._lock:
            self.vms[instance_id] = vm
        self._start(vm)
        self._write_ssh_config()
        return machine

    def serve_in_fork(self) -> None:
        """Accept connections again in a forked child, in which no thread of its parent runs."""
        self._forked = True
        for vm in self.vms.values():
            self._start(vm)

    def _start(self, vm: InProcessVm) -> None:
        threading.Thread(target=self._serve, args=(vm,), daemon=True).start()

    def power_off(self, instance_id: str) -> None:
        """Stop a VM and its programs; its disk is kept."""
        vm = self.vms[instance_id]
        vm.on = False
        self.ensemble.stop(vm.machine)

    def power_on(self, instance_id: str, *, public_ip: str = "") -> None:
        """Start a VM, with the new public address or the old one."""
        vm = self.vms[instance_id]
        vm.public_ip, vm.on = public_ip or vm.public_ip, True
        self._write_ssh_config()

    def reboot_crashed(self) -> list[str]:
        """Return no ids: imitated VMs reboot by themselves."""
        return []

    def cut(self, vm: InProcessVm, transport: paramiko.Transport) -> None:
        """Drop a connection, and reboot the VM if its fault says so."""
        transport.close()
        if vm.breaks.endswith("!"):
            self.ensemble.stop(vm.machine)
            vm.boots_at = time.monotonic() + _REBOOT

    def discard(self, instance_id: str) -> None:
        """Remove a VM and its disk; an unknown id is no error."""
        with self._lock:
            vm = self.vms.pop(instance_id, None)
        if vm:
            self.ensemble.remove(vm.machine)
            vm.on = False
            self._close_listener(vm)
            vm.machine.disk.remove()
            self._write_ssh_config()

    def console(self, instance_id: str) -> str:
        """Return a VM's console output, with the host key that all share."""
        shown = f"{self.host_key.get_name()} {self.host_key.get_base64()} {instance_id}"
        return f"-----BEGIN SSH HOST KEY KEYS-----\n{shown}\n-----END SSH HOST KEY KEYS-----\n"

    def is_listening(self, address: str, port: int) -> bool:
        """Return whether a program listens on a VM: ZooKeeper, the only server, or sshd."""
        machines = [vm.machine for vm in self.vms.values() if vm.on]
        found = [machine for machine in machines if machine.private_ip == address]
        return any(port == SSH_PORT or (port == zk.CLIENT_PORT and m.srvr()) for m in found)

    def connect(self, vm: InProcessVm, host: str, port: int) -> Answer | None:
        """Return what answers a TCP connection from a VM; None where it is refused.

        No packet is dropped: there is no network between imitated VMs.
        """
        is_local = host in ("localhost", "127.0.0.1")
        if self._gateway and is_local and port == self._gateway.port:
            return self._connect_gateway(self._gateway, vm, internal_port=0)
        if self._gateway and host == INTERNAL_HOST and port in INTERNAL_PORTS:
            return self._connect_gateway(self._gateway, vm, internal_port=port)
        found = [v for v in self.vms.values() if v.on and v.machine.private_ip == host]
        target = vm if is_local else next(iter(found), None)
        if target is None:
            return None
        answer = target.machine.srvr() if port == zk.CLIENT_PORT else None
        if answer is not None:
            return partial(_answer, answer)
        return partial(_answer, b"") if port == SSH_PORT else None

    def _connect_gateway(
        self, gateway: Gateway, vm: InProcessVm, *, internal_port: int
    ) -> Answer | None:
        try:
            outside = gateway.open(vm.id, internal_port)
        except OSError:
            return None
        return self._dropped.append if outside is None else partial(relay, outside)

    @property
    def ssh_config(self) -> Path:
        """The OpenSSH configuration that maps public addresses to the VMs."""
        return self._ssh_config.path

    def close(self) -> None:
        """Stop listening and close every connection."""
        for vm in self.vms.values():
            self._close_listener(vm)
        for transport in self.transports:
            transport.close()
        self._ssh_config.close()

    def block_ssh(self, instance_ids: frozenset[str]) -> None:
        """Let SSH connections to these VMs time out, and to no others."""
        self._ssh_config.block(instance_ids)

    def filter_connections(self, filters: Mapping[str, tuple[InboundFilter, ...]]) -> None:
        """Do nothing: between imitated VMs no packet is dropped."""

    def _close_listener(self, vm: InProcessVm) -> None:
        """Stop listening; in a forked child the parent's socket, which is the same, goes on."""
        with contextlib.suppress(OSError):
            if not self._forked:
                vm.listener.shutdown(socket.SHUT_RDWR)
        vm.listener.close()

    def _write_ssh_config(self) -> None:
        key = f"{self.host_key.get_name()} {self.host_key.get_base64()}"
        with self._lock:
            self._ssh_config.write(
                [
                    SshHostEntry(instance_id, vm.public_ip, vm.listener.getsockname()[1], key)
                    for instance_id, vm in self.vms.items()
                ],
            )

    def _serve(self, vm: InProcessVm) -> None:
        while True:
            try:
                client, _ = vm.listener.accept()
            except OSError:
                return
            if not vm.on or time.monotonic() < vm.boots_at:
                client.close()
                continue
            transport = paramiko.Transport(client)
            self.transports.append(transport)
            transport.set_log_channel(log.name)
            transport.add_server_key(self.host_key)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                server = VmServer(self, vm, transport)
                transport.start_server(event=threading.Event(), server=server)
                threading.Thread(target=server.serve_channels, daemon=True).start()


def _answer(answer: bytes, channel: paramiko.Channel) -> None:
    """Answer a request of ZooKeeper's four letters."""
    with until_it_ends(), channel:
        if answer:
            channel.recv(4)
            channel.sendall(answer)


def _key_blob(authorized_key: str) -> bytes:
    return base64.b64decode(authorized_key.split()[1])
