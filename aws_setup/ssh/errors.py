"""What goes wrong on the way to a machine and on it, with cause and mend."""

from __future__ import annotations

from enum import StrEnum

from aws_setup.errors import SetupError

LAST_LINES = 5
"""Lines of a failed command's output that the error shows."""


class ConnectStage(StrEnum):
    """How far a connection came before it failed."""

    ADDRESS = "address"
    PORT = "port"
    SSHD = "sshd"
    HOST_KEY = "host key"
    USER = "user"
    KEY = "key"
    PROXY = "proxy"


class Unreachable(SetupError):
    """A machine cannot be reached, with the layer that failed.

    `passing` is True where a booting machine fails in the same way, so that waiting may help.
    """

    def __init__(
        self, machine: str, layer: ConnectStage, why: str, hint: str, *, passing: bool = True
    ) -> None:
        super().__init__(f"{machine} cannot be reached ({layer})", why, hint)
        self.layer = layer
        self.passing = passing


class HostKeyError(Unreachable):
    """A machine shows another host key than the one known for it."""

    def __init__(self, machine: str, *, shown: str, known: str, file: str, alias: str) -> None:
        super().__init__(
            machine,
            ConnectStage.HOST_KEY,
            f"it shows host key {shown}, but {known} is known for it: the machine was set up anew, "
            "or something between you and it answers in its place",
            f"compare with the host keys in `aws ec2 get-console-output --instance-id {alias}`; "
            f"when the new one is there, remove the lines of {alias} from {file}",
            passing=False,
        )


class ConnectionLost(SetupError):
    """The connection broke while a command ran; nobody knows whether it ran to its end."""

    def __init__(self, machine: str, command: str) -> None:
        super().__init__(
            f"{machine}: the connection was lost",
            f"while it ran: {command}",
            "run the same command again: it goes on from here",
        )


class RemoteError(SetupError):
    """A command on a machine ended with an exit code other than 0, or not in time."""

    def __init__(
        self, machine: str, command: str, *, code: int, output: str, why: str = ""
    ) -> None:
        lines = [line.strip() for line in output.strip().splitlines() if line.strip()]
        self.command, self.code, self.lines = command, code, tuple(lines[-LAST_LINES:])
        cause = why or f"exit code {code}"
        evidence = " | ".join(self.lines) or "it printed nothing"
        super().__init__(f"{machine}: {command}", f"{cause}: {evidence}", _fix(output))


def _fix(output: str) -> str:
    if "No space left on device" in output:
        return "free space on that machine's disk (`df -h` shows it), then run it again"
    if "a password is required" in output or "a terminal is required" in output:
        return "let the user run sudo without a password, as on the λFS machines"
    return "mend the cause on that machine, then run the same command again"
