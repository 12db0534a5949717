"""A login that breaks is not a refused key: a machine that boots drops connections at any stage."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_PARTIALLY_SUCCESSFUL, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import SetupError
from aws_setup.ssh.errors import ConnectionLost, ConnectStage, RemoteError, Unreachable
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.proxy_command import ProxyCommand
from tests.support.machines import make_key, shared_key

OnKey = Callable[[paramiko.Transport], int]
"""What a server does when a key is offered."""


OnRequest = Callable[[paramiko.Channel], bool]
"""What a server does when a command or SFTP is requested; whether it grants it."""


def grant(_: paramiko.Channel) -> bool:
    """Grant a request, and say nothing more."""
    return True


def accept(_: paramiko.Transport) -> int:
    return AUTH_SUCCESSFUL


def refuse(_: paramiko.Transport) -> int:
    return AUTH_FAILED


def hang_up(server: paramiko.Transport) -> int:
    """End the connection as a machine that reboots does: no answer, and no message before it."""
    server.sock.shutdown(socket.SHUT_RDWR)
    return AUTH_FAILED


def hold_still(server: paramiko.Transport) -> int:
    """Answer when the client has gone."""
    with suppress(OSError):
        server.sock.settimeout(None)
        while server.sock.recv(4096):
            pass
    return AUTH_FAILED


class Login(paramiko.ServerInterface):
    """One login: each offered key is answered by the next of some functions, then by the last."""

    def __init__(
        self, transport: paramiko.Transport, answers: list[OnKey], on_request: OnRequest
    ) -> None:
        self.transport, self.answers = transport, list(answers)
        self.on_request = on_request

    def get_allowed_auths(self, username: str) -> str:
        """Return the methods of λFS's machines."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Do what is next."""
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(self.transport)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Open every channel."""
        return OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        """Answer a request for SFTP."""
        return self.on_request(channel)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Answer a request for a command."""
        return self.on_request(channel)


@contextmanager
def sshd(*logins: list[OnKey], on_request: OnRequest = grant) -> Iterator[int]:
    """Serve one connection for each login; yield the port."""
    host_key = paramiko.ECDSAKey.generate()
    open_ones: list[paramiko.Transport] = []

    def serve() -> None:
        for answers in logins:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(host_key)
            open_ones.append(transport)
            transport.start_server(threading.Event(), Login(transport, answers, on_request))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for transport in open_ones:
            transport.close()
            transport.join()


@contextmanager
def machine(folder: Path, port: int, *, keys: int = 1) -> Iterator[tuple[MachinePool, Machine]]:
    text = f"Host *\n  HostName 127.0.0.1\n  Port {port}\n"
    for index in range(1, keys):
        text += f"  IdentityFile {make_key(folder / f'key-{index}')}\n"
    (folder / "ssh_config").write_text(text)
    pool = MachinePool(
        Config(
            ssh_keypair_name="test",
            ssh_key_path=str(shared_key(folder / "key")),
            ssh_config_path=str(folder / "ssh_config"),
            infrastructure_json_path=str(folder / "receipts"),
        ),
        SystemClock(pace=0),
    )
    yield pool, pool.machine("i-0", "203.0.113.1")
    pool.close()


def failure(folder: Path, login: list[OnKey], *, keys: int = 1) -> Unreachable:
    with (
        sshd(login) as port,
        machine(folder, port, keys=keys) as (_, found),
        pytest.raises(Unreachable) as caught,
    ):
        found.connect()
    return caught.value


def test_the_wait_for_a_machine_outlives_a_login_that_broke(tmp_path: Path) -> None:
    with sshd([hang_up], [hang_up], [accept]) as port, machine(tmp_path, port) as (pool, found):
        pool.wait_for_ssh([found], deadline=600)
        assert found.connect().is_authenticated()


def test_a_connection_that_ends_while_logging_in_blames_no_key(tmp_path: Path) -> None:
    error = failure(tmp_path, [hang_up])
    assert error.stage is ConnectStage.SSHD
    assert error.transient
    (problem,) = error.problems
    assert "the connection broke while logging in" in problem.why
    assert problem.hint == (
        "run the same command again; if it stays so, check sshd's log on the machine"
    )


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (EOFError, "the connection was closed"),
        (partial(paramiko.ProxyCommandFailure, "ssh -W gate", "Broken pipe"), "Broken pipe"),
    ],
)
def test_a_login_that_cannot_be_sent_blames_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], why: str
) -> None:
    """The thread that reads has not noticed yet that the connection has ended."""

    def broken(*_: object) -> None:
        raise error()

    monkeypatch.setattr(paramiko.Transport, "auth_publickey", broken)
    found = failure(tmp_path, [accept])
    assert found.transient
    assert found.problems[0].why == f"the connection broke while logging in: {why}"


def test_a_login_without_an_answer_blames_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # paramiko asks for the time when it begins to wait for the answer, and at each look.
    minutes = itertools.count(step=60)
    clock = SimpleNamespace(time=lambda: next(minutes))
    monkeypatch.setattr("paramiko.auth_handler.time", clock)
    error = failure(tmp_path, [hold_still])
    assert error.transient
    assert "broke while logging in: Authentication timeout" in error.problems[0].why


def test_the_second_key_is_offered_after_a_refused_one(tmp_path: Path) -> None:
    with (
        sshd([refuse, accept]) as port,
        machine(tmp_path, port, keys=2) as (_, found),
    ):
        assert found.connect().is_authenticated()


@pytest.mark.parametrize("login", [[refuse], [refuse, refuse, hang_up]])
def test_refused_keys_stay_a_matter_of_keys(tmp_path: Path, login: list[OnKey]) -> None:
    """The last of MaxAuthTries keys, at which sshd hangs up by itself."""
    error = failure(tmp_path, login, keys=3)
    assert error.stage is ConnectStage.KEY
    assert not error.transient
    assert "accepts none of 3 offered keys" in str(error)


@pytest.mark.parametrize("jump", [False, True])
def test_a_server_to_which_a_key_is_not_enough_names_what_else_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: bool
) -> None:
    """As with `AuthenticationMethods publickey,keyboard-interactive` (sshd_config(5))."""
    monkeypatch.setattr(Login, "get_allowed_auths", lambda *_: "keyboard-interactive")
    with (
        sshd([lambda _: AUTH_PARTIALLY_SUCCESSFUL]) as port,
        machine(tmp_path, port) as (pool, found),
    ):
        if jump:
            config = tmp_path / "ssh_config"
            text = f"Host gate\n  User a\n{config.read_text().removeprefix('Host *')}"
            config.write_text(f"{text}Host 203.*\n  ProxyJump gate\n")
        with pytest.raises(Unreachable) as caught:
            pool.wait_for_ssh([found], deadline=600)
    assert not caught.value.transient
    (problem,) = caught.value.problems
    assert "and then asks for keyboard-interactive" in problem.why
    assert "AuthenticationMethods publickey" in problem.hint
    assert ("ProxyCommand ssh -W %h:%p HOST" in problem.hint) == jump


def test_a_server_that_asks_for_two_keys_gets_both(tmp_path: Path) -> None:
    """As with `AuthenticationMethods publickey,publickey` (sshd_config(5))."""
    with (
        sshd([lambda _: AUTH_PARTIALLY_SUCCESSFUL, accept]) as port,
        machine(tmp_path, port, keys=2) as (_, found),
    ):
        assert found.connect().is_authenticated()


def test_a_key_that_cannot_sign_ends_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that asks its user, and gets a no."""

    def refused(*_: object) -> None:
        raise paramiko.SSHException("key cannot be used for signing")

    monkeypatch.setattr(paramiko.RSAKey, "sign_ssh_data", refused)
    with (
        sshd([accept]) as port,
        machine(tmp_path, port) as (pool, found),
        pytest.raises(SetupError, match="key cannot be used for signing") as caught,
    ):
        pool.wait_for_ssh([found], deadline=600)
    assert "ssh-add -l" in caught.value.problems[0].hint


@pytest.mark.timeout(60)
def test_a_server_that_says_nothing_after_the_login_is_a_lost_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.ssh.download.ANSWER_TIMEOUT", 0.5)
    with (
        sshd([accept]) as port,
        machine(tmp_path, port) as (_, found),
        pytest.raises(ConnectionLost, match="it was running: open /data/jar"),
        found.fetch("/data/jar", limit=10),
    ):
        pytest.fail("nothing was opened")


@contextmanager
def logged_in(folder: Path, on_request: OnRequest) -> Iterator[Machine]:
    with (
        sshd([accept], on_request=on_request) as port,
        machine(folder, port) as (_, found),
    ):
        yield found


@contextmanager
def unanswered(folder: Path) -> Iterator[Machine]:
    """Yield a machine that answers no request before the end."""
    over = threading.Event()

    def hold(_: paramiko.Channel) -> bool:
        return over.wait(240)

    with logged_in(folder, hold) as found:
        try:
            yield found
        finally:
            over.set()


@pytest.mark.timeout(60)
def test_a_command_that_is_not_answered_ends_at_its_time_limit(tmp_path: Path) -> None:
    """Over a ProxyCommand that stays when the network has gone, nothing else ends it."""
    with (
        unanswered(tmp_path) as found,
        pytest.raises(RemoteError, match=r"true: it did not end within 1 s$"),
    ):
        found.run(["true"], timeout=1)


@pytest.mark.timeout(60)
def test_a_download_that_is_not_answered_is_a_lost_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.ssh.download.ANSWER_TIMEOUT", 0.5)
    with (
        unanswered(tmp_path) as found,
        pytest.raises(ConnectionLost, match="it was running: open /data/jar"),
        found.fetch("/data/jar", limit=10),
    ):
        pytest.fail("nothing was opened")


def end_at_once(channel: paramiko.Channel) -> bool:
    """Grant a request whose program ends without a word, as one that does not exist."""
    threading.Timer(0.2, channel.close).start()
    return True


@pytest.mark.parametrize("on_request", [lambda _: False, end_at_once])
def test_a_server_without_sftp_names_the_setting(tmp_path: Path, on_request: OnRequest) -> None:
    with (
        logged_in(tmp_path, on_request) as found,
        pytest.raises(RemoteError, match=r"open /data/jar: its sshd has no SFTP$") as caught,
        found.fetch("/data/jar", limit=10),
    ):
        pytest.fail("nothing was opened")
    assert "Subsystem sftp internal-sftp" in caught.value.problems[0].hint


def test_a_server_that_starts_no_command_is_no_lost_connection(tmp_path: Path) -> None:
    with (
        logged_in(tmp_path, lambda _: False) as found,
        pytest.raises(RemoteError, match=r"true: its sshd starts no command$") as caught,
    ):
        found.run(["true"])
    assert "sshd's log" in caught.value.problems[0].hint


def test_what_a_bashrc_prints_before_sftp_is_named(tmp_path: Path) -> None:
    def greet(channel: paramiko.Channel) -> bool:
        threading.Timer(0.2, channel.sendall, [b"Welcome to this machine!\n"]).start()
        return True

    with (
        logged_in(tmp_path, greet) as found,
        pytest.raises(RemoteError, match="open /data/jar: what it sends is not SFTP") as caught,
        found.fetch("/data/jar", limit=10),
    ):
        pytest.fail("nothing was opened")
    assert "remove what prints from the .bashrc" in caught.value.problems[0].hint


@pytest.mark.skipif(os.name == "nt", reason="sessions are POSIX's")
def test_a_proxy_command_has_no_terminal_to_ask_on() -> None:
    """An `ssh` in it would ask for a passphrase there, in a thread that Ctrl-C does not reach."""
    command = ProxyCommand("sleep 60")
    try:
        assert os.getsid(command.process.pid) != os.getsid(0)
    finally:
        command.close()
