"""An API server that does nothing but port-forward, over a real WebSocket and real TLS.

Frames as the Kubernetes API documents them for v4.channel.k8s.io: the first byte is the channel,
0 for data and 1 for errors, and the first frame of each channel holds the port.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class PortForwards:
    """Where the pod's port really leads, the token that opens it, and the paths asked for."""

    target: tuple[str, int]
    token: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def api_server(forwards: PortForwards, context: ssl.SSLContext) -> Iterator[str]:
    """Serve until the block ends; yields the URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, forwards, context), daemon=True).start()
        yield f"https://localhost:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, forwards: PortForwards, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, forwards, context), daemon=True).start()


def _serve(plain: socket.socket, forwards: PortForwards, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as client:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        forwards.asked.append(lines[0].split()[1])
        if headers.get("authorization") != f"Bearer {forwards.token}":
            client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            return
        key = headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        client.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n"
            "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n".encode()
        )
        port = struct.pack("<H", int(lines[0].split()[1].rpartition("=")[2]))
        _send(client, b"\0" + port)
        _send(client, b"\1" + port)
        with socket.create_connection(forwards.target) as pod:
            answers = threading.Thread(target=_answers, args=(pod, client), daemon=True)
            answers.start()
            while (frame := _receive(client)) is not None:
                pod.sendall(frame[1:])
            pod.shutdown(socket.SHUT_WR)
            answers.join(5)


def _answers(pod: socket.socket, client: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):
        while data := pod.recv(30_000):
            _send(client, b"\0" + data)


def _send(client: ssl.SSLSocket, data: bytes) -> None:
    size = len(data)
    head = bytes([0x82, size]) if size < 126 else b"\x82\x7e" + struct.pack(">H", size)
    client.sendall(head + data)


def _receive(client: ssl.SSLSocket) -> bytes | None:
    """Return the next data frame; None at the end."""
    first, second = _exactly(client, 2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(_exactly(client, 2))
    elif size == 127:
        size = int.from_bytes(_exactly(client, 8))
    mask = _exactly(client, 4)
    data = _exactly(client, size)
    if first & 0x0F == 8:
        return None
    full = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(full)).to_bytes(size)


def _exactly(client: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise OSError("the client hung up")
        data += more
    return data
