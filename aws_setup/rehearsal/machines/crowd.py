"""Many machines in one process: SSH servers of paramiko's, each on a port of loopback."""

from __future__ import annotations

import base64
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
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

from aws_setup.hosts import zookeeper_files as zk
from aws_setup.rehearsal.machines.imitation import Answer, Ensemble, Imitation
from aws_setup.rehearsal.machines.tree import Tree

log = logging.getLogger(__name__)
log.setLevel(logging.CRITICAL)  # a client that hangs up is no event for a server


@dataclass
class Member:
    """One machine of the crowd: what it imitates, its door, and how slow it is."""

    machine: Imitation
    listener: socket.socket
    public_ip: str
    boots_at: float = 0.0
    seconds: float = 0.0


class Crowd:
    """Imitated machines; `seconds` is what each command takes, `boot` what comes before sshd."""

    def __init__(self, folder: Path, *, authorized_key: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ensemble = Ensemble()
        self.host_key = paramiko.ECDSAKey.generate()
        self.authorized = paramiko.RSAKey(data=_blob(authorized_key))
        self.members: dict[str, Member] = {}

    def __enter__(self) -> Crowd:
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
    ) -> Imitation:
        """Make a machine that lets the authorised key in after `boot` seconds."""
        tree = Tree(self.folder / instance_id)
        tree.root.mkdir(parents=True, exist_ok=True)
        machine = Imitation(tree, private_ip, self.ensemble)
        listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        member = Member(machine, listener, public_ip, time.monotonic() + boot, seconds)
        self.members[instance_id] = member
        threading.Thread(target=self._serve, args=(member,), daemon=True).start()
        self._write_ssh_config()
        return machine

    def console(self, instance_id: str) -> str:
        """Return a machine's console output, with the host key that all share."""
        shown = f"{self.host_key.get_name()} {self.host_key.get_base64()} {instance_id}"
        return f"-----BEGIN SSH HOST KEY KEYS-----\n{shown}\n-----END SSH HOST KEY KEYS-----\n"

    @property
    def ssh_config(self) -> Path:
        """The OpenSSH configuration that leads public addresses to the machines."""
        return self.folder / "ssh_config"

    def close(self) -> None:
        """Stop listening; connections end with this process."""
        for member in self.members.values():
            with contextlib.suppress(OSError):
                member.listener.shutdown(socket.SHUT_RDWR)
            member.listener.close()

    def _write_ssh_config(self) -> None:
        text = "".join(
            f"Host {member.public_ip}\n  HostName 127.0.0.1\n"
            f"  Port {member.listener.getsockname()[1]}\n"
            for member in self.members.values()
        )
        self.ssh_config.write_text(text + "Host *\n  HostName 127.0.0.1\n  Port 1\n")

    def _serve(self, member: Member) -> None:
        while True:
            try:
                client, _ = member.listener.accept()
            except OSError:
                return
            if time.monotonic() < member.boots_at:
                client.close()
                continue
            transport = paramiko.Transport(client)
            transport.set_log_channel(log.name)
            transport.add_server_key(self.host_key)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                server = _Server(self, member, transport)
                transport.start_server(event=threading.Event(), server=server)
                threading.Thread(target=server.tend, daemon=True).start()


class _Server(paramiko.ServerInterface):
    """Lets the authorised key in as ubuntu, and starts commands and tunnels."""

    def __init__(self, crowd: Crowd, member: Member, transport: paramiko.Transport) -> None:
        self.crowd, self.member, self.transport = crowd, member, transport
        self.tunnels: set[int] = set()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "ubuntu" and key.asbytes() == self.crowd.authorized.asbytes()
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == "session":
            return OPEN_SUCCEEDED
        return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        answer = self.member.machine.srvr() if destination[1] == zk.CLIENT_PORT else None
        if answer is None:
            return OPEN_FAILED_CONNECT_FAILED
        self.tunnels.add(chanid)
        return OPEN_SUCCEEDED

    def tend(self) -> None:
        """Answer tunnels until the connection ends; sessions are kept, else they would close."""
        sessions: list[paramiko.Channel] = []
        while self.transport.is_active():
            channel = self.transport.accept(1)
            if channel is None:
                sessions = [one for one in sessions if not one.closed]
            elif channel.chanid in self.tunnels:
                self._answer(channel)
            else:
                sessions.append(channel)

    def _answer(self, channel: paramiko.Channel) -> None:
        with channel, contextlib.suppress(OSError):
            channel.recv(4)
            channel.sendall(self.member.machine.srvr() or b"")

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        work = self.member.machine.run
        args = (channel, command.decode(), work, self.member.seconds)
        threading.Thread(target=_execute, args=args, daemon=True).start()
        return True


def _execute(
    channel: paramiko.Channel,
    command: str,
    work: Callable[[str, bytes], Answer],
    seconds: float,
) -> None:
    stdin = bytearray()
    while data := channel.recv(65536):
        stdin += data
    if seconds:
        time.sleep(seconds)
    answer = work(command, bytes(stdin))
    with contextlib.suppress(OSError):
        channel.sendall(answer.out)
        channel.sendall_stderr(answer.err)
        channel.send_exit_status(answer.code)
        channel.close()


def _blob(authorized_key: str) -> bytes:
    return base64.b64decode(authorized_key.split()[1])
