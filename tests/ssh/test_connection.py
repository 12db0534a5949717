"""The first stages of a connection, without an SSH server: address, port, sshd, proxy."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from pathlib import Path

import pytest

from aws_setup.ssh import PROTOCOL_LOG
from aws_setup.ssh.connection import KEEP_ALIVE, SshContext, _open_socket, connect
from aws_setup.ssh.errors import ConnectStage, Unreachable
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.known_hosts import KnownHosts
from aws_setup.ssh.ssh_config import SshRoute, SshSettings


def failure(
    folder: Path, *, timeout: float = 5, config: Path | None = None, **route: object
) -> Unreachable:
    """Return the error of a connection to a route."""
    context = SshContext(
        settings=lambda: SshSettings(config or folder / "none"),
        key_ring=KeyRing(folder / "key"),
        known_hosts=KnownHosts(folder / "known"),
        on_first_use=lambda _alias, _key: pytest.fail("no host key was received"),
    )
    values = {"address": "10.0.0.1", "host": "127.0.0.1", "port": 22, "user": "ubuntu"} | route
    with pytest.raises(Unreachable) as caught:
        connect(
            context,
            SshRoute(**values),  # type: ignore[arg-type] # a dictionary of its fields
            alias="i-0",
            console_keys=list,
            timeout=timeout,
        )
    assert caught.value.problems[0].hint
    return caught.value


def hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_closed_port_is_transient(tmp_path: Path) -> None:
    error = failure(tmp_path, port=closed_port())
    assert error.stage is ConnectStage.PORT
    assert error.transient
    assert "refuses connections" in error.problems[0].why


def test_a_host_name_that_does_not_resolve_is_not(tmp_path: Path) -> None:
    error = failure(tmp_path, host="no-such-host.invalid")
    assert error.stage is ConnectStage.ADDRESS
    assert not error.transient


@pytest.mark.parametrize(
    ("code", "transient", "hint"),
    [
        (socket.EAI_AGAIN, True, "network, DNS servers and VPN"),
        (socket.EAI_NONAME, False, "correct HostName"),
    ],
)
def test_a_name_server_that_does_not_answer_may_do_so_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, transient: bool, hint: str
) -> None:
    def unresolved(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "no address")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    error = failure(tmp_path, host="bastion.example.org")
    assert error.transient is transient
    assert hint in error.problems[0].hint


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EHOSTUNREACH])
def test_a_network_without_a_way_there_does_not_blame_the_security_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As of an IPv6-only network, or of a VPN that has gone."""

    def connect_nowhere(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket.socket, "connect", connect_nowhere)
    error = failure(tmp_path)
    assert error.stage is ConnectStage.ROUTE
    assert error.transient
    (problem,) = error.problems
    assert problem.why == f"this computer has no route to 127.0.0.1 ({os.strerror(code)})"
    assert "IPv4" in problem.hint
    assert "allow-my-ip" not in problem.hint


def test_a_server_without_an_ssh_banner(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aws_setup")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up, args=(server,))
        thread.start()
        error = failure(tmp_path, port=server.getsockname()[1])
        thread.join()
    assert error.stage is ConnectStage.SSHD
    assert "sent no SSH banner" in error.problems[0].why
    of_protocol = {record.name for record in caplog.records if "client mode" in record.message}
    assert of_protocol == {PROTOCOL_LOG}, "that of -v does not show it"


def test_a_server_that_never_answers_is_named_at_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        error = failure(tmp_path, timeout=0.3, port=server.getsockname()[1])
    assert error.stage is ConnectStage.SSHD
    # paramiko raises when its thread is the first to notice, and returns otherwise.
    assert "no key exchange within" in str(error) or "nothing came in time" in str(error)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("false", "exit code 1: it printed nothing"),
        ("sh -c 'echo Name or service not known >&2; exit 255'", "exit code 255: Name or service"),
        ("sh -c 'exec >&-; kill -9 $$'", "exit code -9"),
        ("echo this is not SSH", "exit code 0"),
    ],
)
def test_a_proxy_command_that_fails(tmp_path: Path, command: str, says: str) -> None:
    # The time of a stage is longer than the whole test may take: the end itself is noticed.
    error = failure(tmp_path, proxy_command=command, timeout=1000)
    assert error.stage is ConnectStage.PROXY
    assert error.transient, "behind it may be a machine that is booting"
    (problem,) = error.problems
    assert says in problem.why
    assert "port 22 is open" not in problem.why, "nobody knows"
    assert "run that ProxyCommand yourself" in problem.hint


def test_a_proxy_command_that_says_nothing_ends_at_the_timeout(tmp_path: Path) -> None:
    (problem,) = failure(tmp_path, proxy_command="cat", timeout=0.3).problems
    assert "gave no SSH connection: " in problem.why
    assert "exit code" not in problem.why


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/no/such/program --port 22", "No such file or directory"),
        ("sh -c 'nc vm 22", "No closing quotation"),
        (f"{Path(__file__)} vm", "Permission denied"),
    ],
)
def test_a_proxy_command_that_cannot_start(tmp_path: Path, command: str, says: str) -> None:
    error = failure(tmp_path, proxy_command=command)
    assert error.stage is ConnectStage.PROXY
    assert not error.transient
    assert f"cannot be started: {says}" in error.problems[0].why.replace("[Errno 2] ", "").replace(
        "[Errno 13] ", ""
    )


def test_a_jump_host_with_a_closed_port(tmp_path: Path) -> None:
    error = failure(tmp_path, jumps=(f"ubuntu@127.0.0.1:{closed_port()}",))
    assert error.stage is ConnectStage.PROXY
    assert error.transient
    (problem,) = error.problems
    assert problem.what == "10.0.0.1 cannot be reached (proxy)", "not the jump host"
    assert "its jump host 127.0.0.1 cannot be reached (port): port" in problem.why
    assert "EC2" not in problem.hint, "it may be anywhere"


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        ("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n", "a → b → a"),
        ("Host *\n  ProxyJump a\n", "a → a"),
    ],
)
def test_jump_hosts_in_a_circle(tmp_path: Path, text: str, circle: str) -> None:
    (tmp_path / "config").write_text(text)
    error = failure(tmp_path, jumps=("a",), config=tmp_path / "config")
    assert not error.transient
    (problem,) = error.problems
    assert circle in problem.why
    assert problem.hint == "set `ProxyJump none` for a in your OpenSSH configuration"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_a_network_that_is_left_ends_a_connection_within_minutes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        route = SshRoute("10.0.0.1", "127.0.0.1", server.getsockname()[1], "ubuntu")
        with _open_socket(route, timeout=30) as sock:
            most = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert KEEP_ALIVE * 1000 < most <= 120_000
