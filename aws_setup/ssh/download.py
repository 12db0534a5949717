"""A file that is read over SFTP: at most so many bytes, before a deadline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from aws_setup.engine.wait import Clock
from aws_setup.ssh.errors import ConnectionLost, RemoteError, too_slow
from aws_setup.ssh.exchange import CommandTimeout, until_it_ends

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko


ANSWER_TIMEOUT = 20.0
"""Seconds that an answer of SFTP may take."""


@dataclass(frozen=True)
class Bounds:
    """What a download may take: `limit` bytes, and `timeout` seconds by `clock`."""

    clock: Clock
    limit: int
    timeout: float


@contextlib.contextmanager
def downloading(
    channel: paramiko.Channel, path: str, *, machine: str, bounds: Bounds
) -> Iterator[BoundedFile]:
    """Open a file over SFTP; it is downloaded while it is read.

    Args:
        channel: a session in which nothing has been started.
        path: the file on the machine.
        machine: what errors call the machine.
        bounds: the limits.

    Raises:
        RemoteError: the file does not exist or is not readable, or the time is over.
        ConnectionLost: the connection broke.
    """
    file = _opened(channel, path, machine=machine)
    shown = f"download {path}"
    with file:
        end_prefetch_quietly(file)
        try:
            file.prefetch(min(file.stat().st_size or 0, bounds.limit))
            yield BoundedFile(cast(BinaryIO, file), bounds)
        except CommandTimeout:
            raise too_slow(machine, shown, timeout=bounds.timeout) from None
        except (paramiko.SSHException, EOFError, TimeoutError):
            raise ConnectionLost(machine, shown) from None


def _opened(channel: paramiko.Channel, path: str, *, machine: str) -> paramiko.SFTPFile:
    shown = f"open {path}"
    try:
        return _sftp(channel).open(path, "rb")
    except (paramiko.SSHException, EOFError, TimeoutError):
        raise ConnectionLost(machine, shown) from None
    except OSError as error:
        if channel.closed:
            raise ConnectionLost(machine, shown) from None
        raise RemoteError(machine, shown, code=1, output=str(error)) from None


def _sftp(channel: paramiko.Channel) -> paramiko.SFTPClient:
    """Return a client of the server's file system.

    By itself paramiko waits for an answer for ever (5.1, BaseSFTP._read_all).
    """
    channel.settimeout(ANSWER_TIMEOUT)
    channel.invoke_subsystem("sftp")
    return paramiko.SFTPClient(channel)


class BoundedFile:
    """A file that is read over the network: at most so many bytes, and before a deadline."""

    def __init__(self, file: BinaryIO, bounds: Bounds) -> None:
        self._file, self._clock, self._left = file, bounds.clock, bounds.limit
        self._until = self._clock.now() + bounds.timeout

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, by default all; b'' at the end, or behind `limit` bytes.

        Raises:
            CommandTimeout: the deadline passed.
            TimeoutError: nothing came for long.
            EOFError: the connection is closed.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(65536), b""))
        if self._clock.now() > self._until:
            raise CommandTimeout
        try:
            data = self._file.read(min(size, self._left))
        except TimeoutError:
            raise
        except OSError as error:
            # Of paramiko's channel, not of a file of the reader, whose errors are others.
            raise EOFError(str(error)) from None
        self._left -= len(data)
        return data


def end_prefetch_quietly(file: paramiko.SFTPFile) -> None:
    """Let the thread that asks for a file's parts end with its connection, without a traceback.

    The reader may stop before all parts are asked for; where the connection breaks, it knows.
    """
    ask: Callable[..., None] = file._prefetch_thread  # type: ignore[attr-defined]

    def ask_while_connected(*arguments: object) -> None:
        with until_it_ends():
            ask(*arguments)

    vars(file)["_prefetch_thread"] = ask_while_connected
