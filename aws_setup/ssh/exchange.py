"""One remote command: its input, its output up to a size, and one deadline for all of it."""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_setup.engine.safe_text import shorten
from aws_setup.engine.wait import Clock

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

_STOP_CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the run is being stopped, while a command runs."""

_LABEL = 60
"""Length to which an error shortens a command, in characters."""

OutputListener = Callable[[bytes], object]


@dataclass(frozen=True)
class CommandResult:
    """The result of a command: exit code and output."""

    code: int
    stdout: str
    stderr: str


class CommandTimeout(Exception):
    """The command did not end before its deadline."""


class Exchange:
    """The streams of one command on an open channel."""

    def __init__(self, channel: paramiko.Channel, clock: Clock, *, timeout: float) -> None:
        self.channel, self._clock = channel, clock
        self._until = clock.now() + timeout

    def run(self, stdin: bytes, on_stdout: OutputListener, on_stderr: OutputListener) -> int:
        """Feed and drain the streams, each in a thread of its own, and return the exit code.

        Returns:
            -1 when the connection was lost.

        Raises:
            CommandTimeout: the deadline passed, whatever still comes.
            paramiko.SSHException, EOFError: the connection was lost while it was read.
        """
        self.channel.settimeout(_STOP_CHECK_INTERVAL)
        errors = threading.Thread(target=_drain_stderr, args=(self.channel, on_stderr))
        feeder = threading.Thread(target=_feed, args=(self.channel, stdin))
        for thread in (errors, feeder):
            thread.daemon = True
            thread.start()
        self._drain(on_stdout)
        while errors.is_alive() or not self.channel.exit_status_ready():
            errors.join(0.02)
            self._check()
            if not errors.is_alive() and not self.channel.exit_status_ready():
                self._clock.sleep(0)
        return self.channel.recv_exit_status()

    def _check(self) -> None:
        if self._clock.now() > self._until:
            raise CommandTimeout

    def _drain(self, on_stdout: OutputListener) -> None:
        checked = self._clock.now()
        while True:
            data = None
            with contextlib.suppress(TimeoutError):
                data = self.channel.recv(65536)
                if not data:
                    return
                on_stdout(data)
            self._check()
            if data is None or self._clock.now() - checked > _STOP_CHECK_INTERVAL:
                self._clock.sleep(0)
                checked = self._clock.now()


def _feed(channel: paramiko.Channel, stdin: bytes) -> None:
    """Send all input; a command that ends before it has read it closes the channel meanwhile."""
    view = memoryview(stdin)
    with until_it_ends():
        while view:
            with contextlib.suppress(TimeoutError):
                view = view[channel.send(bytes(view[:65536])) :]
        channel.shutdown_write()


def until_it_ends() -> contextlib.AbstractContextManager[None]:
    """Suppress the errors of a connection that has ended, where another place reports it.

    Every method of paramiko's channels that sends a message raises EOFError then: send, shutdown
    and close, and recv, which enlarges the window (5.1, Packetizer.write_all).
    """
    return contextlib.suppress(OSError, EOFError, paramiko.SSHException)


def _drain_stderr(channel: paramiko.Channel, on_stderr: OutputListener) -> None:
    with until_it_ends():
        while True:
            with contextlib.suppress(TimeoutError):
                data = channel.recv_stderr(65536)
                if not data:
                    return
                on_stderr(data)


def label_of(command: str | Sequence[str]) -> str:
    """Return a short name of a command for errors: never a whole shell script."""
    if isinstance(command, str):
        return shorten(command, _LABEL)
    if list(command[:2]) == ["sh", "-c"]:
        # The script itself, then its $0, then the arguments.
        return shorten(f"a shell script {shlex.join(command[4:])}".rstrip(), _LABEL)
    return shorten(shlex.join(command), _LABEL)


def command_line(command: str | Sequence[str], *, sudo: bool = False) -> str:
    """Return a command quoted for the login shell, whatever blanks and quotes it contains."""
    words = ["sh", "-c", command] if isinstance(command, str) else list(command)
    return shlex.join(["sudo", "-n", "--", *words] if sudo else words)


@contextlib.contextmanager
def closing_channel(channel: paramiko.Channel | paramiko.SFTPClient) -> Iterator[None]:
    """Close a channel at the end; a connection that breaks then takes nothing from its result."""
    try:
        yield
    finally:
        with until_it_ends():
            channel.close()
