"""The local port of a tunnel, over a stand-in for the SSH connection."""

from __future__ import annotations

import socket
from queue import Queue
from types import SimpleNamespace
from typing import Any, cast

import paramiko

from aws_setup.ssh.port_forward import listen


def transport(opened: list[tuple[str, int]], ends: Queue[socket.socket]) -> paramiko.Transport:
    """Return a stand-in whose channels are pairs of sockets."""

    def open_channel(_kind: str, target: tuple[str, int], _peer: Any) -> socket.socket:
        if target[1] == 1:
            raise paramiko.ChannelException(2, "Connect failed")
        opened.append(target)
        near, far = socket.socketpair()
        ends.put(far)
        return near

    return cast(paramiko.Transport, SimpleNamespace(open_channel=open_channel))


def test_data_goes_both_ways_until_either_side_closes() -> None:
    opened: list[tuple[str, int]] = []
    ends: Queue[socket.socket] = Queue()
    stand_in = transport(opened, ends)
    with (
        listen(lambda: stand_in, "10.0.0.9", 443) as port,
        socket.create_connection(("127.0.0.1", port), timeout=240) as client,
    ):
        client.sendall(b"request")
        far = ends.get(timeout=240)
        far.settimeout(240)
        assert far.recv(100) == b"request"
        far.sendall(b"answer")
        assert client.recv(100) == b"answer"
        client.shutdown(socket.SHUT_WR)
        assert far.recv(100) == b""
        far.close()
        assert client.recv(100) == b""
    assert opened == [("10.0.0.9", 443)]


def test_a_refused_channel_closes_the_connection_and_the_port_stays_open() -> None:
    stand_in = transport([], Queue())
    with listen(lambda: stand_in, "10.0.0.9", 1) as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=240) as client:
                assert client.recv(100) == b""
