"""Failing connections: each error names its stage, its cause and its fix."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from aws_setup.engine.wait import SystemClock
from aws_setup.errors import SetupError
from aws_setup.ssh.errors import (
    ConnectionLost,
    ConnectStage,
    HostKeyError,
    RemoteError,
    Unreachable,
)
from aws_setup.ssh.exchange import closing_channel
from aws_setup.ssh.pool import MachinePool
from tests.support.machines import (
    VmEnvironment,
    make_key,
    needs_machines,
    public_ip,
    vm_environment,
)

pytestmark = needs_machines

CARRY = f"{sys.executable} {Path(__file__).parents[1] / 'data' / 'carry.py'}"
"""A ProxyCommand: connects its standard streams to a port of 127.0.0.1."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path_factory.mktemp("ssh")) as made:
        made.launch(1)
        yield made


@pytest.fixture
def env(shared: VmEnvironment, tmp_path: Path) -> VmEnvironment:
    """Return the file's machine for a deployment of its own, without known hosts.

    Some tests change the machine's host key.
    """
    return replace(shared, folder=tmp_path)


def ssh_config(folder: Path, text: str) -> str:
    path = folder / "ssh_config"
    path.write_text(text)
    return str(path)


def _hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def connect_error(pool: MachinePool, address: str = "203.0.113.10") -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        pool.machine("i-0", address).connect()
    return caught.value


def test_no_address(env: VmEnvironment) -> None:
    assert connect_error(env.pool(), "").stage is ConnectStage.ADDRESS


def test_a_name_without_an_address(env: VmEnvironment, tmp_path: Path) -> None:
    text = "Host *\n  HostName no-such-host.invalid\n"
    error = connect_error(env.pool(ssh_config_path=ssh_config(tmp_path, text)))
    assert error.stage is ConnectStage.ADDRESS
    assert not error.transient


def test_a_closed_port(env: VmEnvironment) -> None:
    error = connect_error(env.pool(), "203.0.113.99")
    assert error.stage is ConnectStage.PORT
    assert error.transient


def test_a_port_that_does_not_answer(
    env: VmEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.ssh.pool.STAGE_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        text = f"Host *\n  HostName 127.0.0.1\n  Port {port}\n"
        pool = env.pool(ssh_config_path=ssh_config(tmp_path, text))
        error = connect_error(pool)
        for filler in fillers:
            filler.close()
    assert error.stage is ConnectStage.PORT
    assert "security group" in error.problems[0].why
    assert "allow-my-ip" in error.problems[0].hint


def test_a_port_without_an_ssh_server(
    env: VmEnvironment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
        text = f"Host *\n  HostName 127.0.0.1\n  Port {server.getsockname()[1]}\n"
        error = connect_error(env.pool(ssh_config_path=ssh_config(tmp_path, text)))
    assert error.stage is ConnectStage.SSHD
    assert capfd.readouterr().err == "", "paramiko's traceback must not reach the user"


def test_a_wrong_key(env: VmEnvironment, tmp_path: Path) -> None:
    error = connect_error(env.pool(ssh_key_path=str(make_key(tmp_path / "other"))))
    assert error.stage is ConnectStage.KEY
    assert not error.transient, "waiting does not help"
    assert "ssh_key_path" in error.problems[0].hint


def test_a_wrong_user(env: VmEnvironment, tmp_path: Path) -> None:
    text = f"Host *\n  User alice\n{env.vm_pool.ssh_config.read_text()}"
    text = text.replace("  User ubuntu\n", "")
    error = connect_error(env.pool(ssh_config_path=ssh_config(tmp_path, text)))
    assert error.stage is ConnectStage.USER
    assert "alice" in error.problems[0].why


def test_the_deadline_names_the_last_stage(env: VmEnvironment) -> None:
    pool = env.pool()
    with pytest.raises(SetupError) as caught:
        pool.wait_for_ssh([pool.machine("i-9", "203.0.113.99")], deadline=0.2)
    (problem,) = caught.value.problems
    assert "203.0.113.99" in problem.what
    assert "refuses connections" in problem.why


def test_every_failing_machine_is_named(env: VmEnvironment) -> None:
    pool = env.pool()
    machines = [pool.machine(f"i-{i}", public_ip(i)) for i in range(4)]
    with pytest.raises(SetupError) as caught:
        pool.wait_for_ssh(machines, deadline=0.2)
    assert [problem.what.split(" ")[0] for problem in caught.value.problems][1:] == ["i-2", "i-3"]


def test_first_use_is_logged_and_stored(
    env: VmEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    first = env.pool()
    with caplog.at_level(logging.INFO):
        first.machine("i-0", public_ip(0)).connect()
    assert "trusted on first use" in caplog.text
    assert first.known_hosts.path.stat().st_mode & 0o777 == 0o600
    second = env.pool()
    second.machine("i-0", public_ip(0)).connect()
    assert not second.first_use


def test_a_key_on_the_console_is_not_a_first_use(env: VmEnvironment) -> None:
    pool = env.pool()
    pool.use(clock=SystemClock(), console=env.vm_pool.console)
    pool.machine("i-0", public_ip(0)).connect()
    assert not pool.first_use
    assert len(pool.known_hosts.keys("i-0")) == 1


def test_another_key_than_the_console_shows_is_refused(env: VmEnvironment, tmp_path: Path) -> None:
    public = make_key(tmp_path / "host", kind="ed25519").with_suffix(".pub").read_text()
    shown = env.vm_pool.console("i-0")
    other = shown[: shown.index("ssh-ed25519")] + public + "-----END SSH HOST KEY KEYS-----\n"
    pool = env.pool()
    pool.use(clock=SystemClock(), console=lambda _: other)
    with pytest.raises(HostKeyError):
        pool.machine("i-0", public_ip(0)).connect()
    assert not pool.known_hosts.path.exists()


def test_a_changed_host_key_stops_with_both_fingerprints(env: VmEnvironment) -> None:
    before = env.pool()
    before.machine("i-0", public_ip(0)).connect()
    (known,) = before.known_hosts.keys("i-0")
    env.vm_pool.power_off("i-0")
    env.vm_pool.disk("i-0").make_host_key()
    env.vm_pool.power_on("i-0")
    pool = env.pool()
    with pytest.raises(SetupError) as caught:
        pool.wait_for_ssh([pool.machine("i-0", public_ip(0))], deadline=60)
    (problem,) = caught.value.problems
    assert str(known) in problem.why
    assert problem.why.count("SHA256:") == 2
    assert "i-0" in problem.hint
    assert str(pool.known_hosts.path) in problem.hint


def test_an_address_used_again_by_a_new_instance_is_no_alarm(env: VmEnvironment) -> None:
    env.pool().machine("i-old", public_ip(0)).connect()
    env.vm_pool.power_off("i-0")
    env.vm_pool.disk("i-0").make_host_key()
    env.vm_pool.power_on("i-0")
    pool = env.pool()
    machine = pool.machine("i-new", public_ip(0))
    pool.wait_for_ssh([machine], deadline=30)
    assert machine.run(["true"]).code == 0


def test_a_jump_host_and_a_proxy_command(env: VmEnvironment, tmp_path: Path) -> None:
    port = env.vm_pool.port("i-0")
    jump = f"Host jump\n  HostName 127.0.0.1\n  Port {port}\n  User ubuntu\n"
    inside = "Host 203.0.113.10\n  HostName 10.0.8.233\n  User ubuntu\n"
    for way in ("  ProxyJump jump\n", f"  ProxyCommand {CARRY} {port}\n"):
        path = ssh_config(tmp_path, jump + inside + way)
        machine = env.machine(ssh_config_path=path)
        assert "ip-10-0-8-233" in machine.run(["hostname"]).stdout


def test_a_full_disk_leaves_the_old_file(env: VmEnvironment) -> None:
    machine = env.machine()
    env.vm_pool.small_disk("i-0", "/opt/small", kib=64)
    machine.write("/opt/small/file", "old", sudo=True)
    with pytest.raises(RemoteError) as caught:
        machine.write("/opt/small/file", "new" * 100_000, sudo=True)
    assert "No space left on device" in str(caught.value)
    assert "free space" in caught.value.problems[0].hint
    assert machine.read("/opt/small/file", sudo=True) == "old"
    assert machine.run(["ls", "-A", "/opt/small"]).stdout == "file\n"


def test_a_connection_that_drops_while_a_file_is_written(env: VmEnvironment) -> None:
    machine, tree = env.machine(), env.vm_pool.disk("i-0")
    machine.write("/home/ubuntu/file", "old")
    home = tree.path("/home/ubuntu")
    seen: list[str] = []

    def cut() -> None:
        while not list(home.glob(".file.lambda-fs-*")):
            time.sleep(0.001)
        env.vm_pool.power_off("i-0")
        seen.append(tree.read("/home/ubuntu/file"))
        env.vm_pool.power_on("i-0")

    cutter = threading.Thread(target=cut)
    cutter.start()
    content = "new" * 5_000_000
    machine.write("/home/ubuntu/file", content)
    cutter.join()
    assert seen == ["old"], "the old content stays until the new one is complete"
    assert tree.read("/home/ubuntu/file") == content
    for left in home.glob(".file.lambda-fs-*"):
        os.utime(left, (1, 1))
    machine.write("/home/ubuntu/file", "newer")
    assert not list(home.glob(".file.lambda-fs-*")), "a later write removes what was left"


def test_a_connection_that_drops_while_a_file_is_fetched(env: VmEnvironment) -> None:
    machine = env.machine()
    machine.run("head -c 100000000 /dev/zero > /home/ubuntu/large")
    try:
        with (
            pytest.raises(ConnectionLost, match="download /home/ubuntu/large"),
            machine.fetch("/home/ubuntu/large", limit=100_000_000) as file,
        ):
            file.read(10)
            env.vm_pool.power_off("i-0")
            while file.read(65536):
                pass
    finally:
        env.vm_pool.power_on("i-0")


def test_what_is_closed_after_its_connection_has_broken_raises_nothing() -> None:
    class Broken(paramiko.SFTPClient):
        def __init__(self) -> None:
            """Be a client whose transport refuses each message, as after a reset."""

        def close(self) -> None:
            raise EOFError

    with pytest.raises(KeyError, match="read"), closing_channel(Broken()):
        raise KeyError("read")
