"""The HTTP server that every emulated service shares: loopback, one thread per connection."""

from __future__ import annotations

import selectors
import socket
import ssl
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aws_setup.rehearsal.core import internal_errors
from aws_setup.rehearsal.core.faults import ConnectionDropped

LOOPBACK = "127.0.0.1"

TLS_TIMEOUT_SECONDS = 60
"""Seconds that a TLS connection may be silent, its handshake included."""


class PacketDropped(OSError):
    """The network does not allow a connection: it gets no answer until its client gives up."""


ConnectionTls = Callable[[], ssl.SSLContext | None]
"""Returns the TLS context of a new connection (None: no TLS).

Raises OSError to reject the connection, PacketDropped to never answer it.
"""


def hold_port(port: int) -> socket.socket:
    """Return a socket that keeps the port of a server with `keeps_port` until it starts again.

    It does not listen: as soon as the server stops, connections are refused, and no other program
    gets the port. It must be made before the server stops, and closed after the next has started:
    a process that is just being forked by another thread has the server's socket until its exec,
    and until then the port is in use.

    Raises:
        OSError: the port is in use by another program.
    """
    held = socket.socket()
    try:
        _share(held)
        held.bind((LOOPBACK, port))
    except OSError:
        held.close()
        raise
    return held


def _share(unbound: socket.socket) -> None:
    """Let a socket bind a port that another socket of this user has, both with this option.

    socket(7): with SO_REUSEADDR alone a port that has a listening socket cannot be bound. Windows
    has that option only, and with it every port can be.
    """
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def read_body(handler: BaseHTTPRequestHandler) -> bytes:
    """Return the body of a request.

    Raises:
        ConnectionResetError: the client has gone while it sent the body.
    """
    length = int(handler.headers.get("Content-Length") or 0)
    body = handler.rfile.read(length)
    if len(body) < length:
        raise ConnectionResetError("the connection ended within the body")
    return body


_serving: weakref.WeakSet[LoopbackServer] = weakref.WeakSet()


def serve_in_fork() -> None:
    """Serve again in a forked child, in which no thread of its parent runs.

    The child has the parent's sockets: only one of the two may serve at a time.
    """
    for server in list(_serving):
        # Another thread may have held the parent's lock.
        server._lock = threading.Lock()
        server.start()


@contextmanager
def paused() -> Iterator[None]:
    """Accept no connections in this process until the block ends: a forked child may serve."""
    servers = list(_serving)
    for server in servers:
        server.pause()
    try:
        yield
    finally:
        for server in servers:
            server.start()


def wait_until_accepted() -> None:
    """Return when no connection waits to be accepted: a forked child would take it."""
    with selectors.DefaultSelector() as selector:
        for server in list(_serving):
            selector.register(server, selectors.EVENT_READ)
        while selector.select(0):
            time.sleep(0.001)


class LoopbackServer(ThreadingHTTPServer):
    """An HTTP or HTTPS server on loopback that closes its open connections when it stops.

    Clients keep idle connections; each holds a thread and a file descriptor of the server, which
    would otherwise exist as long as the process.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    timeout = 0
    """handle_request is called when a connection is there, and waits for none."""

    def __init__(
        self,
        port: int,
        handler: type[BaseHTTPRequestHandler],
        *,
        tls_context: ConnectionTls = lambda: None,
        keeps_port: bool = False,
    ) -> None:
        """Bind a port (0: any free port) and listen; `keeps_port` allows `hold_port`.

        Raises:
            OSError: the port is in use.
        """
        self._tls_context = tls_context
        self._keeps_port = keeps_port
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopped = False
        super().__init__((LOOPBACK, port), handler)

    def server_bind(self) -> None:
        """Bind the port; called by the constructor."""
        if self._keeps_port:
            _share(self.socket)
        super().server_bind()

    def start(self) -> None:
        """Serve in a separate thread until `stop`."""
        stopped, self._stop = socket.socketpair()
        name = f"server of port {self.server_port}"
        self._thread = threading.Thread(target=self._serve, args=(stopped,), name=name, daemon=True)
        self._thread.start()
        _serving.add(self)

    def _serve(self, stopped: socket.socket) -> None:
        """Accept connections until something arrives at a socket.

        serve_forever looks several times a second whether it shall end: the end of each of
        thousands of servers in the tests would wait for its next look.
        """
        with stopped, selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(stopped, selectors.EVENT_READ)
            while all(key.fileobj is not stopped for key, _ in selector.select()):
                self.handle_request()

    def pause(self) -> None:
        """Accept no more connections; they wait until the next `start`."""
        with self._stop:
            self._stop.send(b"end")
            self._thread.join()

    def stop(self) -> None:
        """Stop listening and close every connection."""
        _serving.discard(self)
        self._stopped = True
        self.pause()
        self.server_close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the TLS handshake runs in the connection's thread."""
        connection, address = super().get_request()
        try:
            context = self._tls_context()
        except PacketDropped:
            with self._lock:
                self._open.add(connection)
            raise
        except OSError:
            connection.close()
            raise
        if context:
            connection.settimeout(TLS_TIMEOUT_SECONDS)
            connection = context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._lock:
            self._open.add(connection)
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection until it ends."""
        if isinstance(request, ssl.SSLSocket):
            request.do_handshake()
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record and print an error of the emulation; a connection that has ended is none.

        It ended because the client has gone or does not trust the CA, because a fault is injected,
        or because this server has been stopped, and with it what its answers are made of.
        """
        error = sys.exc_info()[1]
        if error is None or isinstance(error, (OSError, ConnectionDropped)) or self._stopped:
            return
        internal_errors.record(f"an answer of {self.RequestHandlerClass.__qualname__}", error)
        super().handle_error(request, client_address)
