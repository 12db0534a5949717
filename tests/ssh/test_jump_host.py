"""A jump host whose connection ends, at every stage: in front of OpenSSH servers, a relay cuts it.

What ends is the relay's connection to the client, as when a jump host is rebooted or its network is
left. Both servers are those of machines in namespaces, and the way leads through one of them.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.ssh import connection
from aws_setup.ssh.errors import ConnectionLost, Unreachable
from aws_setup.ssh.jump_host import JumpSocket
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from tests.support.machines import ADDRESSES, VmEnvironment, needs_machines, vm_environment

pytestmark = needs_machines

CARRY = f"{sys.executable} {Path(__file__).parents[1] / 'data' / 'carry.py'}"
"""A ProxyCommand: connects its standard streams to a port of 127.0.0.1."""

JUMP, COMMAND = "ProxyJump", "ProxyCommand"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path_factory.mktemp("jump")) as made:
        made.launch(2)
        yield made


@dataclass
class Relay:
    """Forwards connections to a port; `stages` are those at which it ends the next connections."""

    target: int
    stages: list[str] = field(default_factory=list)
    open_ones: list[socket.socket] = field(default_factory=list)
    servers: set[socket.socket] = field(default_factory=set)
    accepted: int = 0
    stage: str = ""
    copies: list[threading.Thread] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    """Set where nothing that the servers say is passed on, until a connection is cut."""

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.stage = self.stages.pop(0) if self.stages else ""
            if self.stage == "banner":
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self.open_ones += [client, server]
            limit = b"\n" if self.stage == "key exchange" else b""
            self.servers.add(server)
            for source, sink, end in ((client, server, b""), (server, client, limit)):
                copy = threading.Thread(target=self._copy, args=(source, sink, end), daemon=True)
                self.copies.append(copy)
                copy.start()

    def _copy(self, source: socket.socket, sink: socket.socket, limit: bytes) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.hold.is_set() and source in self.servers:
                    continue
                if limit:
                    sink.sendall(data[: data.index(limit) + 1])
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End every connection."""
        for end in self.open_ones:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.stage = ""

    def cut_before(self, stage: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return `act`, before which a connection ends whose stage it is."""

        def cutting(*arguments: Any, **options: Any) -> Any:
            if self.stage == stage:
                self.cut()
            return act(*arguments, **options)

        return cutting

    def cut_after(self, stage: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return `act`, after which a connection ends whose stage it is."""

        def cutting(*arguments: Any, **options: Any) -> Any:
            done = act(*arguments, **options)
            if self.stage == stage:
                self.cut()
            return done

        return cutting


@dataclass
class Way:
    """A machine behind a relay, reached by one kind of configuration."""

    relay: Relay
    pool: MachinePool
    machine: Machine
    env: VmEnvironment
    through: str


@pytest.fixture(params=[JUMP, COMMAND])
def way(
    request: pytest.FixtureRequest,
    shared: VmEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Way]:
    env = replace(shared, folder=tmp_path)
    through = request.param
    # The ProxyCommand leads to the machine itself, as `ssh -W` does.
    relay = Relay(env.vm_pool.port("i-0" if through == JUMP else "i-1"))
    for stage, name, cutting in (
        ("login", "authenticate", relay.cut_before),
        ("way through", "open_through", relay.cut_after),
    ):
        monkeypatch.setattr(connection, name, cutting(stage, getattr(connection, name)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=relay.serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        text = f"Host bastion\n  HostName 127.0.0.1\n  Port {port}\n  User ubuntu\n"
        text += f"Host 203.0.113.11\n  HostName {ADDRESSES[1]}\n  User ubuntu\n"
        text += "  ProxyJump bastion\n" if through == JUMP else f"  ProxyCommand {CARRY} {port}\n"
        text += "Host 203.0.113.12\n  HostName 127.0.0.1\n  Port 9\n  ProxyJump bastion\n"
        (tmp_path / "config").write_text(text)
        pool = env.pool(ssh_config_path=str(tmp_path / "config"))
        yield Way(relay, pool, pool.machine("i-1", "203.0.113.11", name="vm"), env, through)
        pool.close()
        relay.cut()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


STAGES = ["banner", "key exchange", "login", "way through"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_user_reads_which_host_ended_what(way: Way, stage: str) -> None:
    if way.through == COMMAND and stage == "way through":
        return  # the command itself finds its way
    way.relay.stages = [stage]
    with pytest.raises(Unreachable) as caught:
        way.machine.connect()
    assert caught.value.transient, "the next attempt may succeed"
    (problem,) = caught.value.problems
    assert problem.what.startswith("203.0.113.11 cannot be reached")
    assert SAID[way.through, stage] in problem.why
    assert not problem.why.rstrip().endswith(":")
    if way.through == JUMP:
        assert "jump host bastion" in problem.why
        assert problem.hint.startswith("run `ssh bastion true`")
    assert "ssh-add" not in problem.hint, "no key was at fault"


SAID = {
    (JUMP, "banner"): "is open, but sent no SSH banner: ",
    (JUMP, "key exchange"): "but its key exchange failed: the connection was closed",
    (JUMP, "login"): "the connection broke while logging in: the connection was closed",
    (JUMP, "way through"): "the connection to its jump host bastion ended",
    (COMMAND, "banner"): "gave no SSH connection: exit code 0: it printed nothing",
    (COMMAND, "key exchange"): "gave no SSH connection: exit code 0: it printed nothing",
    (COMMAND, "login"): "the connection broke while logging in: ",
}


@dataclass
class BrokenChannel:
    """A channel whose connection takes nothing, before the thread that reads it has noticed."""

    eof_received: bool
    closed: bool = False

    def send(self, data: bytes) -> int:
        raise EOFError

    def recv(self, size: int) -> bytes:
        raise EOFError


@pytest.mark.parametrize("ended", [False, True], ids=["jump host", "machine"])
@pytest.mark.parametrize("use", [lambda s: s.send(b"x"), lambda s: s.recv(1)], ids=["send", "recv"])
def test_the_end_that_a_sender_meets_first_is_that_of_the_jump_host(
    use: Callable[[JumpSocket], object], ended: bool
) -> None:
    unused: Any = None
    channel: Any = BrokenChannel(eof_received=ended)
    socket_through = JumpSocket(channel, unused, "bastion")
    with pytest.raises(EOFError):
        use(socket_through)
    route: Any = SimpleNamespace(address="203.0.113.11")
    assert (socket_through.failure(route) is None) == ended


def test_the_wait_for_a_machine_outlives_a_jump_host_that_ends_at_each_stage(way: Way) -> None:
    way.relay.stages = [*STAGES] if way.through == JUMP else STAGES[:3]
    way.pool.wait_for_ssh([way.machine], deadline=600)
    assert not way.relay.stages
    assert way.machine.run(["hostname"]).stdout == "ip-10-0-4-113\n"


def test_attempts_and_closed_machines_leave_no_connection_to_a_jump_host(way: Way) -> None:
    way.machine.connect()
    way.machine.close()
    if way.through == JUMP:
        # As of a machine that boots: its sshd does not listen yet.
        booting = way.pool.machine("i-2", "203.0.113.12")
        with pytest.raises(
            Unreachable, match=r"bastion cannot connect to 127\.0\.0\.1:9: "
        ) as caught:
            booting.connect()
        assert caught.value.transient
    assert way.relay.accepted == (2 if way.through == JUMP else 1)
    for thread in way.relay.copies:
        thread.join(60)
    assert not any(thread.is_alive() for thread in way.relay.copies)


def lines(way: Way, path: str) -> int:
    """Return the lines of a file in the home of the machine's user; 0 where it is not there."""
    found = way.env.vm_pool.disk("i-1").path("/home/ubuntu") / path
    return len(found.read_text().splitlines()) if found.exists() else 0


def test_a_command_during_which_the_jump_host_ends_is_not_run_twice(way: Way) -> None:
    command = "echo begun >> begun; while [ ! -e go ]; do sleep 0.02; done; echo done >> done"

    def cut() -> None:
        while not lines(way, "begun"):
            time.sleep(0.002)
        way.relay.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(ConnectionLost) as caught:
        way.machine.run(command)
    cutter.join()
    (problem,) = caught.value.problems
    assert problem.what == "vm (203.0.113.11): the connection was lost"
    assert problem.why.startswith("it was running: echo begun")
    assert problem.hint == "run the same command again: it resumes from here"
    way.machine.run("touch go; while [ ! -e done ]; do sleep 0.02; done")
    assert lines(way, "begun") == 1
    way.machine.run("rm begun done go")


def test_a_finished_command_whose_answer_is_lost_is_not_run_twice(way: Way) -> None:
    home = way.env.vm_pool.disk("i-1").path("/home/ubuntu")

    def cut() -> None:
        while not lines(way, "begun"):
            time.sleep(0.002)
        # From now on the relay holds back what the servers say, the command's end included.
        way.relay.hold.set()
        (home / "go").touch()
        while not lines(way, "finished"):
            time.sleep(0.002)
        way.relay.cut()
        way.relay.hold.clear()

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(ConnectionLost):
        way.machine.run(
            "echo begun >> begun; while [ ! -e go ]; do sleep 0.02; done; echo finished >> finished"
        )
    cutter.join()
    assert way.machine.run("wc -l < finished; rm finished begun go").stdout.strip() == "1"


def test_a_file_during_which_the_jump_host_ends_is_complete_or_the_old_one(way: Way) -> None:
    way.machine.write("/home/ubuntu/file", "old")
    tree = way.env.vm_pool.disk("i-1")
    home = tree.path("/home/ubuntu")
    seen: list[str] = []

    def cut() -> None:
        while not list(home.glob(".file.lambda-fs-*")):
            time.sleep(0.001)
        way.relay.cut()
        seen.append(tree.read("/home/ubuntu/file"))

    cutter = threading.Thread(target=cut)
    cutter.start()
    content = "new" * 5_000_000
    assert way.machine.write("/home/ubuntu/file", content)
    cutter.join()
    assert seen == ["old"]
    assert tree.read("/home/ubuntu/file") == content
    way.machine.run("rm -f file .file.lambda-fs-*")


def test_a_proxy_command_that_says_much_does_not_stop(
    shared: VmEnvironment, tmp_path: Path
) -> None:
    """As `ssh -v` does: a pipe takes 64 KiB, and nobody reads it while the connection lasts."""
    env = replace(shared, folder=tmp_path)
    carry = f"exec {CARRY} {env.vm_pool.port('i-1')}"
    noisy = f"sh -c 'yes debug1: something | head -c 300000 >&2; {carry}'"
    (tmp_path / "config").write_text(f"Host *\n  ProxyCommand {noisy}\n")
    pool = env.pool(ssh_config_path=str(tmp_path / "config"))
    machine = pool.machine("i-1", "203.0.113.11")
    assert machine.run(["hostname"]).stdout == "ip-10-0-4-113\n"
    pool.close()


@pytest.mark.parametrize(
    "first", ["HostName 127.0.0.1\n  Port {port}", "ProxyCommand {carry} {port}"]
)
def test_a_jump_host_behind_another_one(shared: VmEnvironment, tmp_path: Path, first: str) -> None:
    """The proxies of a jump host are its own; from the inner one alone 127.0.0.1 is the inner."""
    port = shared.vm_pool.port("i-0")
    outer = f"Host outer\n  User ubuntu\n  {first.format(port=port, carry=CARRY)}\n"
    inner = f"Host inner\n  HostName {ADDRESSES[1]}\n  User ubuntu\n  ProxyJump outer\n"
    inside = "Host 203.0.113.11\n  HostName 127.0.0.1\n  User ubuntu\n  ProxyJump inner\n"
    (tmp_path / "config").write_text(outer + inner + inside)
    pool = replace(shared, folder=tmp_path).pool(ssh_config_path=str(tmp_path / "config"))
    machine = pool.machine("i-1", "203.0.113.11")
    try:
        said = machine.run(["hostname"]).stdout
    finally:
        pool.close()
    assert said == f"ip-{ADDRESSES[1].replace('.', '-')}\n"
