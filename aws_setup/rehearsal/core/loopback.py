"""The listening side that every stand-in shares: loopback, a thread a connection, a clean end."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = "127.0.0.1"

TLS_TIMEOUT_SECONDS = 60
"""Seconds that a TLS connection may be silent, its handshake included."""


ConnectionTls = Callable[[], ssl.SSLContext | None]
"""Says how each new connection is secured; raises OSError to hang up."""


class LoopbackServer(ThreadingHTTPServer):
    """An HTTP or HTTPS server on loopback that takes its open connections with it when it ends.

    A client keeps connections for later; each holds a thread and a file descriptor of the server,
    which would otherwise stay as long as the process.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        handler: type[BaseHTTPRequestHandler],
        *,
        tls_context: ConnectionTls = lambda: None,
    ) -> None:
        """Bind a port (0: any free one) and start to listen.

        Raises:
            OSError: the port is in use.
        """
        self._tls_context = tls_context
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, port), handler)

    def start(self) -> None:
        """Serve in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop to listen and end every connection."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the TLS handshake waits for the connection's own thread."""
        connection, address = super().get_request()
        try:
            context = self._tls_context()
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
        """Serve one connection to its end."""
        if isinstance(request, ssl.SSLSocket):
            request.do_handshake()
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that break off or do not trust the CA; show what is ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
