"""A run leaves nothing for the next one to change, and waits for nothing that cannot come."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.engine.plan import Row, needed_by
from aws_setup.engine.step import Action
from aws_setup.preflight.policy_document import policy
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.vms.ec2_sync import sync_vms
from aws_setup.rehearsal.vms.fake_shell import SCRIPTS, CommandResult, FakeShell
from aws_setup.rehearsal.vms.inprocess_ssh import InProcessVm
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.ssh import connection, pool
from aws_setup.ssh.survey import SURVEY
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.tables.software import software_steps
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client, refused
from tests.support.scripts import prepare, run

survey_of = SCRIPTS[SURVEY]

SOFTWARE = {
    "start_zookeeper_cluster": True,
    "populate_zookeeper_cluster": True,
    "configure_clients": True,
    "num_namenode_deployments": 1,
    "create_eks_cluster": False,
}


def test_machines_of_a_scaling_group_are_configured_by_the_run_that_launches_them(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InProcessVmPool(tmp_path / "vms") as machines, sync_vms(cloud, machines):
        folder = prepare(
            tmp_path / "work",
            autoscaling_group_desired_capacity=2,
            sftp_ssh_key=True,
            ssh_config_path=str(machines.ssh_config),
            **SOFTWARE,
        )
        first = run(SCRIPT, folder, "--yes", "--json")
        assert first.exit_code == 0, first.document["problems"]
        logins = len(machines.transports)
        before = {name: asked(vm) for name, vm in machines.vms.items()}
        again = run(SCRIPT, folder, "--yes", "--json")
        after = {name: asked(vm) for name, vm in machines.vms.items()}
        monkeypatch.setitem(SCRIPTS, SURVEY, cut_off)
        alone = run(SCRIPT, folder, "--yes", "--json")
    requests = sorted(after[name] - before[name] for name in machines.vms)
    assert len(machines.transports) - logins == 2 * len(machines.vms) == 32, "one connection each"
    assert requests == [1] * 16, "one command for each: files, server's state, authorized keys"
    steps = [*again.document["steps"], *alone.document["steps"]]
    assert [step for step in steps if step["action"] != "exists"] == []


def cut_off(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    """Answer a survey as a connection does that ends in its middle."""
    whole = survey_of(machine, arguments, stdin)
    return CommandResult(out=whole.out[: len(whole.out) // 2])


def asked(vm: InProcessVm) -> int:
    """Return how many commands and tunnels a machine was asked for."""
    return vm.commands + vm.tunnels


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the attempts to connect to each machine; one takes half a second at most."""
    counts = Counter[str]()

    def counted(*words: Any, alias: str, **options: Any) -> Any:
        counts[alias] += 1
        return connection.connect(*words, alias=alias, **options)

    monkeypatch.setattr(pool, "connect", counted)
    monkeypatch.setattr(pool, "STAGE_TIMEOUT", 0.5)
    return counts


def test_a_machine_that_does_not_answer_is_tried_once_while_steps_are_examined(
    cloud: RehearsalCloud, tmp_path: Path, attempts: Counter[str]
) -> None:
    with InProcessVmPool(tmp_path / "vms") as machines, sync_vms(cloud, machines):
        known = {"sftp_ssh_key": True, "ssh_config_path": str(machines.ssh_config)}
        folder = prepare(tmp_path / "work", **known, **SOFTWARE)
        assert run(SCRIPT, folder, "--yes").exit_code == 0
        ec2 = client("ec2")
        (group,) = ec2.describe_security_groups(
            Filters=[{"Name": "tag:lambda-fs:step", "Values": ["security group"]}]
        )["SecurityGroups"]
        for_ssh = [rule for rule in group["IpPermissions"] if rule.get("FromPort") == 22]
        ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=for_ssh)
        attempts.clear()
        ended = run(SCRIPT, folder, "status")
    assert "cannot be reached (port)" in ended.stdout
    assert attempts == dict.fromkeys(machines.vms, 1)


def test_without_a_route_no_machine_is_tried_before_there_is_one(
    cloud: RehearsalCloud, tmp_path: Path, attempts: Counter[str]
) -> None:
    with InProcessVmPool(tmp_path / "vms") as machines, sync_vms(cloud, machines):
        folder = prepare(tmp_path / "work", ssh_config_path=str(machines.ssh_config), **SOFTWARE)
        assert run(SCRIPT, folder, "--yes").exit_code == 0
        ec2 = client("ec2")
        (table,) = ec2.describe_route_tables(
            Filters=[{"Name": "tag:lambda-fs:step", "Values": ["public route table"]}]
        )["RouteTables"]
        ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
        attempts.clear()
        status = run(SCRIPT, folder, "status")
        assert "there is no public route yet" in status.stdout
        assert attempts == {}
        assert run(SCRIPT, folder, "--yes").exit_code == 0
    assert set(attempts) == set(machines.vms)


@pytest.mark.parametrize("needed", ["public route", "public subnet 2 routing", "internet gateway"])
def test_ssh_is_not_waited_for_without_the_way_to_the_machines(needed: str) -> None:
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
    steps = [*infrastructure_steps(config), *software_steps(config)]
    assert needed in needed_by([Row(step, Action.CREATE) for step in steps], "ssh")


def test_the_published_policy_allows_tags_of_the_deployments_groups_only(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work")
    assert (
        run(SCRIPT, folder, "--yes", "--only", "auto-scaling group hopsfs_clients_ags").exit_code
        == 0
    )
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
    cloud.settings.policies = [policy(config, account=ACCOUNT)]
    scaling = client("autoscaling")
    tag = {
        "ResourceType": "auto-scaling-group",
        "Key": "k",
        "Value": "v",
        "PropagateAtLaunch": False,
    }
    scaling.create_or_update_tags(Tags=[{**tag, "ResourceId": "hopsfs_clients_ags"}])
    other = [{**tag, "ResourceId": "a-colleagues"}]
    assert refused(scaling.create_or_update_tags, Tags=other) == "AccessDenied"
    assert refused(scaling.delete_tags, Tags=other) == "AccessDenied"
