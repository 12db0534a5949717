"""A file that is read over SFTP: at most so many bytes, before a deadline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, cast

from aws_setup.engine.wait import Clock
from aws_setup.ssh.errors import ConnectionLost, RemoteError, RemoteFileError, too_slow
from aws_setup.ssh.exchange import CommandTimeout, until_it_ends
from aws_setup.ssh.files import UNEXPECTED_OUTPUT
from aws_setup.ssh.sessions import RequestRefused, ask

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko


ANSWER_TIMEOUT = 20.0
"""Seconds that an answer of SFTP may take."""


_NO_SFTP = (
    "set `Subsystem sftp internal-sftp` in the sshd_config of that machine, then run the same "
    "command again"
)
"""https://man.openbsd.org/sshd_config#Subsystem"""


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
        except paramiko.SFTPError as error:
            raise _no_sftp_answer(machine, shown, error) from None
        except (paramiko.SSHException, EOFError, TimeoutError):
            raise ConnectionLost(machine, shown) from None


def _opened(channel: paramiko.Channel, path: str, *, machine: str) -> paramiko.SFTPFile:
    shown = f"open {path}"
    try:
        return _sftp(channel).open(path, "rb")
    except RequestRefused:
        raise RemoteError(
            machine, shown, code=-1, output="", why="its sshd has no SFTP", hint=_NO_SFTP
        ) from None
    except (CommandTimeout, paramiko.SSHException, EOFError, TimeoutError):
        raise ConnectionLost(machine, shown) from None
    except OSError as error:
        if channel.closed:
            raise ConnectionLost(machine, shown) from None
        raise RemoteFileError(machine, path, why=error.strerror or str(error)) from None
    except paramiko.SFTPError as error:
        raise _no_sftp_answer(machine, shown, error) from None


def _no_sftp_answer(machine: str, shown: str, error: Exception) -> RemoteError:
    """Return the error of an answer that is no SFTP, as of what a .bashrc prints before it."""
    why = f"what it sends is not SFTP ({error})"
    return RemoteError(machine, shown, code=-1, output="", why=why, hint=UNEXPECTED_OUTPUT)


def _sftp(channel: paramiko.Channel) -> paramiko.SFTPClient:
    """Return a client of the server's file system.

    By itself paramiko waits for an answer for ever (5.1, BaseSFTP._read_all).

    Raises:
        RequestRefused: there is no such subsystem, or its program ends at once.
    """
    channel.settimeout(ANSWER_TIMEOUT)
    ask(channel, partial(channel.invoke_subsystem, "sftp"), timeout=ANSWER_TIMEOUT)
    try:
        return paramiko.SFTPClient(channel)
    except (paramiko.SSHException, EOFError):
        if channel.eof_received:  # as RFC 4254, section 5.3, says of a program that has ended
            raise RequestRefused from None
        raise


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
