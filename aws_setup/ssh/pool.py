"""All machines of a deployment: one connection each, parallel work, and the wait for sshd."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from aws_setup.config import Config
from aws_setup.config.paths import expanded, known_hosts_path
from aws_setup.engine.flag import SIGNAL_DELAY
from aws_setup.engine.handing_over import handing_over
from aws_setup.engine.wait import Clock, Pending, SystemClock, TooLate, wait_until
from aws_setup.errors import SetupError
from aws_setup.ssh.connection import SshContext, connect
from aws_setup.ssh.console_keys import ConsoleKeys
from aws_setup.ssh.errors import ConnectStage, StillUnreachable, Unreachable, raise_failures
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.known_hosts import HostKey, KnownHosts
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.silence import SilentMachines, why_silent
from aws_setup.ssh.ssh_config import SshSettings
from aws_setup.ssh.survey import Survey

if TYPE_CHECKING:
    import paramiko

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

PARALLEL = 256
"""Machines processed at the same time; a machine that is booting costs one thread."""

STAGE_TIMEOUT = 10.0
"""Timeout of each stage of one connection attempt, in seconds."""

BOOT_TIMEOUT = 300.0
"""Deadline from a machine's start until SSH works, in seconds; one minute is usual."""

_POLL_INTERVAL = 3.0


class MachinePool:
    """The SSH connections to the machines of one deployment; close it at the end of the run."""

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        *,
        keys: KeyRing | None = None,
        console: Callable[[str], str | None] | None = None,
    ) -> None:
        """Store the settings; contacts no machine and reads no file.

        Args:
            config: ssh_key_path, ssh_config_path, and the path of the known hosts.
            clock: the clock for waits; the system clock by default.
            keys: the keys of the run; without it a key ring that asks nobody.
            console: instance id -> EC2 console output, None where it cannot be read; without
                it host keys are trusted on first use.
        """
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.console = console
        self.known_hosts = KnownHosts(known_hosts_path(config))
        self.key_ring = keys or KeyRing(Path(config.ssh_key_path))
        self.first_use: dict[str, HostKey] = {}
        self.survey = Survey()
        self._console_keys = ConsoleKeys()
        self._silent = SilentMachines()
        self._machines: dict[str, Machine] = {}
        self._cached_settings: tuple[int, SshSettings] | None = None
        self._context = SshContext(
            self._settings,
            self.key_ring,
            self.known_hosts,
            self._note_first_use,
            config.require_host_keys,
        )
        # Neither is held while another is waited for: a connection needs the settings.
        self._lock, self._settings_lock = threading.Lock(), threading.Lock()

    def use(
        self,
        *,
        clock: Clock,
        console: Callable[[str], str | None] | None,
        keys: KeyRing | None = None,
    ) -> None:
        """Use the clock, the console outputs and the keys of the run from now on."""
        self.clock, self.console = clock, console
        if keys is not None and keys is not self.key_ring:
            self.key_ring = keys
            self._context = replace(self._context, key_ring=keys)

    def machine(
        self, instance_id: str, address: str, *, name: str = "", private_ip: str = ""
    ) -> Machine:
        """Return the machine with this id; its address may have changed after a stop."""
        with self._lock:
            known = self._machines.get(instance_id)
            if known and known.address == address:
                return known
            machine = self._machines[instance_id] = Machine(
                instance_id,
                address,
                connect=self._connect,
                clock=self.clock,
                name=name,
                private_ip=private_ip,
                on_change=self._forget,
            )
        if known:
            known.close()
        return machine

    def _forget(self) -> None:
        """Believe nothing that was read before: something is changed on a machine."""
        self.survey.forget()
        self._silent.forget()

    def close(self) -> None:
        """Close every connection, and end every wait for one."""
        with self._lock:
            machines = list(self._machines.values())
        for machine in machines:
            machine.close()

    def check(self) -> None:
        """Load key and OpenSSH configuration, so that errors come early."""
        self.key_ring.check()
        self._settings()

    def each(self, machines: Iterable[S], work: Callable[[S], T]) -> list[T]:
        """Call `work` for many machines (or objects with one) in parallel; results in their order.

        Raises:
            SetupError: it failed for some of them; its problems are all failures.
        """
        items = list(machines)
        if not items:
            return []
        # As in the graph: a Ctrl-C in `concurrent.futures.wait` could keep a lock of the threads.
        ended: SimpleQueue[int] = SimpleQueue()
        results: dict[int, T] = {}
        failures: dict[int, BaseException] = {}

        def job(index: int, item: S) -> None:
            try:
                results[index] = work(item)
            except BaseException as error:  # noqa: BLE001 -- the main thread raises it
                failures[index] = error
            finally:
                ended.put(index)

        def not_started(index: int, error: SetupError) -> None:
            failures[index] = error
            ended.put(index)

        executor = ThreadPoolExecutor(min(PARALLEL, len(items)), thread_name_prefix="machine")
        with executor as threads, handing_over(threads) as start, self._ending(threads):
            for index, item in enumerate(items):
                # Each thread has a copy of the deadline around this call.
                start(partial(copy_context().run, job, index, item), partial(not_started, index))
            left = len(items)
            while left:
                with suppress(Empty):
                    ended.get(timeout=SIGNAL_DELAY)
                    left -= 1
        raise_failures([failures[index] for index in sorted(failures)])
        return [results[index] for index in range(len(items))]

    @contextmanager
    def _ending(self, threads: ThreadPoolExecutor) -> Iterator[None]:
        """At Ctrl-C end the waits of the threads, and start no further work."""
        try:
            yield
        except KeyboardInterrupt:
            if isinstance(self.clock, SystemClock):
                self.clock.stop()
            threads.shutdown(wait=False, cancel_futures=True)
            raise

    def which_answer(self, machines: Sequence[Machine], *, lacks: str = "") -> list[bool]:
        """Return of each machine whether SSH works on it now.

        One that does not answer is not tried again for SILENT_SECONDS, before a machine is changed
        or `wait_for_ssh` waits: each step examined next would need STAGE_TIMEOUT to find that out.

        Args:
            machines: those that are tried.
            lacks: the step without which none can answer; '' tries them.

        Raises:
            HostKeyError: a host key has changed, which is no transient failure.
        """
        self._silent.forget()

        def answers(machine: Machine) -> bool:
            error = _without(machine, lacks) if lacks else why_silent(machine)
            if error:
                self._silent.add(machine.id, error, now=self.clock.now())
            return error is None

        return self.each(machines, answers)

    def wait_for_ssh(
        self,
        machines: Sequence[Machine],
        *,
        deadline: float = BOOT_TIMEOUT,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Return when SSH works on every machine.

        Raises:
            SetupError: some failed for `deadline` seconds, each with the cause of the last failure.
        """
        self.check()
        self._silent.forget()
        self.each(machines, partial(self._wait_for_machine, deadline=deadline, note=note))

    def _wait_for_machine(
        self, machine: Machine, *, deadline: float, note: Callable[[str], None]
    ) -> None:
        self._wait_connected(machine, machine.connect, deadline=deadline, note=note)

    def _wait_connected(
        self,
        machine: Machine,
        connect: Callable[[], paramiko.Transport],
        *,
        deadline: float = BOOT_TIMEOUT,
        note: Callable[[str], None] = lambda _: None,
    ) -> paramiko.Transport:
        """Retry until the connection works.

        Raises:
            Unreachable: it did not before the deadline, with the cause of the last failure; or it
                failed in a way in which no booting machine fails.
        """
        last: list[Unreachable] = []

        def probe() -> paramiko.Transport | Pending:
            try:
                return connect()
            except Unreachable as error:
                if not error.transient:
                    raise
                last[:] = [error]
                return Pending(f"{machine.name}: cannot be reached yet ({error.stage})")

        try:
            return wait_until(
                f"{machine} answers SSH",
                probe,
                clock=self.clock,
                deadline=deadline,
                pause=_POLL_INTERVAL,
                note=note,
            )
        except TooLate as error:
            raise StillUnreachable(error.problems[0].what, last[0]) from None

    def _connect(self, machine: Machine, reconnect: bool) -> paramiko.Transport:
        if reconnect:
            return self._wait_connected(machine, lambda: self._connect_once(machine))
        return self._connect_once(machine)

    def _connect_once(self, machine: Machine) -> paramiko.Transport:
        machine.check_wanted()
        self._silent.check(machine.id, now=self.clock.now())
        if not machine.address:
            raise Unreachable(
                machine.name,
                ConnectStage.ADDRESS,
                "it has no public address: it is stopped, or its subnet assigns none",
                "run `create`: it starts stopped machines; a paused deployment: run `resume`",
            )
        return connect(
            self._context,
            self._settings().route(machine.address),
            alias=machine.id,
            console_keys=lambda: self._keys_on_console(machine.id),
            timeout=STAGE_TIMEOUT,
        )

    def mark_new(self, instance_ids: Iterable[str]) -> None:
        """Note machines that were started just now: their console output may still be empty."""
        self._console_keys.mark_new(instance_ids)

    def _keys_on_console(self, instance_id: str) -> list[HostKey]:
        output = self.console(instance_id) if self.console else None
        return self._console_keys.of(instance_id, output, now=self.clock.now())

    def _settings(self) -> SshSettings:
        """Return the OpenSSH configuration; reads it again when the file has changed since."""
        path = expanded(self.config.ssh_config_path)
        changed = path.stat().st_mtime_ns if path.exists() else 0
        with self._settings_lock:
            if self._cached_settings is None or self._cached_settings[0] != changed:
                self._cached_settings = (changed, SshSettings(path))
            return self._cached_settings[1]

    def _note_first_use(self, alias: str, key: HostKey) -> None:
        self.first_use[alias] = key
        log.info("%s: host key %s is trusted on first use", alias, key)


def _without(machine: Machine, step: str) -> Unreachable:
    """Return the error of a machine that nothing can reach before a step is done."""
    why = f"there is no {step} yet"
    return Unreachable(str(machine), ConnectStage.ROUTE, why, "run `create`: it makes the route")
