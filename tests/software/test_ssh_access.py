"""The SSH step: reachable machines, and the known hosts on this computer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import paramiko
import pytest

from aws_setup.aws.inventory import Inventory
from aws_setup.aws.tags import GROUP_TAG
from aws_setup.config.paths import known_hosts_path
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import SetupError
from aws_setup.software.ssh_access import KnownHostsFile, SshAccess, is_reachable, unless_gone
from aws_setup.ssh.errors import ConnectionLost, ConnectStage, HostKeyError, Unreachable
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.survey import Question
from tests.support.fake_machines import FakeMachine, FakePool, fake_context
from tests.support.machines import make_key


def machine(error: Exception | None) -> Machine:
    def connect(_machine: Machine, _reconnect: bool) -> paramiko.Transport:
        if error:
            raise error
        return paramiko.Transport.__new__(paramiko.Transport)

    return Machine("i-0", "203.0.113.1", connect=connect, clock=SystemClock())


def test_an_unreachable_machine_is_not_yet_reachable_and_a_changed_host_key_is_an_error() -> None:
    assert is_reachable(machine(None))
    assert not is_reachable(machine(Unreachable("vm", ConnectStage.PORT, "it refuses", "wait")))
    changed = HostKeyError("vm", shown="A", known="B", file="known_hosts", alias="i-0")
    with pytest.raises(HostKeyError):
        is_reachable(machine(changed))


def test_only_one_attempt_is_made_to_reach_a_machine_whose_connection_was_lost() -> None:
    waits: list[bool] = []

    def connect(_machine: Machine, wait: bool) -> paramiko.Transport:
        waits.append(wait)
        return paramiko.Transport.__new__(_Lost)

    found = Machine("i-0", "203.0.113.1", connect=connect, clock=SystemClock())
    assert is_reachable(found)
    assert is_reachable(found)
    assert waits == [False, False]
    found.connect()
    assert waits[2:] == [True]


class _Lost(paramiko.Transport):
    def is_active(self) -> bool:
        """Return that the connection has ended."""
        return False


@pytest.mark.parametrize(
    "error",
    [Unreachable("vm", ConnectStage.PORT, "it refuses", "wait"), ConnectionLost("vm", "cat")],
)
def test_an_auto_scaled_machine_that_has_gone_is_noted(error: SetupError) -> None:
    notes: list[str] = []

    def work(_: Machine) -> str:
        raise error

    assert unless_gone(machine(None), work, note=notes.append) is None
    assert notes == [f"i-0 does not answer any more: {error.problems[0].why}"]
    changed = HostKeyError("vm", shown="A", known="B", file="known_hosts", alias="i-0")
    with pytest.raises(HostKeyError):
        unless_gone(machine(changed), lambda m: m.connect(), note=notes.append)


def test_before_any_machine_exists_the_step_finds_nothing(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    ctx = fake_context(tmp_path, {})
    assert SshAccess(FakePool(ctx.config, []), needs=("zookeeper",)).find(ctx) is None


class Refusing(FakeMachine):
    """A machine to which SSH fails at a stage, or works."""

    def __init__(self, name: str, stage: ConnectStage | None) -> None:
        super().__init__(name)
        self.stage = stage

    def connect(self, *, wait: bool = True) -> paramiko.Transport:
        """Fail at the stage, if any."""
        if self.stage:
            raise Unreachable(self.name, self.stage, "it fails", "mend it")
        return paramiko.Transport.__new__(paramiko.Transport)


@pytest.mark.parametrize(
    ("stage", "key", "conflicts"),
    [
        (ConnectStage.KEY, "old", True),
        (ConnectStage.KEY, "key", False),
        (ConnectStage.KEY, None, False),
        (ConnectStage.PORT, "old", False),
        (None, "old", False),
    ],
    ids=["refused", "the same pair", "not in EC2", "not reached", "let in by hand"],
)
def test_a_machine_that_refuses_the_key_and_has_another_key_pair_is_a_conflict(
    tmp_path: Path, stage: ConnectStage | None, key: str | None, conflicts: bool
) -> None:
    make_key(tmp_path / "key")
    machines = [Refusing("a", stage), Refusing("b", stage)]
    ctx = fake_context(tmp_path, {"zookeeper": list(machines)})
    listed = [
        {"InstanceId": machine.id, "State": {"Name": "running"}} | ({"KeyName": key} if key else {})
        for machine in machines
    ]
    ctx.inventory = cast(Inventory, SimpleNamespace(all=lambda _kind: listed))
    found = SshAccess(FakePool(ctx.config, machines), needs=("zookeeper",)).find(ctx)
    assert found
    assert [str(drift) for drift in found.drift] == (
        ["key pair of a, b: old -> key"] if conflicts else []
    )
    for drift in found.drift:
        assert drift.fix.startswith("restore ssh_keypair_name: old with its ssh_key_path; or let")
        assert f"ssh-keygen -y -f {ctx.config.ssh_key_path} | ssh -i KEY ubuntu@" in drift.fix


def test_auto_scaled_machines_with_another_key_pair_are_named_and_refuse_no_run(
    tmp_path: Path,
) -> None:
    make_key(tmp_path / "key")
    answers, scaled = Refusing("a", None), Refusing("b", ConnectStage.KEY)
    ctx = fake_context(tmp_path, {"zookeeper": [answers]})
    tags = {GROUP_TAG: "group", "Component": "LambdaFSClientVM"}
    listed = [
        {
            "InstanceId": scaled.id,
            "KeyName": "old",
            "State": {"Name": "running"},
            "PublicIpAddress": "203.0.113.9",
            "PrivateIpAddress": "10.0.0.9",
            "LaunchTime": datetime(2026, 1, 1, tzinfo=UTC),
            "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
        }
    ]
    ctx.inventory = cast(Inventory, SimpleNamespace(all=lambda _kind: listed))
    pool = FakePool(ctx.config, [answers, scaled])
    step = SshAccess(pool, needs=("zookeeper",), questions=lambda _step, _index: [Question("true")])
    found = step.find(ctx)
    assert found
    assert found.drift == ()
    (warning,) = ctx.warnings.values()
    assert warning.what == "not configured: b"
    assert "with the key pair old and refuse that of key" in warning.why


def test_destroy_deletes_the_known_hosts(tmp_path: Path) -> None:
    ctx = fake_context(tmp_path, {})
    step, path = KnownHostsFile(), known_hosts_path(ctx.config)
    assert step.find(ctx) is None
    path.parent.mkdir()
    path.write_text("i-0 ssh-ed25519 AAAA\n")
    found = step.find(ctx)
    assert found
    assert found.id == str(path)
    step.delete(ctx, found)
    step.delete(ctx, found)
    assert not path.exists()
