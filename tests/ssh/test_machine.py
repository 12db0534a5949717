"""Commands, files, downloads and tunnels on a real OpenSSH server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted
from aws_setup.ssh.errors import ConnectionLost, RemoteError
from aws_setup.ssh.exchange import command_line
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from tests.support.machines import VmEnvironment, needs_machines, public_ip, vm_environment

pytestmark = needs_machines


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path_factory.mktemp("ssh")) as made:
        made.launch(2)
        yield made


@pytest.fixture
def machine(env: VmEnvironment) -> Iterator[Machine]:
    found = env.machine()
    yield found
    found.close()


def test_a_command_gives_code_and_both_streams(machine: Machine) -> None:
    result = machine.run("echo out; echo err >&2; exit 3", check=False)
    assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")


@pytest.mark.parametrize(
    "word", ["$HOME", "a b", "it's", 'say "x"', "`id`", "; rm -rf /", "a\nb", "*", ""]
)
def test_no_argument_is_parsed_by_a_shell(machine: Machine, word: str) -> None:
    for sudo in (False, True):
        answer = machine.run(["printf", "%s|", word, "end"], sudo=sudo)
        assert answer.stdout == f"{word}|end|"


def test_sudo_applies_to_the_complete_shell_text() -> None:
    assert command_line("a; b", sudo=True) == "sudo -n -- sh -c 'a; b'"


def test_sudo_is_root(machine: Machine) -> None:
    assert machine.run(["id", "-un"]).stdout == "ubuntu\n"
    assert machine.run(["id", "-un"], sudo=True).stdout == "root\n"


def test_a_failure_carries_command_code_and_last_lines(machine: Machine) -> None:
    with pytest.raises(RemoteError) as caught:
        machine.run("for i in 1 2 3 4 5 6 7 8; do echo line $i >&2; done; exit 9")
    assert caught.value.code == 9
    assert caught.value.lines == ("line 4", "line 5", "line 6", "line 7", "line 8")
    assert "exit code 9" in str(caught.value)


def test_a_command_that_exceeds_its_timeout_is_an_error(machine: Machine) -> None:
    with pytest.raises(RemoteError, match="did not end within 1 s"):
        machine.run(["sleep", "30"], timeout=1)
    assert machine.run(["echo", "still here"]).stdout == "still here\n"


def test_much_input_and_output_at_once_does_not_block(machine: Machine) -> None:
    text = "0123456789abcdef" * 400_000
    result = machine.run("tee /dev/stderr", stdin=text)
    assert result.stdout == text
    assert result.stderr == text


def test_output_is_passed_on_as_it_arrives(machine: Machine) -> None:
    received = bytearray()
    result = machine.run("echo one; echo two >&2", output=received.extend)
    assert sorted(received.decode().split()) == ["one", "two"]
    assert result.stdout == result.stderr == ""


def test_a_file_is_written_once(env: VmEnvironment, machine: Machine) -> None:
    path = "/opt/some where/it's.conf"
    assert machine.read(path) is None
    assert machine.write(path, "x = 1\n", mode=0o640, owner="root:root", sudo=True)
    assert not machine.write(path, "x = 1\n", mode=0o640, owner="root:root", sudo=True)
    on_disk = env.vm_pool.disk("i-0").path(path)
    assert on_disk.read_text() == "x = 1\n"
    assert on_disk.stat().st_mode & 0o777 == 0o640
    assert [other.name for other in on_disk.parent.iterdir()] == ["it's.conf"]


@pytest.mark.parametrize(("content", "mode"), [("x = 2\n", 0o640), ("x = 1\n", 0o600)])
def test_another_content_or_mode_is_written(machine: Machine, content: str, mode: int) -> None:
    machine.write("/tmp/file", "x = 1\n", mode=0o640)
    assert machine.write("/tmp/file", content, mode=mode)
    assert machine.read("/tmp/file") == content


def test_an_unreadable_file_is_not_an_absent_one(machine: Machine) -> None:
    with pytest.raises(RemoteError, match="Not a directory"):
        machine.read("/etc/passwd/nothing")


def test_facts_list_only_existing_files(machine: Machine) -> None:
    machine.write("/tmp/a b", "one")
    facts = machine.facts("/tmp/a b", "/tmp/none")
    assert list(facts) == ["/tmp/a b"]
    assert facts["/tmp/a b"].changed > 1.7e9


def test_a_download_streams(machine: Machine) -> None:
    machine.run("head -c 3000000 /dev/zero > /tmp/jar")
    with machine.fetch("/tmp/jar", limit=1 << 22) as stream:
        assert len(stream.read(1000)) == 1000
        assert len(stream.read()) == 2_999_000
    with pytest.raises(RemoteError, match="No such file"), machine.fetch("/tmp/none", limit=1):
        pass


def test_a_tunnel_reaches_an_address_inside_the_vpc(machine: Machine) -> None:
    with machine.forward("10.0.4.113", 22) as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port)) as through:
                assert through.recv(8) == b"SSH-2.0-"


def test_querying_a_closed_port_is_no_error(machine: Machine) -> None:
    assert machine.query_port(22, b"not SSH\r\n", timeout=240)[:8] == b"SSH-2.0-"  # type: ignore[index]
    assert machine.query_port(23, b"hello") is None


def test_a_forbidden_tunnel_is_not_taken_for_a_closed_port(env: VmEnvironment) -> None:
    with (
        with_sshd_config(env, "AllowTcpForwarding no") as machine,
        pytest.raises(RemoteError, match="forbids TCP forwarding"),
    ):
        machine.query_port(23, b"hello")


def test_a_second_command_waits_where_sshd_allows_one_session(env: VmEnvironment) -> None:
    """And does not end the connection, with which the first one would end."""
    with with_sshd_config(env, "MaxSessions 1") as machine:
        began = env.vm_pool.disk("i-1").path("/home/ubuntu/began")
        first: list[str] = []
        job = "touch began; while [ ! -e asked ]; do sleep 0.1; done; sleep 3; echo complete"
        long = threading.Thread(target=lambda: first.append(machine.run(job).stdout))
        long.start()
        wait_for(began)
        (began.parent / "asked").touch()
        assert machine.run(["echo", "second"]).stdout == "second\n"
        long.join()
        assert first == ["complete\n"]
        with machine.fetch("/home/ubuntu/began", limit=10) as file:
            assert file.read() == b""


def test_a_session_that_nothing_answers_ends_no_other_command(
    env: VmEnvironment, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another one a new connection is opened: the present one may have died silently."""
    home = env.vm_pool.disk("i-0").path("/home/ubuntu")
    first: list[str] = []
    job = "touch running; while [ ! -e go ]; do sleep 0.1; done; echo complete"
    long = threading.Thread(target=lambda: first.append(machine.run(job).stdout))
    long.start()
    wait_for(home / "running")
    old = machine.connect()

    def unanswered(**_: object) -> None:
        raise paramiko.SSHException("Timeout opening channel.")

    monkeypatch.setattr(old, "open_session", unanswered)
    with pytest.raises(ConnectionLost, match="it was running: echo second"):
        machine.run(["echo", "second"])
    (home / "go").touch()
    long.join()
    assert first == ["complete\n"]
    assert machine.run(["echo", "third"]).stdout == "third\n"
    assert not old.is_active()


def test_a_machine_without_sessions_names_the_setting(env: VmEnvironment) -> None:
    """As one that is hardened to be a way to others only (sshd_config(5): MaxSessions 0)."""
    with (
        with_sshd_config(env, "MaxSessions 0") as machine,
        pytest.raises(RemoteError, match=r"its sshd allows no further session$") as caught,
    ):
        machine.run(["true"])
    assert "MaxSessions 10" in caught.value.problems[0].hint


def test_ctrl_c_ends_the_wait_for_a_long_command(env: VmEnvironment) -> None:
    clock = SystemClock()
    pool = MachinePool(env.config(), clock)
    machines = [pool.machine("i-0", public_ip(0))]
    pool.wait_for_ssh(machines)
    began = env.vm_pool.disk("i-0").path("/home/ubuntu/began")
    stop = _when_exists(began, clock.stop)
    with pytest.raises(Interrupted):
        pool.each(machines, lambda machine: machine.run(f"touch {began.name}; sleep 100"))
    stop.join()


def test_one_connection_serves_every_command(env: VmEnvironment, machine: Machine) -> None:
    log = env.vm_pool.disk("i-0").path("/var/log/sshd.log")
    machine.run(["true"])
    before = log.read_text().count("Accepted publickey")
    for _ in range(20):
        machine.run(["true"])
    assert log.read_text().count("Accepted publickey") == before


def test_a_reboot_is_waited_for(env: VmEnvironment) -> None:
    machine = env.machine()
    machine.write("/home/ubuntu/kept", "before")
    env.vm_pool.reboot("i-0")
    assert machine.read("/home/ubuntu/kept") == "before"


def test_a_command_under_way_at_a_reboot_is_not_repeated_unless_repeatable(
    env: VmEnvironment,
) -> None:
    machine = env.machine()
    count = "echo x >> count; [ $(wc -l < count) = 2 ] || sleep 100"
    for repeatable, runs in ((False, 1), (True, 2)):
        machine.run(["rm", "-f", "/home/ubuntu/count"])
        counted = env.vm_pool.disk("i-0").path("/home/ubuntu/count")
        received = _when_exists(counted, lambda: env.vm_pool.reboot("i-0"))
        if repeatable:
            machine.run(count, repeatable=True)
        else:
            with pytest.raises(ConnectionLost):
                machine.run(count)
        received.join()
        assert machine.read("/home/ubuntu/count") == "x\n" * runs


@contextmanager
def with_sshd_config(env: VmEnvironment, line: str) -> Iterator[Machine]:
    """Yield a machine whose sshd has a further setting."""
    settings = env.vm_pool.disk("i-1").path("/etc/ssh/sshd_config")
    before = settings.read_text()
    settings.write_text(f"{before}{line}\n")
    env.vm_pool.reboot("i-1")
    pool = env.pool()
    machine = pool.machine("i-1", public_ip(1))
    try:
        pool.wait_for_ssh([machine])
        yield machine
    finally:
        pool.close()
        settings.write_text(before)
        env.vm_pool.reboot("i-1")


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def _when_exists(path: Path, act: Callable[[], None]) -> threading.Thread:
    def watch() -> None:
        wait_for(path)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread
