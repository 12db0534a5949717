"""Carries standard input and output to a port of 127.0.0.1, as a ProxyCommand does."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as server:

    def back() -> None:
        """Copy what comes from the server to standard output, and end with it.

        A server that closes before it has read all resets the connection (RFC 9293, 3.10.4).
        """
        with contextlib.suppress(ConnectionError):
            while data := server.recv(65536):
                os.write(1, data)
        os._exit(0)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    with contextlib.suppress(ConnectionError):
        while data := os.read(0, 65536):
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
    thread.join()
