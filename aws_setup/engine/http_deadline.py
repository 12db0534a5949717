"""HTTP requests with one deadline for all of it, and answers up to a size.

A socket's timeout limits one read only: a server that sends a byte a second never exceeds it. At
the deadline the socket is shut down, so that whatever reads or writes ends at once.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

PIECE = 64 * 1024
"""Bytes read at a time."""


class AnswerTooLong(Exception):
    """An answer has more bytes than are read."""


class Guard:
    """The sockets of one request, which the deadline shuts down."""

    def __init__(self) -> None:
        self._sockets: list[Any] = []
        self._lock = threading.Lock()
        self.expired = False

    def add(self, sock: Any) -> None:
        """Take the socket of a connection that the request uses."""
        with self._lock:
            self._sockets.append(sock)
            if self.expired:
                _shut(sock)

    def expire(self) -> None:
        """Shut every socket down."""
        with self._lock:
            self.expired = True
            for sock in self._sockets:
                _shut(sock)


_GUARD: ContextVar[Guard | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(seconds: float) -> Iterator[Guard]:
    """End the request inside after some seconds; it then fails as a broken connection does."""
    guard = Guard()
    timer = threading.Timer(seconds, guard.expire)
    timer.daemon = True
    token = _GUARD.set(guard)
    timer.start()
    try:
        yield guard
    finally:
        timer.cancel()
        _GUARD.reset(token)


def _shut(sock: Any) -> None:
    with suppress(OSError):
        # Not SSLSocket.shutdown, which drops the TLS state that another thread is using.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _register(connection: Any) -> None:
    guard, sock = _GUARD.get(), connection.sock
    if guard is not None and isinstance(sock, socket.socket):
        guard.add(sock)


class _Plain(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _register(self)

    def request(self, *args: Any, **options: Any) -> None:
        _register(self)
        super().request(*args, **options)


class _Tls(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _register(self)

    def request(self, *args: Any, **options: Any) -> None:
        _register(self)
        super().request(*args, **options)


class GuardedHttpPool(urllib3.HTTPConnectionPool):
    """A pool of http connections whose requests `guarded` limits."""

    ConnectionCls = _Plain


class GuardedHttpsPool(urllib3.HTTPSConnectionPool):
    """A pool of https connections whose requests `guarded` limits."""

    ConnectionCls = _Tls


POOLS = {"http": GuardedHttpPool, "https": GuardedHttpsPool}
"""For `pool_classes_by_scheme` of a PoolManager."""


def read_answer(
    response: urllib3.BaseHTTPResponse, *, most: int, keep: int | None = None
) -> bytes | None:
    """Return the body of an answer; None when it has more than `keep` bytes, which are dropped.

    Raises:
        AnswerTooLong: it has more than `most` bytes; the connection is closed.
    """
    body, size = bytearray(), 0
    try:
        for block in response.stream(PIECE):
            size += len(block)
            if keep is None or size <= keep:
                body += block
            if size > most:
                response.close()
                raise AnswerTooLong(f"the answer is longer than {most // (1024 * 1024)} MB")
    finally:
        response.release_conn()
    return bytes(body) if keep is None or size <= keep else None
