"""A file that is read over SFTP: at most so many bytes, before a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from aws_setup.engine.wait import Clock
from aws_setup.ssh.exchange import CommandTimeout, until_it_ends

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko


def open_sftp(transport: paramiko.Transport, *, timeout: float) -> paramiko.SFTPClient:
    """Return a client of the server's file system; no answer takes longer than `timeout` seconds.

    By itself paramiko waits for a channel for an hour, and for an answer for ever (5.1,
    Transport.channel_timeout and BaseSFTP._read_all).

    Raises:
        paramiko.SSHException: there is no such channel; EOFError and OSError: its end.
    """
    channel = transport.open_session(timeout=timeout)
    channel.settimeout(timeout)
    channel.invoke_subsystem("sftp")
    return paramiko.SFTPClient(channel)


class BoundedFile:
    """A file that is read over the network: at most so many bytes, and before a deadline."""

    def __init__(self, file: BinaryIO, clock: Clock, *, limit: int, timeout: float) -> None:
        self._file, self._clock, self._left = file, clock, limit
        self._until = clock.now() + timeout

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
