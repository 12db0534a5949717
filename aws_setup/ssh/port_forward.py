"""A local port that forwards through a machine to an address that only the machine can reach."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from aws_setup.errors import Interrupted, SetupError
from aws_setup.ssh.exchange import closing_channel, until_it_ends

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED = 1
"""Reason of a channel that sshd may not open: RFC 4254, section 5.1."""

CONNECT_TIMEOUT = 10.0
"""Seconds after which a connection that a machine opens counts as timed out."""


ANSWER_LIMIT = 64 * 1024
"""Bytes that are read of an answer to a query of a port."""


class PortState(StrEnum):
    """The outcome of a TCP connection from a machine."""

    OPEN = "open"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    FORBIDDEN = "forbidden by the sshd of the machine"


def open_from(
    transport: paramiko.Transport, host: str, port: int, *, timeout: float
) -> paramiko.Channel | PortState:
    """Return a connection that a machine's sshd opens, or why there is none.

    sshd resolves the name and connects, so no program on the machine is needed. A name that does
    not resolve counts as refused: sshd answers both in the same way.

    Raises:
        paramiko.SSHException: the SSH connection itself was lost.
    """
    try:
        return transport.open_channel(
            "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout
        )
    except paramiko.ChannelException as error:
        if error.code == OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED:
            return PortState.FORBIDDEN
        return PortState.REFUSED
    except paramiko.SSHException:
        if not transport.is_active():
            raise
        return PortState.TIMED_OUT


def answer_to(request: bytes, channel: paramiko.Channel, *, timeout: float) -> bytes:
    """Return what a server answers within `timeout` seconds, at most `ANSWER_LIMIT` bytes.

    Raises:
        paramiko.SSHException, EOFError: the SSH connection was lost.
    """
    until = time.monotonic() + timeout
    answer = b""
    with contextlib.suppress(OSError):
        channel.settimeout(timeout)
        channel.sendall(request)
        while len(answer) < ANSWER_LIMIT and (left := until - time.monotonic()) > 0:
            channel.settimeout(left)
            data = channel.recv(4096)
            if not data:
                break
            answer += data
    return answer


class _ForwardEnd(Protocol):
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...


@contextlib.contextmanager
def listen(connect: Callable[[], paramiko.Transport], host: str, port: int) -> Iterator[int]:
    """Yield the local port; every connection to it gets its own channel."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_accept, args=(server, connect, host, port), daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def _accept(
    server: socket.socket, connect: Callable[[], paramiko.Transport], host: str, port: int
) -> None:
    while True:
        try:
            local, peer = server.accept()
        except OSError:
            return
        try:
            channel = connect().open_channel(
                "direct-tcpip", (host, port), peer[:2], timeout=CONNECT_TIMEOUT
            )
        except (paramiko.SSHException, SetupError, Interrupted, EOFError, OSError):
            local.close()
            continue
        threading.Thread(target=_relay, args=(local, channel), daemon=True).start()


def _relay(local: socket.socket, channel: paramiko.Channel) -> None:
    with local, closing_channel(channel):
        reverse = threading.Thread(target=_copy, args=(channel, local), daemon=True)
        reverse.start()
        _copy(local, channel)
        reverse.join()


def _copy(source: _ForwardEnd, target: _ForwardEnd) -> None:
    with until_it_ends():
        while data := source.recv(65536):
            target.sendall(data)
    with until_it_ends():
        target.shutdown(socket.SHUT_WR)
