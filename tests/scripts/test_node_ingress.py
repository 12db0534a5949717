"""Traffic from the EKS nodes to the VMs: its rules follow the cluster from creation to deletion.

The cases are those in which the cluster and the security group of the VMs are not created and
deleted together: by hand, by the other script, by two runs at once, in an existing VPC.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.eks.active_cluster import ActiveCluster
from aws_setup.engine.plan import Row, inspect_all
from aws_setup.engine.runner import apply, remove
from aws_setup.engine.step import Action
from aws_setup.errors import SetupError
from aws_setup.infrastructure.ingress_rules import MYSQLD, SSH, ZOOKEEPER, permission
from aws_setup.infrastructure.node_ingress import NodeIngress
from aws_setup.infrastructure.security_group import authorize, revoke
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.tables.cluster import cluster_steps
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.tables.needs import restrict_needs
from create_aws_infrastructure import SCRIPT
from tests.infrastructure.test_step_contract import context
from tests.support.aws import client
from tests.support.managed_groups import revoke_all, rules_of_aws
from tests.support.scripts import prepare, run, write_config
from tests.support.users_vpc import users_vpc

CLUSTER = "lambda-fs-eks-cluster"
ONLY = ("--only", "node ingress")
PORTS = {
    ("tcp", 1186, 1186),
    ("tcp", 11860, 11860),
    ("tcp", 3306, 3306),
    ("tcp", 2181, 2181),
    ("tcp", 6000, 6999),
    ("udp", 7000, 7999),
}


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def cluster_group(name: str = CLUSTER) -> str:
    """Return the cluster's own security group."""
    network = client("eks").describe_cluster(name=name)["cluster"]["resourcesVpcConfig"]
    return str(network["clusterSecurityGroupId"])


def vm_group(deployment: str = "lambda-fs") -> Any:
    """Return the security group of a deployment's VMs."""
    filters = [
        {"Name": "tag:lambda-fs:deployment", "Values": [deployment]},
        {"Name": "tag:lambda-fs:step", "Values": ["security group"]},
    ]
    return client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]


def allowed_from(group_id: str, deployment: str = "lambda-fs") -> set[tuple[str, int, int]]:
    """Return the ports of the VMs that a group may connect to."""
    return {
        (rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
        for rule in vm_group(deployment)["IpPermissions"]
        if rule["IpProtocol"] != "-1"
        for pair in rule["UserIdGroupPairs"]
        if pair["GroupId"] == group_id
    }


def group_ids() -> set[str]:
    """Return the ids of all security groups."""
    listed = client("ec2").describe_security_groups()["SecurityGroups"]
    return {str(group["GroupId"]) for group in listed}


def action_of(folder: Path, *arguments: str) -> str:
    """Return the action of the step in a run."""
    ended = run(SCRIPT, folder, *arguments, "--json", *ONLY)
    steps = {step["name"]: step for step in ended.document["steps"]}
    return str(steps["node ingress"]["action"])


def delete_cluster_by_hand() -> None:
    eks = client("eks")
    eks.delete_cluster(name=CLUSTER)
    eks.get_waiter("cluster_deleted").wait(name=CLUSTER, WaiterConfig={"Delay": 0})


def test_the_rules_name_the_clusters_group_and_a_second_create_changes_nothing(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert allowed_from(cluster_group()) == PORTS
    filters = [{"Name": "group-id", "Values": [vm_group()["GroupId"]]}]
    rules = client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    steps = [tag["Value"] for rule in rules for tag in rule["Tags"] if tag["Key"].endswith(":step")]
    assert steps.count("node ingress") == len(PORTS)
    assert len(cloud.calls.named("AuthorizeSecurityGroupIngress")) == 2, "one for each step"
    before, writes = len(cloud.calls), len(cloud.calls.writes())
    assert action_of(folder, "--yes") == "exists"
    assert len(cloud.calls.writes()) == writes
    described = [call.action for call in cloud.calls[before:]]
    groups = described.count("DescribeSecurityGroups")
    assert groups == 2, "once the deployment's and the cluster's, once the VPC's default group"
    assert described.count("DescribeCluster") == 1
    rules = rules_of_aws()
    revoke_all()
    assert action_of(folder, "--yes") == "update"
    assert rules_of_aws() == rules, "those that EKS has made, too"


def test_destroy_revokes_the_rules_before_it_deletes_the_cluster(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    of_cluster = cluster_group()
    assert run(SCRIPT, folder, "destroy", "--yes", "--only", "eks cluster").exit_code == 0
    actions = [call.action for call in cloud.calls]
    last_revoked = len(actions) - actions[::-1].index("RevokeSecurityGroupIngress")
    assert last_revoked <= actions.index("DeleteCluster")
    assert of_cluster not in group_ids()
    assert allowed_from(of_cluster) == set()


def test_the_rules_of_a_recreated_cluster_replace_those_of_the_deleted_one(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    old = cluster_group()
    delete_cluster_by_hand()
    assert old in group_ids(), "EKS leaves a group behind that a rule names"
    assert action_of(folder, "plan") == "update"
    assert action_of(folder, "--yes") == "update"
    assert allowed_from(cluster_group()) == PORTS
    assert allowed_from(old) == set()
    assert action_of(folder, "plan") == "exists"


def test_destroy_after_the_cluster_was_deleted_by_hand_leaves_nothing(
    cloud: RehearsalCloud, folder: Path
) -> None:
    before = {(resource.kind, resource.id) for resource in cloud.snapshot()}
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    delete_cluster_by_hand()
    gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert gone.exit_code == 0, gone.document["problems"]
    assert {(resource.kind, resource.id) for resource in cloud.snapshot()} == before


def test_rules_of_a_user_are_sufficient_and_never_revoked(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "eks cluster").exit_code == 0
    vms, nodes = vm_group()["GroupId"], cluster_group()
    source = {"UserIdGroupPairs": [{"GroupId": nodes}]}
    users = {"IpProtocol": "tcp", "FromPort": 1000, "ToPort": 9000, **source}
    client("ec2").authorize_security_group_ingress(GroupId=vms, IpPermissions=[users])
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert allowed_from(nodes) == {("tcp", 1000, 9000), ("tcp", 11860, 11860), ("udp", 7000, 7999)}
    assert run(SCRIPT, folder, "destroy", "--yes", *ONLY).exit_code == 0
    assert allowed_from(nodes) == {("tcp", 1000, 9000)}


def test_two_runs_at_once_add_each_rule_once(cloud: RehearsalCloud, folder: Path) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "eks cluster").exit_code == 0
    with context(folder) as first, context(folder) as second:
        for ctx in (first, second):
            inspect_all(infrastructure_steps(ctx.config), ctx, stop=lambda: None)
            ctx.inventory.all("security groups")
        step = NodeIngress()
        assert step.create(first).ready
        # The second run inspected the group before the first one added the rules.
        assert step.find(second) is None
        assert step.create(second).ready
        assert step.find(first) is None, "the inventory is older than the rules"
        step.delete(second, step.create(second))
        step.delete(first, step.create(second))
    assert allowed_from(cluster_group()) == set()


def test_a_run_that_does_not_wait_for_the_cluster_leaves_the_rules_to_the_next(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "eks cluster").exit_code == 0
    with context(folder) as ctx:
        (row,) = [
            row
            for row in inspect_all(infrastructure_steps(ctx.config), ctx, stop=lambda: None)
            if row.step.name == "node ingress"
        ]
        assert row.action is Action.CREATE
        active = ctx.of("eks cluster")
        ctx.found["eks cluster"] = replace(active, facts={**active.facts, "security_group": None})
        ctx.patient = False
        outcome = apply(
            [replace(row, step=NodeIngress(needs=()))], ctx, tell=lambda _: None, stop=lambda: None
        )
        assert outcome.failed == {}
        assert not ctx.of("node ingress").ready
        assert allowed_from(cluster_group()) == set()
        with pytest.raises(SetupError, match="no security group"):
            NodeIngress().wait(ctx, ctx.of("node ingress"))
        ctx.found["eks cluster"] = active
        assert NodeIngress().wait(ctx, ctx.of("node ingress")).ready
    assert allowed_from(cluster_group()) == PORTS


def cluster_table(config: Any) -> Sequence[Step]:
    """Return the second script's first two steps."""
    every = [ActiveCluster, NodeIngress]
    return restrict_needs([step for step in cluster_steps(config) if type(step) in every])


def of_second_script(folder: Path, *, delete: bool = False) -> Row:
    """Create or delete what the second script's table says about the rules; return the row."""
    with context(folder) as ctx:
        ctx.owned_only = delete
        rows = inspect_all(cluster_table(ctx.config), ctx, stop=lambda: None)
        act = remove if delete else apply
        outcome = act(rows, ctx, tell=lambda _: None, stop=lambda: None)
    assert outcome.failed == {}
    return rows[1]


def test_the_second_script_repairs_and_removes_the_same_rules(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert of_second_script(folder).action is Action.EXISTS
    of_second_script(folder, delete=True)
    assert allowed_from(cluster_group()) == set()
    assert of_second_script(folder).action is Action.CREATE
    assert allowed_from(cluster_group()) == PORTS
    assert action_of(folder, "plan") == "exists"


def test_the_second_script_skips_it_without_the_vms_group(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    vms = vm_group()["GroupId"]
    client("ec2").delete_tags(Resources=[vms], Tags=[{"Key": "lambda-fs:deployment"}])
    row = of_second_script(folder)
    assert row.action is Action.EXISTS
    assert row.found is not None
    assert "lambda-fs-security-group" in row.found.status


def test_two_deployments_in_one_vpc_name_their_own_clusters(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    vpc = users_vpc()
    names = {"first": "zoo", "second": "park"}
    folders = {
        name: prepare(
            tmp_path / name,
            create_vpc=False,
            vpc_id=vpc,
            deployment_name=name,
            eks_cluster_name=cluster,
            eks_iam_role_name=f"{name}-role",
            security_group_name=f"{name}-group",
            zookeeper_private_ips=[f"10.0.8.{last + number}" for number in range(3)],
            ndb_manager_private_ip=f"10.0.6.{last}",
        )
        for last, (name, cluster) in zip((10, 20), names.items(), strict=True)
    }
    before = group_ids()
    for folder in folders.values():
        assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0
    assert allowed_from(cluster_group("zoo"), "first") == PORTS
    assert allowed_from(cluster_group("park"), "second") == PORTS
    assert allowed_from(cluster_group("zoo"), "second") == set()
    assert run(SCRIPT, folders["first"], "destroy", "--yes").exit_code == 0
    assert allowed_from(cluster_group("park"), "second") == PORTS
    assert action_of(folders["second"], "plan") == "exists"
    assert run(SCRIPT, folders["second"], "destroy", "--yes").exit_code == 0
    assert group_ids() == before


def test_an_existing_group_that_lacks_rules_is_unchanged_and_the_commands_are_named(
    cloud: RehearsalCloud, folder: Path
) -> None:
    vpc, ec2 = users_vpc(), client("ec2")
    group = ec2.create_security_group(
        GroupName="lambda-fs-security-group", Description="existing", VpcId=vpc
    )["GroupId"]
    write_config(folder, create_vpc=False, vpc_id=vpc)
    refused = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert refused.exit_code == 2
    obey(refused.document["problems"], group)
    failed = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert failed.exit_code == 1
    assert client("eks").describe_cluster(name=CLUSTER)["cluster"]["status"] == "ACTIVE"
    assert rules_of(group) == {("-1", None, None), ("tcp", 22, 22)}
    again = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert again.exit_code == 2
    assert again.document["problems"][0]["hint"] == failed.document["problems"][0]["hint"]
    obey(again.document["problems"], group)
    assert rules_of(group) - {("-1", None, None), ("tcp", 22, 22)} == PORTS
    assert action_of(folder, "--yes") == "exists"
    assert of_second_script(folder).action is Action.EXISTS


def obey(problems: Sequence[dict[str, str]], group: str) -> None:
    """Do what the fix of a problem says."""
    for problem in problems:
        words = shlex.split(problem["hint"].split("`")[1])
        assert words[:5] == [
            *("aws", "ec2", "authorize-security-group-ingress", "--group-id"),
            group,
        ]
        permissions = json.loads(words[6])
        client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)


def rules_of(group_id: str) -> set[tuple[str, int | None, int | None]]:
    """Return protocol and ports of every inbound rule of a group."""
    (group,) = client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    return {
        (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"))
        for rule in group["IpPermissions"]
    }


def test_a_full_group_is_refused_before_anything_is_changed(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "eks cluster").exit_code == 0
    by_hand = [permission(SSH, f"198.51.100.{number}/32") for number in range(53)]
    group = str(vm_group()["GroupId"])
    client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=by_hand)
    writes = len(cloud.calls.writes())
    refused = run(SCRIPT, folder, "--yes", "--json", *ONLY)
    assert refused.exit_code == 2
    assert "L-0EA8095F" in str(refused.document["problems"])
    assert len(cloud.calls.writes()) == writes
    client("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=by_hand[:1])
    assert run(SCRIPT, folder, "--yes", *ONLY).exit_code == 0


def test_rules_of_which_one_exists_already_are_added_one_by_one(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    rules = [permission(ports, "10.0.0.0/16") for ports in (SSH, ZOOKEEPER, MYSQLD)]
    ctx: Any = SimpleNamespace(
        aws=SimpleNamespace(ec2=ec2), config=Config(ssh_keypair_name="k", ssh_key_path="k")
    )
    authorize(ctx, "security group", group, rules[1:2])
    authorize(ctx, "security group", group, rules)
    [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert len(found["IpPermissions"]) == 3
    revoke(ctx, group, rules[1:2])
    revoke(ctx, group, rules)
    [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert found["IpPermissions"] == []
