"""Which machines the software steps work on, and their console outputs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.config.ssh_switches import SSH_SWITCHES, needs_ssh
from aws_setup.software.machines import (
    any_stopped,
    console_output,
    machine_steps,
    machines_exist,
    machines_of,
    zookeeper_machines,
)
from aws_setup.ssh.pool import MachinePool
from tests.support.fake_machines import FakeMachine, FakePool, fake_context


def config(**keys: Any) -> Config:
    return Config(ssh_keypair_name="key", ssh_key_path="/key", **keys)


@pytest.mark.parametrize("switch", SSH_SWITCHES)
def test_each_switch_alone_needs_ssh(switch: str) -> None:
    off = dict.fromkeys(SSH_SWITCHES, False)
    assert not needs_ssh(config(**off))
    assert needs_ssh(config(**off | {switch: True}))


def test_the_steps_of_machines_follow_the_configuration() -> None:
    assert machine_steps(config()) == (
        "ndb manager",
        "ndb data nodes 1",
        "ndb data nodes 2",
        "zookeeper",
        "lambda-fs client",
        "hopsfs client",
    )
    assert "zookeeper" not in machine_steps(config(create_zookeeper_vms=False))


def test_machines_are_those_of_the_steps_that_exist(tmp_path: Path) -> None:
    machines = [FakeMachine("a"), FakeMachine("b")]
    ctx = fake_context(tmp_path, {"zookeeper": machines})
    pool = FakePool(ctx.config, machines)
    assert machines_of(ctx, pool, "zookeeper", "ndb manager") == machines
    assert machines_of(ctx, pool, "ndb manager") == []
    assert machines_exist(ctx, ["zookeeper"])
    assert not machines_exist(ctx, ["zookeeper", "ndb manager"])
    assert not any_stopped(machines)
    machines[1].address = ""
    assert any_stopped(machines)


def test_existing_zookeeper_machines_have_their_address_as_id(tmp_path: Path) -> None:
    keys = {"create_zookeeper_vms": False, "zk_node_public_IPs": ["203.0.113.7"]}
    ctx = fake_context(tmp_path, {}, **keys)
    (machine,) = zookeeper_machines(ctx, MachinePool(ctx.config))
    assert (machine.id, machine.address) == ("203.0.113.7", "203.0.113.7")


def console(*answers: str | dict[str, str]) -> tuple[Aws, list[dict[str, Any]]]:
    """Return an EC2 with these answers, of which a text is an error code, and its calls."""
    calls: list[dict[str, Any]] = []
    left = list(answers)

    def get_console_output(**parameters: Any) -> dict[str, str]:
        calls.append(parameters)
        answer = left.pop(0)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer}}, "GetConsoleOutput")
        return answer

    ec2 = SimpleNamespace(get_console_output=get_console_output)
    return cast(Aws, SimpleNamespace(ec2=ec2, shared={})), calls


@pytest.mark.parametrize(
    ("answers", "output", "calls"),
    [
        ([{"Output": "keys"}], "keys", 1),
        ([{}], "", 1),
        (["UnsupportedOperation", {"Output": "keys"}], "keys", 2),
        (["UnauthorizedOperation", "UnauthorizedOperation"], None, 2),
    ],
)
def test_the_console_output_is_read_where_ec2_has_it(
    answers: list[str | dict[str, str]], output: str | None, calls: int
) -> None:
    aws, made = console(*answers)
    assert console_output(aws, "i-0") == output
    assert len(made) == calls
    assert made[0]["Latest"] is True


def test_an_address_is_not_sent_to_ec2_and_other_errors_are_raised() -> None:
    aws, made = console("InvalidInstanceID.NotFound")
    assert console_output(aws, "203.0.113.7") is None
    assert made == []
    with pytest.raises(ClientError):
        console_output(aws, "i-0")
