"""What is done to ZooKeeper servers: survey, configure, start, stop, and restart in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aws_setup.engine.wait import Clock, Pending, wait_until
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh import Machine, MachinePool, RemoteError, digest_of

START = 120.0
"""Seconds that a server gets from its start until it serves; 5 are usual."""

_PAUSE = 1.0


@dataclass(frozen=True)
class MemberSpec:
    """One member as it shall be: its machine and the files it needs."""

    machine: Machine
    files: dict[str, str]


@dataclass(frozen=True)
class MemberStatus:
    """One member as it is.

    `wrong` are the files that are missing or different; `role` is None when no server listens;
    `stale` tells that the server started before its files were last changed; `has_data` that it
    was a member before.
    """

    server: MemberSpec
    wrong: tuple[str, ...]
    role: zk.ServerRole | None
    stale: bool
    has_data: bool

    @property
    def serving(self) -> bool:
        """Whether it is a working member."""
        return self.role is not None and self.role.serving


def member_status(server: MemberSpec) -> MemberStatus:
    """Ask a machine how its server is; nothing is changed."""
    marker = f"{zk.DATA}/version-2/currentEpoch"
    facts = server.machine.facts(*server.files, zk.PID_FILE, marker, sudo=True)
    wrong = tuple(
        path
        for path, content in server.files.items()
        if path not in facts or facts[path].digest != digest_of(content)
    )
    started = facts[zk.PID_FILE].changed if zk.PID_FILE in facts else 0.0
    stale = any(facts[path].changed > started for path in server.files if path in facts)
    was_member = marker in facts or zk.PID_FILE in facts
    return MemberStatus(server, wrong, role(server), stale or bool(wrong), was_member)


def role(server: MemberSpec) -> zk.ServerRole | None:
    """Return what the server says about itself; None when none listens."""
    return zk.parse_role(server.machine.query_port(zk.CLIENT_PORT, b"srvr"))


def configure(server: MemberSpec) -> bool:
    """Make folders and files right; tells whether a file had to be written."""
    server.machine.run(["mkdir", "-p", zk.DATA, zk.LOGS], sudo=True, repeatable=True)
    written = [
        server.machine.write(path, content, sudo=True) for path, content in server.files.items()
    ]
    return any(written)


def start(server: MemberSpec) -> None:
    """Start a server; one that runs already is fine.

    The process id in the file may be another process's since a reboot, and zkServer.sh would then
    believe that ZooKeeper runs.
    """
    server.machine.run(zk.FORGET_OLD_PID, sudo=True, repeatable=True)
    try:
        server.machine.run([zk.SERVER, "start"], sudo=True)
    except RemoteError as error:
        if not any("already running" in line for line in error.lines):
            raise


def restart(server: MemberSpec) -> None:
    """Stop a server, wait until its port is closed, and start it."""
    server.machine.run(zk.FORGET_OLD_PID, sudo=True, repeatable=True)
    server.machine.run([zk.SERVER, "stop"], sudo=True)
    wait_until(
        f"ZooKeeper stops on {server.machine}",
        lambda: True if role(server) is None else Pending("still listening"),
        clock=server.machine.clock,
        deadline=START,
        pause=_PAUSE,
    )
    start(server)


def wait_listening(server: MemberSpec) -> None:
    """Return when the server answers at all, a member of an ensemble or not yet."""
    wait_until(
        f"ZooKeeper answers on {server.machine}",
        lambda: Pending("nothing listens") if role(server) is None else True,
        clock=server.machine.clock,
        deadline=START,
        pause=_PAUSE,
        hint=f"look at the newest file in {zk.HOME}/logs on that machine",
    )


def wait_serving(server: MemberSpec) -> None:
    """Return when the server is a working member."""

    def probe() -> bool | Pending:
        now = role(server)
        if now is None:
            return Pending("nothing listens")
        return True if now.serving else Pending("no leader")

    wait_until(
        f"ZooKeeper serves on {server.machine}",
        probe,
        clock=server.machine.clock,
        deadline=START,
        pause=_PAUSE,
        hint=f"look at the newest file in {zk.HOME}/logs on that machine",
    )


def roles(hosts: MachinePool, servers: Sequence[MemberSpec]) -> dict[str, str]:
    """Return machine name -> role, 'down' where no server listens."""
    answers = hosts.each(servers, role)
    return {
        server.machine.name: "down" if now is None else now.mode or "no leader"
        for server, now in zip(servers, answers, strict=True)
    }


def complete(found: dict[str, str]) -> bool:
    """Tell whether roles are those of a whole ensemble: one leader and all others follow."""
    modes = sorted(found.values())
    return modes in (["standalone"], ["follower"] * (len(modes) - 1) + ["leader"])


def wait_complete(
    hosts: MachinePool, servers: Sequence[MemberSpec], *, clock: Clock, note: Callable[[str], None]
) -> dict[str, str]:
    """Return the roles when there is one leader and every other member follows it."""

    def probe() -> dict[str, str] | Pending:
        found = roles(hosts, servers)
        said = ", ".join(f"{name} {mode}" for name, mode in found.items())
        return found if complete(found) else Pending(said)

    return wait_until(
        "the ZooKeeper ensemble has one leader and all others follow",
        probe,
        clock=clock,
        deadline=START,
        pause=_PAUSE,
        note=note,
        hint=f"look at the newest file in {zk.HOME}/logs on the machine that does not follow",
    )


def bring_up(
    hosts: MachinePool, servers: Sequence[MemberSpec], *, note: Callable[[str], None]
) -> None:
    """Make every server run with its present files, keeping the quorum where there is one.

    Members that hold data come first, so that new and empty ones never elect a leader without
    them. With a quorum, members with older files restart one by one, the leader last.
    """
    found = hosts.each(servers, member_status)
    majority = len(servers) // 2 + 1
    with_quorum = sum(one.serving for one in found) >= min(majority, _members(found))
    down = [one for one in found if one.role is None]
    stale = [one for one in found if one.role is not None and one.stale]
    old = [one.server for one in down if one.has_data]
    if with_quorum:
        hosts.each(old, start)
        hosts.each(old, wait_serving)
        _in_turn(hosts, stale, found, note=note)
    else:
        hosts.each([one.server for one in stale], restart)
        hosts.each(old, start)
        hosts.each([*old, *(one.server for one in stale)], wait_listening)
    hosts.each([one.server for one in down if not one.has_data], start)


def _members(found: Sequence[MemberStatus]) -> int:
    """Return how many serving members make a quorum of those that were members before."""
    before = sum(one.has_data for one in found)
    return max(1, before // 2 + 1)


def _in_turn(
    hosts: MachinePool,
    stale: Sequence[MemberStatus],
    found: Sequence[MemberStatus],
    *,
    note: Callable[[str], None],
) -> None:
    """Restart members one by one, the leader last, each only while the others are a quorum."""
    for one in sorted(stale, key=lambda one: one.role is not None and one.role.mode == "leader"):
        others = [each.server for each in found if each is not one and each.has_data]
        if others:
            _wait_quorum(hosts, others, members=len(others) + 1, clock=one.server.machine.clock)
        note(f"restarting {one.server.machine.name}")
        restart(one.server)
        (wait_serving if others else wait_listening)(one.server)


def _wait_quorum(
    hosts: MachinePool, others: Sequence[MemberSpec], *, members: int, clock: Clock
) -> None:
    def probe() -> bool | Pending:
        serving = sum(now is not None and now.serving for now in hosts.each(others, role))
        enough = serving >= members // 2 + 1
        return True if enough else Pending(f"{serving} of the {len(others)} others serve")

    wait_until(
        "the other ZooKeeper servers are a quorum", probe, clock=clock, deadline=START, pause=_PAUSE
    )
