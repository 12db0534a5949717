"""The SSH server of an imitated VM: its key, its commands, and the connections that it opens."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
)

from aws_setup.rehearsal.vms.fake_shell import CommandResult, FakeShell
from aws_setup.ssh.exchange import until_it_ends

BANNER = "This VM is imitated: it has ZooKeeper, but neither MySQL NDB nor Hadoop"
"""What the server says at each login, so that a failure for this reason can be recognized."""

_COMMAND = 1_500
"""Bytes that count as one command, for connections that drop after some bytes."""


@dataclass
class InProcessVm:
    """One VM of the pool: its shell, its listening socket, and the seconds of each command."""

    id: str
    machine: FakeShell
    listener: socket.socket
    public_ip: str
    key: bytes
    boots_at: float = 0.0
    seconds: float = 0.0
    on: bool = True
    commands: int = 0
    tunnels: int = 0
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


Answer = Callable[[paramiko.Channel], None]
"""Serves a TCP connection until it ends."""


class Pool(Protocol):
    """What a server asks of its pool."""

    busy: ConcurrencyGauge

    def cut(self, vm: InProcessVm, transport: paramiko.Transport) -> None:
        """Drop a connection, and reboot the VM if its fault says so."""

    def connect(self, vm: InProcessVm, host: str, port: int) -> Answer | None:
        """Return what answers a TCP connection from a VM; None where it is refused."""


class VmServer(paramiko.ServerInterface):
    """Accepts the authorised key for the user ubuntu, and runs commands and tunnels."""

    def __init__(self, pool: Pool, vm: InProcessVm, transport: paramiko.Transport) -> None:
        self.pool, self.vm, self.transport = pool, vm, transport
        self.tunnels: dict[int, Answer] = {}

    def get_allowed_auths(self, username: str) -> str:
        """Accept keys only."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Accept the VM's key for the user ubuntu."""
        good = username == "ubuntu" and key.asbytes() == self.vm.key
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def get_banner(self) -> tuple[str, str]:
        """Say at each login what is missing."""
        return f"{BANNER}\r\n", "en"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Accept sessions."""
        if kind == "session":
            return OPEN_SUCCEEDED
        return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        """Accept a connection where something answers."""
        self.vm.tunnels += 1
        answer = self.pool.connect(self.vm, *destination)
        if answer is None:
            return OPEN_FAILED_CONNECT_FAILED
        self.tunnels[chanid] = answer
        return OPEN_SUCCEEDED

    def serve_channels(self) -> None:
        """Serve connections until the login ends; sessions are kept, or they would close."""
        sessions: list[paramiko.Channel] = []
        while self.transport.is_active():
            channel = self.transport.accept(1)
            if channel is None:
                sessions = [session for session in sessions if not session.closed]
            elif answer := self.tunnels.pop(channel.chanid, None):
                threading.Thread(target=answer, args=(channel,), daemon=True).start()
            else:
                sessions.append(channel)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Run a command in a thread of its own."""

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
    with until_it_ends():
        while data := channel.recv(65536):
            stdin += data
    if seconds:
        time.sleep(seconds)
    answer = work(command, bytes(stdin))
    if silent:
        return
    with until_it_ends():
        channel.sendall(answer.out)
        channel.sendall_stderr(answer.err)
        channel.send_exit_status(answer.code)
        channel.close()
