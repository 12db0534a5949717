"""The adapter to the machines over SSH: commands, files and tunnels; only it imports paramiko."""

from __future__ import annotations

from aws_setup.ssh.errors import ConnectionLost, HostKeyError, RemoteError, Unreachable
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.files import FileFacts, digest_of
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.port_forward import PortState

__all__ = [
    "CommandResult",
    "ConnectionLost",
    "FileFacts",
    "HostKeyError",
    "Machine",
    "MachinePool",
    "PortState",
    "RemoteError",
    "Unreachable",
    "digest_of",
]
