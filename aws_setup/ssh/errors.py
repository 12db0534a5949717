"""The errors of SSH connections and remote commands, with cause and fix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from aws_setup.engine.wait import format_duration
from aws_setup.errors import Problem, SetupError
from aws_setup.ssh.files import NO_FILE, no_file_text

SHOWN_LINES = 5
"""Lines of a failed command's output that the error shows."""


class ConnectStage(StrEnum):
    """The stages of opening a connection; an error names the one that failed."""

    ADDRESS = "address"
    ROUTE = "route"
    PORT = "port"
    SSHD = "sshd"
    HOST_KEY = "host key"
    USER = "user"
    KEY = "key"
    PROXY = "proxy"


class Unreachable(SetupError):
    """A machine cannot be reached; `stage` is the one that failed.

    `transient` is True where a booting machine fails in the same way, so that waiting may help.
    """

    def __init__(
        self, machine: str, stage: ConnectStage, why: str, hint: str, *, transient: bool = True
    ) -> None:
        super().__init__(f"{machine} cannot be reached ({stage})", why, hint)
        self.stage = stage
        self.transient = transient


class StillUnreachable(Unreachable):
    """A machine could not be reached before a deadline; `last` is the last failure."""

    def __init__(self, what: str, last: Unreachable) -> None:
        super().__init__(what, last.stage, last.problems[0].why, last.problems[0].hint)
        self.problems = (replace(last.problems[0], what=what),)


class HostKeyError(Unreachable):
    """A machine sends another host key than the one known for it."""

    def __init__(
        self, machine: str, *, shown: str, known: str, file: str, alias: str, in_ec2: bool = True
    ) -> None:
        super().__init__(
            machine,
            ConnectStage.HOST_KEY,
            f"it sent host key {shown}, but {known} is known for it: the machine was re-created, "
            "or another server answers in its place",
            f"compare with the host keys in `aws ec2 get-console-output --instance-id {alias}`, "
            "which has them until the machine is first stopped, or with those of another computer "
            f"of yours; if the new key is right, remove the lines of {alias} from {file}"
            if in_ec2
            else "ask the administrator of that host for its present key; if it is the new one, "
            f"remove the lines of {alias} from {file} and from your own known_hosts",
            transient=False,
        )


class UnconfirmedHostKey(Unreachable):
    """Nothing says whether the host key that a machine sends is its own, and something has to.

    The console output of an instance has its host keys until it is first stopped: they are printed
    at the first boot alone.
    """

    def __init__(
        self, machine: str, why: str, *, line: str, file: str, off: str, in_ec2: bool
    ) -> None:
        added = f"then add `{line}` to {file}, or set {off}"
        fix = (
            f"copy {file} from the computer that created the deployment: the console shows a "
            "machine's host keys only until it is first stopped; or compare the key with "
            f"/etc/ssh/ssh_host_*.pub there, as in EC2's serial console, {added}"
            if in_ec2
            else f"compare it with what its administrator says, {added}"
        )
        super().__init__(machine, ConnectStage.HOST_KEY, why, fix, transient=False)


class ConnectionLost(SetupError):
    """The connection was lost while a command ran; whether the command completed is unknown."""

    def __init__(self, machine: str, command: str) -> None:
        super().__init__(
            f"{machine}: the connection was lost",
            f"it was running: {command}",
            "run the same command again: it resumes from here",
        )


class RemoteError(SetupError):
    """A command on a machine failed: an exit code other than 0, or it exceeded its timeout."""

    def __init__(
        self, machine: str, command: str, *, code: int, output: str, why: str = "", hint: str = ""
    ) -> None:
        """Store what failed.

        Args:
            machine: its name.
            command: what an error calls it.
            code: its exit code; -1 without one.
            output: what it has printed; its last lines are shown.
            why: the cause where it is no exit code.
            hint: the fix where `output` does not say it.
        """
        self.command, self.code = command, code
        self.lines = last_lines(output, SHOWN_LINES)
        printed = " | ".join(self.lines) or ("" if why else "it printed nothing")
        cause = why or f"exit code {code}"
        super().__init__(
            f"{machine}: {command}",
            f"{cause}: {printed}" if printed else cause,
            hint or _fix(output),
        )


def script_error(machine: str, command: str, *, code: int, errors: str) -> RemoteError:
    """Return the error of a script for files, from its exit code and what it printed on stderr."""
    if code == NO_FILE:
        why, hint = no_file_text(errors)
        return RemoteError(machine, command, code=code, output="", why=why, hint=hint)
    return RemoteError(machine, command, code=code, output=errors)


class RemoteFileError(RemoteError):
    """A file of a machine cannot be opened; `why` is its file system's reason."""

    def __init__(self, machine: str, path: str, *, why: str) -> None:
        hint = "correct the path, or the permissions of the file"
        super().__init__(machine, f"open {path}", code=1, output="", why=why, hint=hint)
        self.machine, self.why = machine, why


def too_slow(machine: str, command: str, *, timeout: float, output: str = "") -> RemoteError:
    """Return the error of a command or a download that exceeded its time limit, in seconds."""
    why = f"it did not end within {format_duration(timeout)}"
    return RemoteError(machine, command, code=-1, output=output, why=why)


def why_ended(error: Exception) -> str:
    """Return why a connection ended in one line; an EOFError has no text of its own.

    Of a ProxyCommand that has gone paramiko quotes the whole command; `error` is the cause (5.1,
    ProxyCommandFailure).
    """
    text = " ".join(str(getattr(error, "error", error)).split())
    if text == BANNER_ERROR and isinstance(error.__context__, TimeoutError):
        return "nothing came in time"
    text = _ERRNO.sub("", text.removeprefix(BANNER_ERROR))
    return "the connection was closed" if text in ("", *CLOSED) else text


BANNER_ERROR = "Error reading SSH protocol banner"
"""What paramiko puts before the cause, without a separator (5.1, Transport._check_banner)."""

NO_SESSION = "No existing session"
"""What paramiko raises where the connection has ended already (5.1, Transport.auth_publickey)."""

CLOSED = (NO_SESSION, "Authentication failed: transport shut down or saw EOF")
"""What else paramiko says of that alone (5.1, AuthHandler.wait_for_response)."""

_ERRNO = re.compile(r"^\[Errno -?\d+\] ")


def combine_errors(errors: Sequence[SetupError]) -> SetupError:
    """Return several errors as one that has each of them as a problem."""
    problems: list[Problem] = [problem for error in errors for problem in error.problems]
    if len(errors) == 1:
        return errors[0]
    first = problems[0]
    error = SetupError(f"{first.what} (and {len(errors) - 1} more)", first.why, first.hint)
    error.problems = (error.problems[0], *problems[1:])
    return error


def last_lines(text: str, most: int) -> tuple[str, ...]:
    """Return the last lines that are not blank; of a text of MiB no other line is looked at."""
    found: list[str] = []
    end = len(text)
    while end > 0 and len(found) < most:
        start = text.rfind("\n", 0, end) + 1
        lines = (line.strip() for line in reversed(text[start:end].splitlines()))
        found.extend(line for line in lines if line)
        end = start - 1
    return tuple(reversed(found[:most]))


def _fix(output: str) -> str:
    if "No space left on device" in output:
        return "free space on that machine's disk (see `df -h`), then run the same command again"
    if "a password is required" in output or "a terminal is required" in output:
        return "allow the user to run sudo without a password, as on the λFS machines"
    return "fix the cause on that machine, then run the same command again"


def raise_failures(failures: Sequence[BaseException]) -> None:
    """Raise what is no expected error alone, else all errors as one; nothing without any."""
    expected = [error for error in failures if isinstance(error, SetupError)]
    for error in failures:
        if not isinstance(error, SetupError):
            raise error
    if expected:
        raise combine_errors(expected)
