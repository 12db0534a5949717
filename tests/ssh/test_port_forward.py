"""The local port of a tunnel, over a stand-in for the SSH connection."""

from __future__ import annotations

import socket
from queue import Queue
from types import SimpleNamespace
from typing import Any, cast

import paramiko
import pytest

from aws_setup.ssh.errors import ConnectStage, Unreachable
from aws_setup.ssh.port_forward import CONNECT_TIMEOUT, listen


def transport(opened: list[tuple[str, int]], ends: Queue[socket.socket]) -> paramiko.Transport:
    """Return a stand-in whose channels are pairs of sockets."""

    def open_channel(
        _kind: str, target: tuple[str, int], _peer: Any, *, timeout: float
    ) -> socket.socket:
        assert timeout == CONNECT_TIMEOUT, "by itself paramiko waits for an hour"
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


@pytest.mark.parametrize(
    "error",
    [EOFError(), Unreachable("vm", ConnectStage.PORT, "port 22 does not answer", "wait")],
    ids=["ended", "unreachable"],
)
def test_a_machine_that_is_lost_closes_the_connection_and_the_port_stays_open(
    error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    def lost() -> paramiko.Transport:
        raise error

    with listen(lost, "10.0.0.9", 1) as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                assert client.recv(100) == b""
    assert capfd.readouterr().err == ""


def test_a_refused_channel_closes_the_connection_and_the_port_stays_open() -> None:
    stand_in = transport([], Queue())
    with listen(lambda: stand_in, "10.0.0.9", 1) as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=240) as client:
                assert client.recv(100) == b""
