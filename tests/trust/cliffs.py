"""The writes of a run, and what can happen to each of them.

A `Tap` sees every write of AWS, Kubernetes, helm, SSH and OpenWhisk before and after it is carried
out. A `Cliff` names one write by its name and how often it was made before in the run: the steps
run in parallel, so that a number in the whole run would name another write each time.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from unittest.mock import patch

from aws_setup.rehearsal.core import protocol
from aws_setup.rehearsal.core.faults import ConnectionDropped
from aws_setup.rehearsal.core.types import AwsError
from aws_setup.rehearsal.environment import Environment
from aws_setup.rehearsal.kubernetes.api.errors import ApiError
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from aws_setup.rehearsal.openwhisk import server as openwhisk_server
from aws_setup.rehearsal.openwhisk.store import OpenWhiskError
from aws_setup.rehearsal.vms.fake_shell import SCRIPTS, CommandResult, FakeShell
from aws_setup.software import cluster_ssh_keys
from aws_setup.software.clients import remote_files
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh import files
from tests.support.signals import family


class Kind(StrEnum):
    """What happens at a write."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    LOST = "answer lost"
    THROTTLED = "throttled"
    DENIED = "denied"
    INTERNAL = "internal error"


ENDS_RUN = (Kind.KILLED_BEFORE, Kind.KILLED_AFTER)
PERSISTENT = (Kind.THROTTLED, Kind.DENIED, Kind.INTERNAL)
"""From the write on, every write of that name fails: it lasts longer than any retries."""


LOCAL_KINDS = (Kind.KILLED_BEFORE, Kind.KILLED_AFTER, Kind.INTERNAL)
"""What can happen when a file on the operator's computer is written: its disk is full."""

LOCAL = "local "
"""How the name of such a write begins; the process of the run itself lets it go wrong."""

READ = "read "
"""How the name of a request begins that writes nothing."""


@dataclass(frozen=True)
class Cliff:
    """One write (or read) of one run, and what happens at it."""

    phase: str
    write: str
    number: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.phase}: {self.kind} {self.write} #{self.number}"


class Cut(Exception):
    """The connection breaks: the client has been killed, or its answer is lost."""


@dataclass
class Tap:
    """Counts the writes of a run and lets some of them go wrong."""

    environment: Environment
    pid: int = 0
    """The process of the run."""
    cliffs: Sequence[Cliff] = ()
    """What goes wrong in the run, each at a write (or read) of another name."""
    reached: set[Cliff] = field(default_factory=set)
    dead: bool = False
    names: list[str] = field(default_factory=list)
    """The writes of the run, one after the other; `reads` are its other requests."""
    reads: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)
    phase: str = ""
    """The command of the run, where `at_write` asks for it."""
    gate: Callable[[], None] = lambda: None
    """Called before each request, of reads too; it may stop a run, or raise."""
    at_write: Callable[[Cliff], None] | None = None
    """Called before and after each write, with the kill that would be there; no other request is
    worked on meanwhile."""

    before_write: Callable[[str], None] = lambda _: None
    """Called before each write, with its name."""
    sent: Callable[[str, bytes], None] = lambda place, content: None
    """Called with what is sent to AWS, and with each command on a machine."""
    helm: Callable[[], None] = lambda: None
    """Called when helm reads or writes its releases, so that its process is there."""

    def __post_init__(self) -> None:
        """Install the tap in the emulated world."""
        _tap_aws(self)
        _tap_kubernetes(self)
        _tap_ssh(self)
        _tap_openwhisk(self)

    def arm(self, *cliffs: Cliff, phase: str = "") -> None:
        """Start to count the writes of the next run, of which some may go wrong."""
        self.phase = phase
        self.cliffs, self.reached, self.dead = cliffs, set(), False
        self.names.clear()
        self.reads.clear()
        self.counts.clear()

    def restart(self) -> None:
        """Forget the run and its requests, in a fork without the threads that had the lock."""
        self.lock = threading.RLock()
        self.at_write, self.pid = None, 0
        self.arm()

    def read(self, name: str, execute: Callable[[], Any], fail: Callable[[Kind], Any]) -> Any:
        """Carry out a request that writes nothing; as `write`, but no run is killed at it."""
        if self.at_write is not None:
            with self.lock:
                return execute()
        kind = self._kind(f"{READ}{name}", self.reads)
        if kind in PERSISTENT:
            return fail(kind)
        answer = execute()
        if kind is None:
            return answer
        raise Cut

    def write(self, name: str, execute: Callable[[], Any], fail: Callable[[Kind], Any]) -> Any:
        """Carry out a write, unless it is the one that goes wrong.

        Args:
            name: the name of the write.
            execute: carries it out and returns the answer.
            fail: returns or raises the error of a kind in PERSISTENT.

        Raises:
            Cut: the connection breaks.
        """
        self.before_write(name)
        if self.at_write is not None:
            return self._observed(name, execute, self.at_write)
        kind = self._kind(name, self.names)
        if kind in PERSISTENT:
            return fail(kind)
        if kind is Kind.KILLED_BEFORE:
            self._kill()
        if kind is None:
            return execute()
        execute()
        if kind is Kind.KILLED_AFTER:
            self._kill()
        raise Cut

    def _observed(
        self, name: str, execute: Callable[[], Any], at_write: Callable[[Cliff], None]
    ) -> Any:
        with self.lock:
            self._kind(name, self.names)
            number = self.counts[name]
            at_write(Cliff(self.phase, name, number, Kind.KILLED_BEFORE))
            try:
                return execute()
            finally:
                at_write(Cliff(self.phase, name, number, Kind.KILLED_AFTER))

    def _kind(self, name: str, names: list[str]) -> Kind | None:
        with self.lock:
            if self.dead:
                raise Cut
            self.counts[name] += 1
            names.append(name)
            number = self.counts[name]
            for cliff in self.cliffs:
                lasts = cliff.kind in PERSISTENT and number > cliff.number
                if name == cliff.write and (number == cliff.number or lasts):
                    self.reached.add(cliff)
                    return cliff.kind
            return None

    def _kill(self) -> None:
        """End the run as a power cut does: with the programs that it has started."""
        with self.lock, suppress(ProcessLookupError):
            # It does nothing more while its children are looked for.
            os.kill(self.pid, signal.SIGSTOP)
        with self.lock:
            self.dead = True
            for pid in reversed(family(self.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        raise Cut


THROTTLED_CODES = {"ec2": "RequestLimitExceeded", "eks": "TooManyRequestsException"}
DENIED_CODES = {"ec2": "UnauthorizedOperation", "eks": "AccessDeniedException"}


def _tap_aws(tap: Tap) -> None:
    cloud = tap.environment.cloud
    in_aws = cloud.handle

    def fail(call: Any, kind: Kind) -> Any:
        error = {
            Kind.THROTTLED: AwsError(
                THROTTLED_CODES.get(call.service, "Throttling"), "Rate exceeded", status=400
            ),
            Kind.DENIED: AwsError(
                DENIED_CODES.get(call.service, "AccessDenied"),
                f"User: {cloud.settings.principal} is not authorized to perform: "
                f"{call.service}:{call.action} because no identity-based policy allows the "
                f"{call.service}:{call.action} action",
                status=403,
            ),
            Kind.INTERNAL: AwsError(
                "InternalFailure", "An internal error has occurred", status=500
            ),
        }[kind]
        return protocol.encode_error(call, error, "00000000-0000-4000-8000-000000000000")

    def handle(request: Any) -> Any:
        try:
            call = request.call
        except AwsError:
            return in_aws(request)
        if tap.dead:
            raise ConnectionDropped
        tap.gate()
        tap.sent(f"the request {call.service}.{call.action}", request.body)
        name, carry_out = f"aws {call.service}.{call.action}", tap.read if call.reads else tap.write
        try:
            return carry_out(name, lambda: in_aws(request), lambda kind: fail(call, kind))
        except Cut:
            raise ConnectionDropped from None

    cloud.handle = handle  # type: ignore[method-assign]


def _tap_kubernetes(tap: Tap) -> None:
    """Tap every API server of the world, those of later clusters too."""
    original = KubeApiServer.answer

    def fail(kind: Kind) -> Any:
        if kind is Kind.THROTTLED:
            raise ApiError(429, "TooManyRequests", "the server has received too many requests")
        if kind is Kind.DENIED:
            raise ApiError(403, "Forbidden", "user cannot do this")
        raise ApiError(500, "InternalError", "etcdserver: request timed out")

    def answer(self: KubeApiServer, request: Any) -> Any:
        if tap.dead:
            raise ConnectionDropped
        tap.gate()
        verb, plural, agent = request.fault_key
        reviews = plural.endswith("reviews")
        reads = request.method == "GET" or request.dry_run or not plural or reviews
        who = "helm" if agent.startswith("Helm") else "kubernetes"
        carry_out = tap.read if reads else tap.write
        if who == "helm" and plural == "secrets":
            tap.helm()
        try:
            return carry_out(f"{who} {verb} {plural}", lambda: original(self, request), fail)
        except Cut:
            raise ConnectionDropped from None

    KubeApiServer.answer = answer  # type: ignore[method-assign]


SSH_WRITES = {remote_files.REPLACE: "replace", files.WRITE: "write"}
"""Scripts that write a file -> the name of that."""

OTHER_WRITES = {cluster_ssh_keys.GENERATE_KEY: "generate key", zk.FORGET_OLD_PID: "forget old pid"}
SSH_READS = {"true", "echo", "hostname"}


def _command(line: str) -> str:
    """Return the name of a command on a machine; it begins with READ where nothing changes."""
    import shlex

    words = shlex.split(line)
    words = words[3:] if words[:3] == ["sudo", "-n", "--"] else words
    if words[:2] == ["sh", "-c"]:
        script = words[2]
        if script in SSH_WRITES:
            return f"{SSH_WRITES[script]} {words[4]}"
        known = OTHER_WRITES.get(script)
        return known or (f"{READ}{SCRIPTS[script].__name__}" if script in SCRIPTS else "script")
    if words[0] in SSH_READS or words[-1] == "status":
        return f"{READ}{words[0]}"
    return " ".join(words[:2] if words[0] != "mkdir" else ("mkdir", words[-1]))


def _tap_ssh(tap: Tap) -> None:
    original = FakeShell.run

    def fail(kind: Kind) -> CommandResult:
        if kind is Kind.DENIED:
            return CommandResult(1, err=b"sudo: a password is required\n")
        return CommandResult(1, err=b"write error: No space left on device\n")

    def run(self: FakeShell, line: str, stdin: bytes) -> CommandResult:
        if tap.dead:
            return CommandResult(255)
        try:
            tap.gate()
        except ConnectionDropped:
            return CommandResult(255)
        tap.sent("a command on a machine", line.encode())
        name = _command(line)
        carry_out = tap.read if name.startswith(READ) else tap.write
        shown = f"ssh {name.removeprefix(READ)}"
        try:
            found: CommandResult = carry_out(shown, lambda: original(self, line, stdin), fail)
        except Cut:
            machines = tap.environment.machines
            for vm in machines.vms.values():  # type: ignore[union-attr]
                if vm.machine is self:
                    for transport in list(machines.transports):  # type: ignore[union-attr]
                        if _serves(transport, vm):
                            transport.close()
            return CommandResult(255)
        return found

    FakeShell.run = run  # type: ignore[method-assign]


def _serves(transport: Any, vm: Any) -> bool:
    """Say whether a connection is one to a machine."""
    try:
        local = transport.sock.getsockname()
    except OSError:
        return False
    return bool(local[1] == vm.listener.getsockname()[1])


def _tap_openwhisk(tap: Tap) -> None:
    """Tap the controller, behind nginx: a request that arrives there is whole."""
    handler = openwhisk_server._Handler
    original = handler._route

    def fail(kind: Kind) -> Any:
        status = {Kind.THROTTLED: 429, Kind.DENIED: 403, Kind.INTERNAL: 502}[kind]
        raise OpenWhiskError(status, "injected by the rehearsal")

    def route(self: Any, store: Any, path: tuple[str, str], query: Any, put: Any) -> Any:
        if tap.dead:
            raise ConnectionResetError
        tap.gate()
        carry_out = tap.write if self.command in ("PUT", "DELETE") else tap.read
        try:
            return carry_out(
                f"openwhisk {self.command} {path[1]}",
                lambda: original(self, store, path, query, put),
                fail,
            )
        except Cut:
            raise ConnectionResetError from None

    handler._route = route  # type: ignore[method-assign]


@contextmanager
def untapped_at_end() -> Iterator[None]:
    """Undo at the end what taps change in classes: a process may make other worlds afterwards."""
    tapped = (
        (KubeApiServer, "answer"),
        (FakeShell, "run"),
        (openwhisk_server._Handler, "_route"),
    )
    with ExitStack() as stack:
        for kind, name in tapped:
            stack.enter_context(patch.object(kind, name, getattr(kind, name)))
        yield
