"""Drops connections to VMs: a port that never answers, and routing rules in namespaces."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

FILLERS = 4
"""Connections that fill the queue of a `BlackHole`; Linux needs one."""

LAST_FILTERED_PORT = 32767
"""The last port that `filter_commands` drops; higher ones are those of answers (Linux's
ip_local_port_range), which must pass because security groups are stateful."""


class BlackHole:
    """A port of loopback at which connections time out, as when a security group drops packets.

    Its queue of connections is full, so the kernel drops each further request.
    """

    def __init__(self) -> None:
        """Listen, and fill the queue."""
        self._sockets = [socket.socket()]
        self._sockets[0].bind(("127.0.0.1", 0))
        self._sockets[0].listen(0)
        self.port = int(self._sockets[0].getsockname()[1])
        for number in range(FILLERS):
            filler = socket.socket()
            self._sockets.append(filler)
            filler.setblocking(number == 0)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))

    def close(self) -> None:
        """Stop listening."""
        for item in self._sockets:
            item.close()


@dataclass(frozen=True)
class InboundFilter:
    """The TCP ports at which a VM accepts connections from the address `source`."""

    source: str
    ports: tuple[tuple[int, int], ...]


def filter_commands(filters: Iterable[InboundFilter]) -> str:
    """Return the input of `ip -force -batch -` that replaces a VM's filters.

    A routing rule drops a packet before the table of local addresses is read, so that a refused
    connection times out. Established connections have their route already, and continue.
    """
    lines = ["rule flush"]
    for item in filters:
        for first, last in item.ports:
            ports = f"ipproto tcp dport {max(first, 1)}-{last}"
            lines.append(f"rule add pref 10 from {item.source} {ports} lookup local")
        ports = f"ipproto tcp dport 1-{LAST_FILTERED_PORT}"
        lines.append(f"rule add pref 20 from {item.source} {ports} blackhole")
    tables = {100: "local", 32766: "main", 32767: "default"}
    lines += [f"rule add pref {number} lookup {table}" for number, table in tables.items()]
    return "\n".join([*lines, "rule del pref 0", ""])


def apply_filters(process: int, filters: Iterable[InboundFilter]) -> None:
    """Replace the filters in the network namespace of a process."""
    target = ["--target", str(process), "--user", "--net", "--preserve-credentials"]
    subprocess.run(
        ["nsenter", *target, "--", "ip", "-force", "-batch", "-"],
        input=filter_commands(filters).encode(),
        capture_output=True,
        check=False,
    )
