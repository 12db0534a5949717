"""The door to the machines: SSH connections, commands, files and tunnels; paramiko stays inside."""

from __future__ import annotations

from aws_setup.ssh.errors import ConnectionLost, HostKeyError, RemoteError, Unreachable
from aws_setup.ssh.files import FileFacts, digest_of
from aws_setup.ssh.machine import CommandResult, Machine
from aws_setup.ssh.pool import MachinePool

__all__ = [
    "CommandResult",
    "ConnectionLost",
    "FileFacts",
    "HostKeyError",
    "Machine",
    "MachinePool",
    "RemoteError",
    "Unreachable",
    "digest_of",
]
