"""The OpenSSH configuration that maps public addresses to a rehearsal's VMs."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from aws_setup.rehearsal.vms.packet_filter import BlackHole

UNREACHABLE_HOST = "Host *\n  HostName 127.0.0.1\n  Port 1\n"
"""Every other address maps to a closed port: a rehearsal never reaches a real machine."""


@dataclass(frozen=True)
class SshHostEntry:
    """The address and port of a VM, and its host key, as in a .pub file."""

    id: str
    public_ip: str
    port: int
    host_key: str


class SshConfigFile:
    """The configuration file of a pool; connections to blocked VMs time out."""

    def __init__(self, path: Path) -> None:
        """Write a file without VMs."""
        self.path = path
        self._lock = threading.Lock()
        self._entries: list[SshHostEntry] = []
        self._blocked: frozenset[str] = frozenset()
        self._black_hole: BlackHole | None = None
        self.write([])

    def write(self, entries: Iterable[SshHostEntry]) -> None:
        """Write the file with these VMs."""
        with self._lock:
            self._entries = list(entries)
            self._write()

    def block(self, ids: frozenset[str]) -> None:
        """Let connections to these VMs time out, and to no others; also to VMs added later."""
        with self._lock:
            if ids != self._blocked:
                self._blocked = ids
                self._write()

    def close(self) -> None:
        """Close the port that never answers."""
        with self._lock:
            if self._black_hole:
                self._black_hole.close()

    def _write(self) -> None:
        if self._blocked and self._black_hole is None:
            self._black_hole = BlackHole()
        port = self._black_hole.port if self._black_hole else 0
        write_ssh_config(
            self.path,
            [
                replace(entry, port=port) if entry.id in self._blocked else entry
                for entry in self._entries
            ],
        )


def write_ssh_config(path: Path, entries: Iterable[SshHostEntry]) -> None:
    """Write the configuration, and known_hosts beside it, so that `ssh -F` does not ask."""
    entries = list(entries)
    known = path.with_name("known_hosts")
    keys = [f"{entry.id} {' '.join(entry.host_key.split()[:2])}\n" for entry in entries]
    _replace(known, "".join(keys))
    hosts = [
        f"Host {entry.public_ip}\n  HostName 127.0.0.1\n  Port {entry.port}\n  User ubuntu\n"
        f'  HostKeyAlias {entry.id}\n  UserKnownHostsFile "{known.resolve()}"\n'
        for entry in entries
        if entry.public_ip
    ]
    _replace(path, "".join(hosts) + UNREACHABLE_HOST)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
