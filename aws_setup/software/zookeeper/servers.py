"""The ZooKeeper servers of an ensemble: status, configuration, start, stop, rolling restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aws_setup.engine.wait import Clock, Pending, wait_until
from aws_setup.software.daemons import start_daemon
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh.errors import RemoteError
from aws_setup.ssh.files import digest_of
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.survey import Question, Survey, facts_question

START_TIMEOUT = 120.0
"""Deadline from a server's start until it serves, in seconds; 5 are usual."""

_POLL_INTERVAL = 1.0

_FILES = (zk.ZOO_CFG, zk.ENVIRONMENT, zk.MY_ID, zk.PID_FILE, zk.EPOCH)
"""The files of a member whose facts are read."""

_HINT = f"check the newest file in {zk.HOME}/logs on that machine, then run the same command again"

Roles = Mapping[str, zk.ServerRole | None]
"""Machine name -> the role of its server, None while its port is closed."""


@dataclass(frozen=True)
class MemberSpec:
    """The desired state of one member: its machine and the content of its files."""

    machine: Machine
    files: dict[str, str]


@dataclass(frozen=True)
class MemberStatus:
    """The current state of one member.

    `outdated` are the files that are missing or different; `role` is None while the port is
    closed; `stale` is True if the server started before its files last changed; `has_data` is
    True if it has been a member before.
    """

    spec: MemberSpec
    outdated: tuple[str, ...]
    role: zk.ServerRole | None
    stale: bool
    has_data: bool

    @property
    def serving(self) -> bool:
        """Whether it is a working member."""
        return self.role is not None and self.role.serving


def member_questions() -> tuple[Question, ...]:
    """Return what `member_status` asks of a machine."""
    return (facts_question(*_FILES), Question(zk.SRVR))


def member_status(member: MemberSpec, survey: Survey | None = None) -> MemberStatus:
    """Inspect a machine's server; changes nothing.

    Args:
        member: the machine and the files that it should have.
        survey: answers that this run has read already, if they count.
    """
    survey = survey or Survey()
    facts = survey.facts(member.machine, *_FILES)
    outdated = tuple(
        path
        for path, content in member.files.items()
        if path not in facts or facts[path].digest != digest_of(content)
    )
    started = facts[zk.PID_FILE].changed if zk.PID_FILE in facts else 0.0
    stale = any(facts[path].changed > started for path in member.files if path in facts)
    has_data = zk.EPOCH in facts or zk.PID_FILE in facts
    role = surveyed_role(member.machine, survey)
    return MemberStatus(member, outdated, role, stale or bool(outdated), has_data)


def server_role(machine: Machine) -> zk.ServerRole | None:
    """Return the role that a machine's server reports; None while its port is closed."""
    return zk.parse_role(machine.query_port(zk.CLIENT_PORT, b"srvr"))


def surveyed_role(machine: Machine, survey: Survey) -> zk.ServerRole | None:
    """Return the role as a survey has read it; otherwise asks the machine's server."""
    known = survey.answer(machine, Question(zk.SRVR))
    return zk.parse_role(known.stdout.encode()) if known else server_role(machine)


def _role(member: MemberSpec) -> zk.ServerRole | None:
    return server_role(member.machine)


def configure(member: MemberSpec) -> bool:
    """Create the folders and write the files that differ; True when a file was written."""
    member.machine.run(["mkdir", "-p", zk.DATA, zk.LOGS], sudo=True, repeatable=True)
    written = [
        member.machine.write(path, content, sudo=True) for path, content in member.files.items()
    ]
    return any(written)


def start(member: MemberSpec) -> None:
    """Start a server; one that is running already is fine.

    After a reboot the process id in the PID file may belong to another process, from which
    zkServer.sh would conclude that ZooKeeper is running; and the file may have been deleted.
    """
    member.machine.run(zk.CORRECT_PID, sudo=True, repeatable=True)
    try:
        start_daemon(member.machine, [zk.SERVER, "start"])
    except RemoteError as error:
        if not any("already running" in line for line in error.lines):
            raise


def restart(member: MemberSpec) -> None:
    """Stop a server, wait until its port is closed, and start it."""
    stop_server(member.machine)
    start(member)


def stop_server(machine: Machine) -> None:
    """Stop a machine's server and return when its port is closed."""
    machine.run(zk.CORRECT_PID, sudo=True, repeatable=True)
    machine.run([zk.SERVER, "stop"], sudo=True)
    wait_until(
        f"ZooKeeper stops on {machine}",
        lambda: True if server_role(machine) is None else Pending("port still open"),
        clock=machine.clock,
        deadline=START_TIMEOUT,
        pause=_POLL_INTERVAL,
    )


def wait_listening(member: MemberSpec) -> None:
    """Return when the server answers, whether or not it has joined an ensemble."""
    wait_until(
        f"ZooKeeper answers on {member.machine}",
        lambda: Pending("port closed") if _role(member) is None else True,
        clock=member.machine.clock,
        deadline=START_TIMEOUT,
        pause=_POLL_INTERVAL,
        hint=_HINT,
    )


def wait_serving(member: MemberSpec) -> None:
    """Return when the server is a working member."""

    def probe() -> bool | Pending:
        role = _role(member)
        if role is None:
            return Pending("port closed")
        return True if role.serving else Pending("no leader")

    wait_until(
        f"ZooKeeper serves on {member.machine}",
        probe,
        clock=member.machine.clock,
        deadline=START_TIMEOUT,
        pause=_POLL_INTERVAL,
        hint=_HINT,
    )


def roles(pool: MachinePool, members: Sequence[MemberSpec]) -> dict[str, zk.ServerRole | None]:
    """Return the role of every member's server by machine name."""
    answers = pool.each(members, _role)
    return {member.machine.name: role for member, role in zip(members, answers, strict=True)}


def role_texts(found: Roles) -> dict[str, str]:
    """Return machine name -> role as text: 'down' while the port is closed."""
    return {
        name: "down" if role is None else role.mode or "no leader" for name, role in found.items()
    }


def is_complete(found: Roles) -> bool:
    """Tell whether there is one leader that all others follow, or one standalone server."""
    modes = sorted(role.mode if role else "" for role in found.values())
    return modes in (["standalone"], ["follower"] * (len(modes) - 1) + ["leader"])


def wait_complete(
    pool: MachinePool, members: Sequence[MemberSpec], *, clock: Clock, note: Callable[[str], None]
) -> Roles:
    """Return the roles when there is one leader and every other member follows it."""

    def probe() -> Roles | Pending:
        found = roles(pool, members)
        text = ", ".join(f"{name} {role}" for name, role in role_texts(found).items())
        return found if is_complete(found) else Pending(text)

    return wait_until(
        "the ZooKeeper ensemble has one leader and all others follow",
        probe,
        clock=clock,
        deadline=START_TIMEOUT,
        pause=_POLL_INTERVAL,
        note=note,
        hint=f"check the newest file in {zk.HOME}/logs on the machine that does not follow",
    )


def start_and_restart(
    pool: MachinePool, members: Sequence[MemberSpec], *, note: Callable[[str], None]
) -> None:
    """Start the servers that are down and restart those with older files.

    Members with data start first, so that new, empty members never elect a leader without them.
    With a quorum, stale members restart one at a time, the leader last.
    """
    found = pool.each(members, member_status)
    majority = len(members) // 2 + 1
    with_quorum = sum(status.serving for status in found) >= min(majority, _earlier_quorum(found))
    down = [status for status in found if status.role is None]
    stale = [status for status in found if status.role is not None and status.stale]
    with_data = [status.spec for status in down if status.has_data]
    if with_quorum:
        pool.each(with_data, start)
        pool.each(with_data, wait_serving)
        _rolling_restart(pool, stale, found, note=note)
    else:
        pool.each([status.spec for status in stale], restart)
        pool.each(with_data, start)
        pool.each([*with_data, *(status.spec for status in stale)], wait_listening)
    pool.each([status.spec for status in down if not status.has_data], start)


def _earlier_quorum(found: Sequence[MemberStatus]) -> int:
    """Return the quorum of those that were members before."""
    return max(1, sum(status.has_data for status in found) // 2 + 1)


def _rolling_restart(
    pool: MachinePool,
    stale: Sequence[MemberStatus],
    found: Sequence[MemberStatus],
    *,
    note: Callable[[str], None],
) -> None:
    """Restart members one at a time, the leader last, each only while the others are a quorum."""
    for status in sorted(stale, key=lambda s: s.role is not None and s.role.mode == "leader"):
        machine = status.spec.machine
        others = [other.spec for other in found if other is not status and other.has_data]
        if others:
            _wait_quorum(pool, others, size=len(others) + 1, clock=machine.clock)
        note(f"restarting {machine.name}")
        restart(status.spec)
        (wait_serving if others else wait_listening)(status.spec)


def _wait_quorum(
    pool: MachinePool, others: Sequence[MemberSpec], *, size: int, clock: Clock
) -> None:
    """Return when enough of the others serve for a quorum of an ensemble of `size` servers."""

    def probe() -> bool | Pending:
        serving = sum(role is not None and role.serving for role in pool.each(others, _role))
        enough = serving >= size // 2 + 1
        return True if enough else Pending(f"{serving} serving, {size // 2 + 1} needed")

    wait_until(
        "the other ZooKeeper servers form a quorum",
        probe,
        clock=clock,
        deadline=START_TIMEOUT,
        pause=_POLL_INTERVAL,
    )
