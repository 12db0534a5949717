"""A machine that prints without end, or a byte a second, ends at the deadline of the command."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paramiko import Channel, SSHException

from aws_setup.engine.deadline import within
from aws_setup.engine.kept_output import KeptOutput
from aws_setup.ssh.download import BoundedFile, Bounds
from aws_setup.ssh.errors import ConnectionLost, RemoteError
from aws_setup.ssh.exchange import CommandTimeout, label_of
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.port_forward import PortState
from tests.support.clock import RecordingClock
from tests.support.machines import VmEnvironment, needs_machines, vm_environment

pytestmark = pytest.mark.kind("C4")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path_factory.mktemp("hostile")) as made:
        made.launch(1)
        yield made


def breaking(error: type[Exception]) -> Callable[..., Any]:
    """Return a method of a channel whose connection has ended.

    It makes each error anew: one that is kept holds the machine by its traceback.
    """

    def broken(*_: object) -> Any:
        raise error("broken")

    return broken


@pytest.fixture
def machine(env: VmEnvironment) -> Iterator[Machine]:
    found = env.machine()
    yield found
    found.close()


@needs_machines
@pytest.mark.parametrize(
    "command",
    [
        "yes first",
        "yes first >&2",
        "exec >&-; yes first >&2",
        "while :; do echo first; sleep 0.1; done",
        "echo first; exec 2>&-; sleep 60",
        "echo first; sleep 60 & exec 1>&- 2>&-; wait",
    ],
)
def test_a_command_ends_at_its_deadline_whatever_it_prints(machine: Machine, command: str) -> None:
    with pytest.raises(RemoteError, match="did not end within 1 s"):
        machine.run(command, timeout=1)
    assert machine.run("echo alive").stdout == "alive\n"


@needs_machines
@pytest.mark.parametrize("error", [EOFError, OSError, SSHException])
def test_a_connection_that_breaks_while_it_sends_shows_no_traceback(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """The input is sent in a thread, whose traceback would be on the user's screen."""
    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    monkeypatch.setattr(Channel, "send", breaking(error))
    monkeypatch.setattr(Channel, "recv_stderr", breaking(error))
    with pytest.raises(RemoteError):
        machine.run("cat", stdin=b"x", timeout=1)
    assert not seen


@needs_machines
@pytest.mark.parametrize("error", [EOFError, SSHException])
def test_a_connection_that_breaks_while_it_is_read_is_lost(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """A channel that reads sends, too: how much more it takes (RFC 4254, section 5.2)."""
    with monkeypatch.context() as patch:
        patch.setattr(Channel, "recv", breaking(error))
        with pytest.raises(ConnectionLost, match="the connection was lost"):
            machine.run("true")
        with pytest.raises(ConnectionLost, match="query port 22"):
            machine.query_port(22, b"srvr")
        patch.setattr(Channel, "sendall", breaking(error))
        with pytest.raises(ConnectionLost, match="query port 22"):
            machine.query_port(22, b"srvr")
        patch.setattr(Channel, "close", breaking(error))
        assert machine.port_state("127.0.0.1", 22) is PortState.OPEN
    assert machine.run("echo alive").stdout == "alive\n"


@needs_machines
@pytest.mark.parametrize("error", [EOFError, OSError, SSHException])
def test_a_forwarded_connection_that_breaks_is_closed_and_shows_no_traceback(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    seen: list[object] = []
    closed = threading.Event()
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def close(_: Channel) -> None:
        closed.set()
        raise error("broken")

    with monkeypatch.context() as patch, machine.forward("127.0.0.1", 22) as port:
        for method in ("recv", "sendall", "shutdown"):
            patch.setattr(Channel, method, breaking(error))
        patch.setattr(Channel, "close", close)
        with socket.create_connection(("127.0.0.1", port), timeout=240) as client:
            client.sendall(b"request")
            assert client.recv(100) == b""
        assert closed.wait(240)
        for thread in threading.enumerate():
            if "_relay" in thread.name:
                thread.join(240)
    assert not seen


@needs_machines
@pytest.mark.parametrize("error", [EOFError, OSError, SSHException])
def test_a_connection_that_breaks_when_all_is_read_takes_nothing_from_the_result(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Channel, "close", breaking(error))
        assert machine.run("echo alive").stdout == "alive\n"


@needs_machines
def test_the_deadline_around_a_command_is_its_own(machine: Machine) -> None:
    with within(1, clock=machine.clock), pytest.raises(RemoteError, match="did not end within 2 s"):
        machine.run("yes", timeout=600)


@needs_machines
def test_much_output_of_a_success_is_an_error_and_of_a_failure_cut(machine: Machine) -> None:
    with pytest.raises(RemoteError, match="more than are read"):
        machine.run("head -c 20000000 /dev/zero | tr '\\0' x")
    failed = machine.run("echo begin; head -c 20000000 /dev/zero; echo end; exit 3", check=False)
    assert failed.stdout.startswith("begin\n")
    assert failed.stdout.endswith("end\n")
    assert "bytes dropped" in failed.stdout
    assert len(failed.stdout) < 9_000_000


@needs_machines
def test_a_download_ends_at_its_limit(machine: Machine) -> None:
    machine.run("head -c 3000000 /dev/zero > /tmp/large")
    with machine.fetch("/tmp/large", limit=1000) as file:
        assert len(file.read()) == 1000
        assert file.read() == b""
    with (
        pytest.raises(RemoteError, match="download /tmp/large"),
        machine.fetch("/tmp/large", limit=3_000_000, timeout=-1) as file,
    ):
        file.read()


@needs_machines
@pytest.mark.parametrize("broken", [False, True])
def test_a_download_that_ends_early_prints_no_traceback(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """The reader stops, or the connection breaks, before all parts of the file are asked for."""
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    machine.run("truncate -s 4G /tmp/sparse")
    before = {*threading.enumerate(), machine.connect()}
    with machine.fetch("/tmp/sparse", limit=1 << 32) as file:
        asking = [thread for thread in threading.enumerate() if thread not in before]
        assert file.read(10) == bytes(10)
        if broken:
            machine.close()
    assert len(asking) == 1
    asking[0].join()
    assert failures == []


def test_a_stream_keeps_its_beginning_and_its_end() -> None:
    kept = KeptOutput(10)
    for piece in (b"0123456", b"789abc", b"x" * 1000, b"", b"uvwxyz"):
        kept.add(piece)
    assert kept.text() == "0123456789\n… 999 bytes dropped …\nxxxxuvwxyz"
    short = KeptOutput(10)
    short.add("äöü".encode() * 3)
    assert (short.text(), short.dropped) == ("äöü" * 3, 0)


def test_a_file_of_a_byte_a_second_ends_at_the_deadline(tmp_path: Path) -> None:
    path, clock, got = tmp_path / "x", RecordingClock(), b""
    path.write_bytes(b"x" * 1000)
    with path.open("rb") as source:
        file = BoundedFile(source, Bounds(clock, 1000, 30))
        with pytest.raises(CommandTimeout):
            while data := file.read(1):
                got += data
                clock.sleep(1)
    assert 25 < len(got) < 35


@pytest.mark.kind("C5")
def test_an_error_names_a_command_by_a_short_label() -> None:
    assert label_of(["ndb_mgm", "-e", "show"]) == "ndb_mgm -e show"
    assert label_of(["sh", "-c", "set -eu\nrm x\n", "lambda-fs", "/a b"]) == "a shell script '/a b'"
    assert label_of("one\ntwo; \x1b[2J" + "x" * 900).startswith("one two; \\x1b[2Jxxx")
    assert len(label_of("x" * 900)) == 60
