"""HTTP requests with one deadline for all of it, answers up to a size, and why there was none.

A socket's timeout limits one read only: a server that sends a byte a second never exceeds it. At
the deadline the socket is shut down, so that whatever reads or writes ends at once.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

PIECE = 64 * 1024
"""Bytes read at a time."""


class AnswerTooLong(Exception):
    """An answer has more bytes than are read."""


class Guard:
    """The sockets of one request, which the deadline shuts down.

    `certificate` is the one that the server presented, in DER; b"" without TLS.
    """

    def __init__(self) -> None:
        self.certificate = b""
        self._sockets: list[Any] = []
        self._lock = threading.Lock()
        self.expired = False

    def add(self, sock: Any) -> None:
        """Take the socket of a connection that the request uses."""
        if isinstance(sock, ssl.SSLSocket):
            self.certificate = sock.getpeercert(binary_form=True) or b""
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


NOT_ACCEPTED = "the certificate is not accepted"
"""The beginning of the reason where a proxy, or another server, answers with its certificate."""

AT_PROXY = "the proxy does not connect"
"""The beginning of the reason where the way ends at the proxy of this network."""

_OUTSIDE_ITS_TIME = re.compile(r"\bnot yet valid\b|\bhas expired\b", re.IGNORECASE)

HINT_CLOCK = "set this computer's clock (`timedatectl`, or the system settings), then run again"


def clock_hint(why: str) -> str:
    """Return the fix of a certificate that is refused for the time alone; '' for anything else.

    Args:
        why: what OpenSSL, or a program with another library, says of a certificate:
            https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/,
            https://pkg.go.dev/crypto/x509#CertificateInvalidError
    """
    return HINT_CLOCK if _OUTSIDE_ITS_TIME.search(why) else ""


WORDS: Sequence[tuple[type[BaseException], str]] = (
    (exceptions.NameResolutionError, "the host name does not resolve"),
    (socket.gaierror, "the host name does not resolve"),
    (exceptions.ReadTimeoutError, "the answer timed out"),
    (http.client.RemoteDisconnected, "the connection was closed without an answer"),
    (http.client.BadStatusLine, "what answers does not speak HTTP"),
    (http.client.IncompleteRead, "the connection was closed in the middle of the answer"),
    (exceptions.IncompleteRead, "the connection was closed in the middle of the answer"),
)
"""What exceptions mean; the first that fits (http.client's are also the system's errors)."""


def why_broken(error: BaseException) -> str:
    """Return why a request had no answer, without the names of Python's objects and numbers.

    Args:
        error: an exception of urllib3, urllib, http.client, ssl or the system, as they raise them
            (https://urllib3.readthedocs.io/en/stable/reference/urllib3.exceptions.html).
    """
    why = _words_of(error)
    return f"{AT_PROXY}: {why}" if isinstance(error, exceptions.ProxyError) else why


def _words_of(error: BaseException) -> str:
    inner = _innermost(error)
    for kind, words in WORDS:
        if isinstance(error, kind) or isinstance(inner, kind):
            return words
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"{NOT_ACCEPTED}: {inner.verify_message}"
    if isinstance(inner, ssl.SSLError) and inner.reason:
        return f"TLS: {inner.reason.replace('_', ' ').lower()}"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror[:1].lower() + inner.strerror[1:]
    if isinstance(inner, TimeoutError) or isinstance(error, exceptions.ConnectTimeoutError):
        return "the connection timed out"
    return " ".join(str(inner).split())[:200]


def _innermost(error: BaseException) -> BaseException:
    """Return what an exception wraps, as its cause or as its last argument."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        wrapped = next((arg for arg in error.args[::-1] if isinstance(arg, Exception)), None)
        error = wrapped or error.__cause__ or error
    return error
