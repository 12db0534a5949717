"""The order in which ZooKeeper servers start and restart, without servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper import servers
from aws_setup.software.zookeeper.servers import MemberSpec, MemberStatus, start_and_restart
from aws_setup.software.zookeeper.steps import member_drift
from tests.support.fake_machines import FakeMachine, FakePool, fake_context


@dataclass(frozen=True)
class Server:
    """One server before the run: its mode ('' without a leader, None while down)."""

    name: str
    mode: str | None = None
    stale: bool = False
    has_data: bool = True

    def status(self) -> MemberStatus:
        """Return what an inspection finds."""
        role = None if self.mode is None else zk.ServerRole(self.mode)
        spec = MemberSpec(FakeMachine(self.name), {})
        return MemberStatus(spec, (), role, self.stale, self.has_data)


def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *ensemble: Server) -> list[str]:
    """Return what is done to the servers, in order."""
    done: list[str] = []
    statuses = {server.name: server.status() for server in ensemble}
    members = [status.spec for status in statuses.values()]

    roles = {name: status.role for name, status in statuses.items()}

    def record(verb: str) -> Callable[[MemberSpec], None]:
        def act(member: MemberSpec) -> None:
            done.append(f"{verb} {member.machine.name}")
            roles[member.machine.name] = roles[member.machine.name] or zk.ServerRole("follower")

        return act

    for verb in ("start", "restart", "wait_serving", "wait_listening"):
        monkeypatch.setattr(servers, verb, record(verb))
    monkeypatch.setattr(servers, "member_status", lambda member: statuses[member.machine.name])
    monkeypatch.setattr(servers, "_role", lambda member: roles[member.machine.name])
    ctx = fake_context(tmp_path, {})
    start_and_restart(FakePool(ctx.config, []), members, note=lambda _: None)
    return done


def test_new_servers_start_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = order(tmp_path, monkeypatch, *(Server(name, has_data=False) for name in "abc"))
    assert sorted(done) == ["start a", "start b", "start c"]


def test_with_a_quorum_stale_servers_restart_one_at_a_time_the_leader_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = [
        Server("a", "leader", stale=True),
        Server("b", "follower", stale=True),
        Server("c", "follower", stale=True),
    ]
    assert order(tmp_path, monkeypatch, *ensemble) == [
        "restart b",
        "wait_serving b",
        "restart c",
        "wait_serving c",
        "restart a",
        "wait_serving a",
    ]


def test_a_server_that_is_down_starts_before_any_other_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = [Server("a", "leader"), Server("b", "follower", stale=True), Server("c")]
    done = order(tmp_path, monkeypatch, *ensemble)
    assert done == ["start c", "wait_serving c", "restart b", "wait_serving b"]


def test_empty_servers_start_after_those_with_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = [
        Server("a", "standalone", stale=True),
        Server("b", has_data=False),
        Server("c", has_data=False),
    ]
    done = order(tmp_path, monkeypatch, *ensemble)
    assert done[:2] == ["restart a", "wait_listening a"]
    assert sorted(done[2:]) == ["start b", "start c"]


def test_without_a_quorum_stale_servers_restart_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = [Server("a", "", stale=True), Server("b"), Server("c")]
    done = order(tmp_path, monkeypatch, *ensemble)
    assert done[0] == "restart a"
    assert sorted(done[1:3]) == ["start b", "start c"]
    assert sorted(done[3:]) == ["wait_listening a", "wait_listening b", "wait_listening c"]


@pytest.mark.parametrize(
    ("outdated", "role", "stale", "drift"),
    [
        ((), zk.ServerRole("leader"), False, []),
        ((), None, True, ["server on a"]),
        ((), zk.ServerRole("follower"), True, ["server on a"]),
        ((zk.ZOO_CFG,), zk.ServerRole("follower"), True, [f"{zk.ZOO_CFG} on a"]),
        ((zk.ZOO_CFG,), None, True, [f"{zk.ZOO_CFG} on a", "server on a"]),
    ],
)
def test_drift_names_files_and_servers(
    outdated: tuple[str, ...], role: zk.ServerRole | None, stale: bool, drift: list[str]
) -> None:
    spec = MemberSpec(FakeMachine("a"), {})
    status = MemberStatus(spec, outdated, role, stale, has_data=True)
    assert [item.what for item in member_drift(status)] == drift
