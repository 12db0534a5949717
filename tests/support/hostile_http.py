"""An HTTP server that answers as no server should: without end, slowly, or with nonsense."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tests.support.certificates import NOW, ec_key, issued, pem, write

Answer = Callable[[socket.socket, str], None]
"""Answers one request, given its path."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def hostile_server(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """Yield the URL, and the heads of the requests so far; break all connections at the end."""
    requests: list[str] = []
    clients: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    clients.append(client)
                    threading.Thread(target=one, args=(client,), daemon=True).start()

        def one(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                head = client.recv(65536).decode("latin-1")
                requests.append(head)
                answer(client, head.split(" ")[1])

        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for client in clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)


@contextmanager
def server_of_tomorrow(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the URL of a TLS server, and its certificate, its own authority, valid from tomorrow.

    Such is every certificate on a computer whose clock is some years behind.
    """
    key = ec_key()
    text = issued("tomorrow", key, begins=NOW + timedelta(days=1), addresses=["127.0.0.1"])
    certificate, secret = write(folder, text, pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    context.wrap_socket(client, server_side=True)

        serving = threading.Thread(target=serve)
        serving.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}", certificate
        server.shutdown(socket.SHUT_RDWR)
        serving.join()


def body(content: bytes) -> Answer:
    """Return an answer with this body."""

    def send(client: socket.socket, _: str) -> None:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(content) + content)

    return send


def endless(client: socket.socket, _: str) -> None:
    """Send a body without end, as fast as possible."""
    client.sendall(HEAD + b"\r\n")
    while True:
        client.sendall(b"[" * 1_000_000)


def slow_body(client: socket.socket, _: str) -> None:
    """Send a body a byte at a time, far more often than any timeout of a socket."""
    client.sendall(HEAD + b"\r\n")
    _drip(client)


def slow_head(client: socket.socket, _: str) -> None:
    """Send a header without end, a byte at a time."""
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    _drip(client)


def silent(client: socket.socket, _: str) -> None:
    """Read the request and send nothing."""
    while client.recv(65536):
        pass


def slow_reader(client: socket.socket, _: str) -> None:
    """Read a request much more slowly than it is sent, for 2 s."""
    for _piece in range(40):
        client.recv(1)
        time.sleep(0.05)


def _drip(client: socket.socket) -> None:
    while True:
        client.sendall(b"x")
        time.sleep(0.05)
