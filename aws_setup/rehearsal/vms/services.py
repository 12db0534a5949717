"""The servers on the emulated VMs as a NameNode uses them: NDB, MySQL, ZooKeeper."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aws_setup.rehearsal.openwhisk.invocation import OperationError
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
        login = {"port": str(port), "user": user, "password": password, "database": database}
        try:
            done = self._sql(address, login, "SELECT 1;")
        except OSError:
            return UNREACHABLE
        if not done.returncode:
            return ""
        return re.sub(r"^ERROR \d+ \(\w+\)[^:]*: ", "", done.stderr.strip())

    def query(self, address: str, login: Mapping[str, str], sql: str) -> list[list[str]]:
        """Run SQL with MariaDB's client; return the columns of each row.

        Raises:
            OperationError: it fails.
        """
        try:
            done = self._sql(address, login, sql)
        except OSError as error:
            raise OperationError(f"io.hops.exception.StorageException: {UNREACHABLE}") from error
        if done.returncode:
            raise OperationError(f"io.hops.exception.StorageException: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def znodes(self, address: str, port: int) -> Collection[str] | None:
        """Ask the real ZooKeeper for its znodes."""
        answer = self._ask(address, "znodes", address, str(port))
        paths: list[str] | None = json.loads(answer or "null")
        return paths

    def _sql(
        self, address: str, login: Mapping[str, str], sql: str
    ) -> subprocess.CompletedProcess[str]:
        command = [
            *("mariadb", "--no-defaults", "--protocol=TCP", "--connect-timeout=5", "--skip-ssl"),
            *(f"--host={address}", f"--port={login['port']}", f"--user={login['user']}"),
            *("-N", "-B", "-e", sql, login["database"]),
        ]
        return self._run(address, command, MYSQL_PWD=login["password"])

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

    def query(self, address: str, login: Mapping[str, str], sql: str) -> list[list[str]]:
        """Raise OperationError: there is no MySQL."""
        raise OperationError(f"io.hops.exception.StorageException: {UNREACHABLE}")

    def znodes(self, address: str, port: int) -> Collection[str] | None:
        """Return the paths of the znodes, None when the ensemble has no quorum."""
        ensemble = self.pool.ensemble
        machine = ensemble.running.get(address)
        answer = machine.srvr() if machine else None
        if answer is None or b"Mode:" not in answer:
            return None
        with ensemble.lock:
            return set(ensemble.znodes)
