"""An HTTP proxy as companies have it: it asks for a login, and lets through what it knows.

CONNECT and requests with an absolute URL: RFC 9110, 9.3.6, and RFC 9112, 3.2.2.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass
class ForwardProxy:
    """A proxy on this computer: its port, and what it was asked for, as "METHOD host:port"."""

    port: int
    login: str
    targets: Mapping[str, int]
    unreachable: Sequence[str] = ()
    asked: list[str] = field(default_factory=list)

    def url(self, login: str = "") -> str:
        """Return its URL, with a user name and password as they are written in a URL."""
        return f"http://{login}@127.0.0.1:{self.port}" if login else f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Answer one connection."""
        head = b""
        while b"\r\n\r\n" not in head and (block := client.recv(65536)):
            head += block
        lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        where = target if method == "CONNECT" else urlsplit(target).netloc
        self.asked.append(f"{method} {where}")
        wanted = f"proxy-authorization: basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and wanted.lower() not in [line.lower() for line in lines]:
            client.sendall(_answer("407 Proxy Authentication Required"))
        elif where in self.unreachable:
            client.sendall(_answer("503 Service Unavailable"))
        elif where not in self.targets:
            client.sendall(_answer("403 Forbidden"))
        else:
            with socket.create_connection(("127.0.0.1", self.targets[where])) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = target.partition(where)[2] or "/"
                    first = f"{method} {path} {version}".encode()
                    server.sendall(first + head[head.index(b"\r\n") :])
                _join(client, server)


def _answer(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def _join(one: socket.socket, other: socket.socket) -> None:
    """Copy both directions until both have ended."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join()


@contextmanager
def forward_proxy(
    *, login: str = "", targets: Mapping[str, int] | None = None, unreachable: Sequence[str] = ()
) -> Iterator[ForwardProxy]:
    """Run a proxy.

    Args:
        login: the user name and password that it asks for, joined by a colon; '' for none.
        targets: "host:port" that it lets through -> the port on this computer where it leads to;
            all else is forbidden.
        unreachable: "host:port" that it lets through, and that it does not reach.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = ForwardProxy(server.getsockname()[1], login, targets or {}, unreachable)

        def one(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError, ValueError):
                proxy.serve(client)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=one, args=(client,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
            accepting.join()


def use_proxy(monkeypatch: pytest.MonkeyPatch, url: str, *, without: str = "") -> None:
    """Let this process use a proxy for http and https, but for the hosts `without`."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("HTTPS_PROXY", url)
    if without:
        monkeypatch.setenv("NO_PROXY", without)
