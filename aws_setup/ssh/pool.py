"""All machines of a deployment: one connection each, work on many at once, waiting for sshd."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import paramiko

from aws_setup.config import Config
from aws_setup.config.paths import known_hosts_path
from aws_setup.engine.wait import Clock, Pending, SystemClock, wait_until
from aws_setup.errors import Problem, SetupError
from aws_setup.ssh.connection import SshContext, connect
from aws_setup.ssh.errors import ConnectStage, HostKeyError, Unreachable
from aws_setup.ssh.keys import Ask, KeyRing
from aws_setup.ssh.known_hosts import HostKey, KnownHosts, keys_in_console
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.ssh_config import SshSettings

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

PARALLEL = 256
"""Machines worked on at the same time; a machine that boots costs a thread and nothing else."""

CONNECTION_STAGES = 10.0
"""Seconds that each layer of one connection attempt may take."""

BOOT = 300.0
"""Seconds that a machine gets from its start until sshd lets us in; one minute is usual."""

_PAUSE = 3.0


class MachinePool:
    """The machines of one deployment; close it at the end of the run."""

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        *,
        ask: Ask | None = None,
        console: Callable[[str], str] | None = None,
    ) -> None:
        """Prepare; nothing is contacted or read yet.

        Args:
            config: ssh_key_path, ssh_config_path, and where the known hosts are kept.
            clock: the clock to wait on; the machine's own when left out.
            ask: asks for a passphrase on a terminal; None when there is no terminal.
            console: instance id -> EC2 console output; None leaves host keys to first use.
        """
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.console = console
        self.known = KnownHosts(known_hosts_path(config))
        self.identities = KeyRing(Path(config.ssh_key_path), ask=ask)
        self.first_use: dict[str, HostKey] = {}
        self._machines: dict[str, Machine] = {}
        self._read: tuple[int, SshSettings] | None = None
        self._door = SshContext(self._settings, self.identities, self.known, self._trust)
        self._lock = threading.Lock()

    def use(self, *, clock: Clock, console: Callable[[str], str] | None) -> None:
        """Work with the clock and the console outputs of the run from now on."""
        self.clock, self.console = clock, console

    def machine(
        self, instance_id: str, address: str, *, name: str = "", private_ip: str = ""
    ) -> Machine:
        """Return a machine; the same one for the same id, with another address after a stop."""
        with self._lock:
            machine = self._machines.get(instance_id)
            if machine is None or machine.address != address:
                if machine:
                    machine.close()
                machine = Machine(
                    instance_id,
                    address,
                    connect=self._connect,
                    clock=self.clock,
                    name=name,
                    private_ip=private_ip,
                )
                self._machines[instance_id] = machine
            return machine

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for machine in self._machines.values():
                machine.close()

    def check(self) -> None:
        """Load key and OpenSSH configuration, so that faults and passphrases come up early."""
        self.identities.check()
        self._settings()

    def each(self, machines: Iterable[S], work: Callable[[S], T]) -> list[T]:
        """Do something on many machines, or what stands for them, at once; answers in order.

        Raises:
            SetupError: it failed on some machine; every failure is among its problems.
        """
        wanted = list(machines)
        if not wanted:
            return []
        with ThreadPoolExecutor(min(PARALLEL, len(wanted)), thread_name_prefix="machine") as pool:
            futures = [pool.submit(work, machine) for machine in wanted]
        failures = [error for error in (future.exception() for future in futures) if error]
        for error in failures:
            if not isinstance(error, SetupError):
                raise error
        if failures:
            raise combine_errors([error for error in failures if isinstance(error, SetupError)])
        return [future.result() for future in futures]

    def wait_for_ssh(
        self,
        machines: Sequence[Machine],
        *,
        deadline: float = BOOT,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """Return when every machine lets us in.

        Raises:
            SetupError: some do not within `deadline` seconds, each with the layer that failed.
        """
        self.check()
        self.each(machines, partial(self._wait_for_one, deadline=deadline, note=note))

    def _wait_for_one(
        self, machine: Machine, *, deadline: float, note: Callable[[str], None] | None
    ) -> None:
        self._until_in(machine, machine.connect, deadline=deadline, note=note)

    def _until_in(
        self,
        machine: Machine,
        connect: Callable[[], paramiko.Transport],
        *,
        deadline: float = BOOT,
        note: Callable[[str], None] | None = None,
    ) -> paramiko.Transport:
        """Connect again and again; the failure names the layer at which the last attempt ended."""
        last: list[Unreachable] = []

        def probe() -> paramiko.Transport | Pending:
            try:
                return connect()
            except Unreachable as error:
                if not error.passing:
                    raise
                last[:] = [error]
                return Pending(f"{machine.name}: {error.layer}")

        try:
            return wait_until(
                f"{machine} answers SSH",
                probe,
                clock=self.clock,
                deadline=deadline,
                pause=_PAUSE,
                note=note,
            )
        except SetupError as error:
            if isinstance(error, HostKeyError) or not last:
                raise
            problem = last[0].problems[0]
            raise SetupError(error.problems[0].what, problem.why, problem.hint) from None

    def _connect(self, machine: Machine, again: bool) -> paramiko.Transport:
        if again:
            return self._until_in(machine, lambda: self._dial(machine))
        return self._dial(machine)

    def _dial(self, machine: Machine) -> paramiko.Transport:
        if not machine.address:
            raise Unreachable(
                machine.name,
                ConnectStage.ADDRESS,
                "it has no public address: it is stopped, or its subnet gives it none",
                "run `create`: it starts stopped machines",
            )
        return connect(
            self._door,
            self._settings().route(machine.address),
            alias=machine.id,
            published=lambda: self._published(machine.id),
            timeout=CONNECTION_STAGES,
        )

    def _published(self, instance_id: str) -> list[HostKey]:
        return keys_in_console(self.console(instance_id)) if self.console else []

    def _settings(self) -> SshSettings:
        """Return the OpenSSH configuration, read anew when it was edited while machines boot."""
        path = Path(self.config.ssh_config_path).expanduser()
        changed = path.stat().st_mtime_ns if path.exists() else 0
        with self._lock:
            if self._read is None or self._read[0] != changed:
                self._read = (changed, SshSettings(path))
            return self._read[1]

    def _trust(self, alias: str, key: HostKey) -> None:
        self.first_use[alias] = key
        log.info("%s: host key %s is trusted on first use", alias, key)


def combine_errors(errors: Sequence[SetupError]) -> SetupError:
    """Return many failures as one that keeps each of them as a problem."""
    problems: list[Problem] = [problem for error in errors for problem in error.problems]
    if len(errors) == 1:
        return errors[0]
    first = problems[0]
    error = SetupError(f"{first.what} (and {len(errors) - 1} more)", first.why, first.hint)
    error.problems = (error.problems[0], *problems[1:])
    return error
