"""An outage of the emulated API server: it refuses connections, and always comes back."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from aws_setup.rehearsal.core import internal_errors
from aws_setup.rehearsal.core.loopback import LOOPBACK
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import core

AN_HOUR = 3600


def end_outages(kube: KubeApiServer) -> int:
    """End the outages of a server now; returns how many there were."""
    timers = [
        thread
        for thread in threading.enumerate()
        if isinstance(thread, threading.Timer) and thread.function == kube._listen_again
    ]
    for timer in timers:
        timer.cancel()
        timer.function(*timer.args)
    return len(timers)


def check_refused(kube: KubeApiServer) -> None:
    """Check that the server's port is closed, and that no other program can bind it."""
    address = (LOOPBACK, int(kube.url.rpartition(":")[2]))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(address)


def test_the_server_comes_back_at_its_port(kube: KubeApiServer) -> None:
    for _ in range(2):
        kube.restart(AN_HOUR)
        check_refused(kube)
        assert end_outages(kube) == 1
        assert core(kube).list_namespace().items
    assert kube.internal_errors == []


def test_the_server_comes_back_when_a_process_is_forked_as_it_stops(kube: KubeApiServer) -> None:
    """A child that another thread forks has all sockets of its parent until its exec."""
    childs = os.dup(kube._server.fileno())
    try:
        kube.restart(AN_HOUR)
    finally:
        os.close(childs)
    check_refused(kube)
    assert end_outages(kube) == 1
    assert core(kube).list_namespace().items


def test_an_outage_within_an_outage_ends_with_it(kube: KubeApiServer) -> None:
    """Requests of parallel steps, of which each begins an outage, may arrive together."""
    kube.restart(AN_HOUR)
    kube.restart(AN_HOUR)
    check_refused(kube)
    assert end_outages(kube) == 1
    assert core(kube).list_namespace().items


def test_a_server_can_end_in_its_outage() -> None:
    with KubeApiServer() as kube:
        kube.restart(AN_HOUR)
    assert end_outages(kube) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, int(kube.url.rpartition(":")[2])))


def test_a_lost_port_is_recorded(kube: KubeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler of the request and the timer are threads, of which nobody sees an error."""

    def lost(port: int) -> socket.socket:
        raise OSError(f"{port} is in use")

    monkeypatch.setattr("aws_setup.rehearsal.kubernetes.server.hold_port", lost)
    with pytest.raises(OSError, match="in use"):
        kube.restart(AN_HOUR)
    (error,) = kube.internal_errors
    assert error.startswith("hold its port: ")
    assert len(internal_errors.take()) == 1
