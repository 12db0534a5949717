"""The servers on the emulated VMs as a NameNode uses them: NDB, MySQL, ZooKeeper."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aws_setup.rehearsal.programs import service_client
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool

UNREACHABLE = "Communications link failure"


@dataclass(frozen=True)
class NamespaceServices:
    """Servers on VMs in namespaces, asked over TCP in the network of their VM."""

    pool: NamespaceVmPool

    def is_listening(self, address: str, port: int) -> bool:
        """Return whether a program listens on a TCP port."""
        return self.pool.is_listening(address, port)

    def data_nodes(self, manager: str) -> Sequence[tuple[str, int]]:
        """Return address and port of each data node that the management server has started."""
        found: list[list[str | int]] = json.loads(self._ask(manager, "data-nodes", manager) or "[]")
        return [(str(address), int(port)) for address, port in found]

    def login(self, address: str, port: int, *, user: str, password: str, database: str) -> str:
        """Log in with MariaDB's client; return the server's error without its number."""
        command = [
            *("mariadb", "--no-defaults", "--protocol=TCP", "--connect-timeout=5", "--skip-ssl"),
            *(f"--host={address}", f"--port={port}", f"--user={user}", "-e", "SELECT 1", database),
        ]
        try:
            done = self._run(address, command, MYSQL_PWD=password)
        except OSError:
            return UNREACHABLE
        if not done.returncode:
            return ""
        return re.sub(r"^ERROR \d+ \(\w+\)[^:]*: ", "", done.stderr.strip())

    def znodes(self, address: str, port: int, parent: str) -> Collection[str] | None:
        """Ask the real ZooKeeper for the children of a znode."""
        answer = self._ask(address, "znodes", address, str(port), parent)
        children: list[str] | None = json.loads(answer or "null")
        return children

    def _ask(self, address: str, *arguments: str) -> str:
        """Return what the client program prints; '' when it fails."""
        program = [sys.executable, "-IS", service_client.__file__, *arguments]
        try:
            done = self._run(address, program)
        except OSError:
            return ""
        return done.stdout if done.returncode == 0 else ""

    def _run(
        self, address: str, command: Sequence[str], **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this computer in the network of a VM; raises OSError without the VM."""
        return subprocess.run(
            [*self.pool.enter_network(address), *command],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@dataclass(frozen=True)
class InProcessServices:
    """The servers of imitated VMs: ZooKeeper, and neither NDB nor MySQL."""

    pool: InProcessVmPool

    def is_listening(self, address: str, port: int) -> bool:
        """Return whether a program listens on a TCP port."""
        return self.pool.is_listening(address, port)

    def data_nodes(self, manager: str) -> Sequence[tuple[str, int]]:
        """Return no data nodes."""
        return []

    def login(self, address: str, port: int, *, user: str, password: str, database: str) -> str:
        """Return that there is no MySQL."""
        return UNREACHABLE

    def znodes(self, address: str, port: int, parent: str) -> Collection[str] | None:
        """Return the children of a znode, None when the ensemble has no quorum."""
        ensemble = self.pool.ensemble
        machine = ensemble.running.get(address)
        answer = machine.srvr() if machine else None
        if answer is None or b"Mode:" not in answer:
            return None
        prefix = f"{parent}/"
        with ensemble.lock:
            paths = [path for path in ensemble.znodes if path.startswith(prefix)]
        return [path.removeprefix(prefix) for path in paths if path.count("/") == 2]
