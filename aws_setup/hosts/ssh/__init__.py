"""The door to the machines: SSH connections, commands, files and tunnels; paramiko stays inside."""

from aws_setup.hosts.ssh.failures import ConnectionLost, HostKeyError, RemoteError, Unreachable
from aws_setup.hosts.ssh.machine import Machine, Result
from aws_setup.hosts.ssh.pool import Hosts

__all__ = [
    "ConnectionLost",
    "HostKeyError",
    "Hosts",
    "Machine",
    "RemoteError",
    "Result",
    "Unreachable",
]
