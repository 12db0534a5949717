"""The door to the machines: SSH connections, commands, files and tunnels; paramiko stays inside."""

from aws_setup.hosts.ssh.failures import ConnectionLost, HostKeyError, RemoteError, Unreachable
from aws_setup.hosts.ssh.machine import Machine, Result
from aws_setup.hosts.ssh.pool import Hosts
from aws_setup.hosts.ssh.remote_files import FileFacts, digest_of

__all__ = [
    "ConnectionLost",
    "FileFacts",
    "HostKeyError",
    "Hosts",
    "Machine",
    "RemoteError",
    "Result",
    "Unreachable",
    "digest_of",
]
