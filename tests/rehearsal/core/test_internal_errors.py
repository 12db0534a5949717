"""Errors of an emulated service are recorded and printed; connections that end are none."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from aws_setup.rehearsal.core import internal_errors
from aws_setup.rehearsal.core.faults import ConnectionDropped
from aws_setup.rehearsal.core.loopback import LOOPBACK, LoopbackServer
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.openwhisk import server as openwhisk
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer
from tests.support.aws import client, refused


@contextmanager
def answering(answer: Callable[[], None]) -> Iterator[LoopbackServer]:
    """Serve with a handler that does something else than to answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer()

    server = LoopbackServer(0, Handler)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(port: int) -> None:
    """Send a request, of which the connection must end without an answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.request("GET", "/")
        connection.getresponse()
    connection.close()


@pytest.mark.parametrize("error", [ConnectionDropped(), BrokenPipeError()])
def test_a_connection_that_ends_is_no_error(
    error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    def answer() -> None:
        raise error

    with answering(answer) as server:
        ask(server.server_port)
    assert internal_errors.take() == []
    assert capfd.readouterr().err == ""


def test_an_error_of_the_emulation_is_recorded_and_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def answer() -> None:
        raise KeyError("of the emulation")

    with answering(answer) as server:
        ask(server.server_port)
    (recorded,) = internal_errors.take()
    assert "KeyError: 'of the emulation'" in recorded
    assert "of the emulation" in capfd.readouterr().err


def test_what_an_answer_needs_may_be_gone_when_its_server_has_been_stopped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    asked, stopped, ended = threading.Event(), threading.Event(), threading.Event()

    def answer() -> None:
        asked.set()
        assert stopped.wait(10)
        ended.set()
        raise KeyError("of a world that has ended")

    with answering(answer) as server:
        client = threading.Thread(target=ask, args=(server.server_port,))
        client.start()
        assert asked.wait(10)
    stopped.set()
    assert ended.wait(10)
    client.join()
    assert internal_errors.take() == []
    assert capfd.readouterr().err == ""


def test_a_request_of_openwhisk_whose_connection_a_fault_ends_has_no_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def drop(*_: object) -> None:
        raise ConnectionDropped

    monkeypatch.setattr(openwhisk._Handler, "_answer", drop)
    with openwhisk.serve(OpenWhiskServer()) as url:
        ask(urlsplit(url).port or 0)
    assert internal_errors.take() == []
    assert capfd.readouterr().err == ""


def test_a_call_of_aws_that_the_emulation_cannot_answer_is_recorded(
    cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("of the emulation")

    monkeypatch.setattr(cloud, "_answer", broken)
    assert refused(client("ec2").describe_vpcs) == "InternalFailure"
    (recorded,) = internal_errors.take()
    assert "KeyError: 'of the emulation'" in recorded


def test_half_a_request_is_not_executed(cloud: RehearsalCloud) -> None:
    with socket.create_connection((LOOPBACK, urlsplit(cloud.url).port or 0), timeout=10) as half:
        half.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nAction=")
        half.shutdown(socket.SHUT_WR)
        assert half.recv(1) == b""
    assert cloud.calls.writes() == []
