"""The OpenSSH configuration that maps public addresses to a rehearsal's VMs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

UNREACHABLE_HOST = "Host *\n  HostName 127.0.0.1\n  Port 1\n"
"""Every other address maps to a closed port: a rehearsal never reaches a real machine."""


@dataclass(frozen=True)
class SshHostEntry:
    """The address and port of a VM, and its host key, as in a .pub file."""

    id: str
    public_ip: str
    port: int
    host_key: str


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
