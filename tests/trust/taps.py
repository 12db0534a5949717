"""Where the emulated world is tapped: AWS, Kubernetes with helm, commands over SSH, OpenWhisk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from aws_setup.software import client_keys, daemons
from aws_setup.software.clients import remote_files
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh import files
from tests.trust.cliffs import READ, Cut, Kind, Tap


@contextmanager
def tapped(environment: Environment) -> Iterator[Tap]:
    """Tap a world, and undo at the end what that changes in classes: others may come afterwards."""
    with ExitStack() as stack:
        for kind, name in (
            (KubeApiServer, "answer"),
            (FakeShell, "run"),
            (openwhisk_server._Handler, "_route"),
        ):
            stack.enter_context(patch.object(kind, name, getattr(kind, name)))
        tap = Tap(environment)
        _tap_aws(tap)
        _tap_kubernetes(tap)
        _tap_ssh(tap)
        _tap_openwhisk(tap)
        yield tap


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

OTHER_WRITES = {
    client_keys.GENERATE_KEY: "generate key",
    client_keys.REMOVE_FILES: "remove keys",
    zk.CORRECT_PID: "correct pid",
}
SSH_READS = {"true", "echo", "hostname"}


def command_name(line: str, stdin: bytes = b"") -> str:
    """Return the name of a command on a machine; it begins with READ where nothing changes."""
    import shlex

    words = shlex.split(line)
    words = words[3:] if words[:3] == ["sudo", "-n", "--"] else words
    if words[:3] == ["sh", "-c", daemons.START]:
        words = words[4:]
    if words[:2] == ["sh", "-c"]:
        script = words[2]
        if script in SSH_WRITES:
            return f"{SSH_WRITES[script]} {words[4]}"
        known = OTHER_WRITES.get(script)
        return known or (f"{READ}{SCRIPTS[script].__name__}" if script in SCRIPTS else "script")
    rows = stdin.splitlines()
    lists = words[0] == zk.CLIENT and all(row.startswith(b"ls ") for row in rows)
    if words[0] in SSH_READS or words[-1] == "status" or lists:
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
        name = command_name(line, stdin)
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
