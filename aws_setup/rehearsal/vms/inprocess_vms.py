"""Imitated VMs in one process: SSH servers of paramiko, each on a port of loopback."""

from __future__ import annotations

import base64
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
)

from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.rehearsal.vms.fake_shell import CommandResult, FakeShell, FakeZooKeeperEnsemble
from aws_setup.rehearsal.vms.namespace_vms import ImageInstaller
from aws_setup.rehearsal.vms.packet_filter import InboundFilter
from aws_setup.rehearsal.vms.ssh_config import SshConfigFile, SshHostEntry
from aws_setup.rehearsal.vms.vm_init import parse_broken_connections
from aws_setup.software.zookeeper import config as zk

_COMMAND = 1_500
"""Bytes that count as one command, for connections that drop after some bytes."""

_REBOOT = 0.5
"""Seconds that an imitated VM takes to reboot."""

log = logging.getLogger(__name__)
log.setLevel(logging.CRITICAL)  # disconnecting clients are not logged


@dataclass
class InProcessVm:
    """One VM of the pool: its shell, its listening socket, and the seconds of each command."""

    machine: FakeShell
    listener: socket.socket
    public_ip: str
    key: bytes
    boots_at: float = 0.0
    seconds: float = 0.0
    on: bool = True
    commands: int = 0
    breaks: str = ""

    def cut(self) -> bool:
        """Count a command, and return whether the connection drops during it."""
        self.commands += 1
        return bool(self.breaks) and self.commands == 1 + int(self.breaks.rstrip("!")) // _COMMAND


class ConcurrencyGauge:
    """The current and the maximum number of threads in a block."""

    def __init__(self) -> None:
        self.now = self.peak = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.peak = max(self.peak, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


class InProcessVmPool:
    """Imitated VMs by instance id."""

    def __init__(self, folder: Path, *, authorized_key: str = "") -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ensemble = FakeZooKeeperEnsemble()
        self.host_key = paramiko.ECDSAKey.generate()
        self.authorized_key = authorized_key
        self.vms: dict[str, InProcessVm] = {}
        self.transports: list[paramiko.Transport] = []
        self.busy = ConcurrencyGauge()
        self._lock = threading.Lock()
        self._ssh_config = SshConfigFile(self.folder / "ssh_config")

    def __enter__(self) -> InProcessVmPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        vm = InProcessVm(machine, listener, public_ip, key, time.monotonic() + boot, seconds)
        vm.breaks = parse_broken_connections(breaks).get(1, "")
        with self._lock:
            self.vms[instance_id] = vm
        threading.Thread(target=self._serve, args=(vm,), daemon=True).start()
        self._write_ssh_config()
        return machine

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
            self.ensemble.stop(vm.machine)
            _close_listener(vm.listener)
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
        return any(port == 22 or (port == zk.CLIENT_PORT and m.srvr()) for m in found)

    @property
    def ssh_config(self) -> Path:
        """The OpenSSH configuration that maps public addresses to the VMs."""
        return self._ssh_config.path

    def close(self) -> None:
        """Stop listening and close every connection."""
        for vm in self.vms.values():
            _close_listener(vm.listener)
        for transport in self.transports:
            transport.close()
        self._ssh_config.close()

    def block_ssh(self, instance_ids: frozenset[str]) -> None:
        """Let SSH connections to these VMs time out, and to no others."""
        self._ssh_config.block(instance_ids)

    def filter_connections(self, filters: Mapping[str, tuple[InboundFilter, ...]]) -> None:
        """Do nothing: imitated VMs have no network between them."""

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
                server = _Server(self, vm, transport)
                transport.start_server(event=threading.Event(), server=server)
                threading.Thread(target=server.serve_channels, daemon=True).start()


class _Server(paramiko.ServerInterface):
    """Accepts the authorised key for the user ubuntu, and runs commands and tunnels."""

    def __init__(
        self, pool: InProcessVmPool, vm: InProcessVm, transport: paramiko.Transport
    ) -> None:
        self.pool, self.vm, self.transport = pool, vm, transport
        self.tunnels: set[int] = set()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "ubuntu" and key.asbytes() == self.vm.key
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == "session":
            return OPEN_SUCCEEDED
        return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        answer = self.vm.machine.srvr() if destination[1] == zk.CLIENT_PORT else None
        if answer is None:
            return OPEN_FAILED_CONNECT_FAILED
        self.tunnels.add(chanid)
        return OPEN_SUCCEEDED

    def serve_channels(self) -> None:
        """Answer tunnels until the connection ends; sessions are kept, or they would close."""
        sessions: list[paramiko.Channel] = []
        while self.transport.is_active():
            channel = self.transport.accept(1)
            if channel is None:
                sessions = [session for session in sessions if not session.closed]
            elif channel.chanid in self.tunnels:
                self._answer(channel)
            else:
                sessions.append(channel)

    def _answer(self, channel: paramiko.Channel) -> None:
        with channel, contextlib.suppress(OSError):
            channel.recv(4)
            channel.sendall(self.vm.machine.srvr() or b"")

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def work() -> None:
            with self.pool.busy:
                _execute(channel, command.decode(), self.vm.machine.run, self.vm.seconds)

        def run_and_break() -> None:
            _execute(channel, command.decode(), self.vm.machine.run, 0, silent=True)
            self.pool.cut(self.vm, self.transport)

        threading.Thread(target=run_and_break if self.vm.cut() else work, daemon=True).start()
        return True


def _execute(
    channel: paramiko.Channel,
    command: str,
    work: Callable[[str, bytes], CommandResult],
    seconds: float,
    *,
    silent: bool = False,
) -> None:
    stdin = bytearray()
    while data := channel.recv(65536):
        stdin += data
    if seconds:
        time.sleep(seconds)
    answer = work(command, bytes(stdin))
    if silent:
        return
    with contextlib.suppress(OSError):
        channel.sendall(answer.out)
        channel.sendall_stderr(answer.err)
        channel.send_exit_status(answer.code)
        channel.close()


def _close_listener(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _key_blob(authorized_key: str) -> bytes:
    return base64.b64decode(authorized_key.split()[1])
