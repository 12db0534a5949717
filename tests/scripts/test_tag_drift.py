"""Tags removed or changed by hand: plan names each, create writes ours again, others' are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

pytestmark = pytest.mark.kind("A2")

OWNER, STEP = "lambda-fs:deployment", "lambda-fs:step"
CONFIGURED = {"tags": {"CostCentre": "42"}}

OF_EC2 = {
    "vpc": ("describe_vpcs", "Vpcs", "VpcId"),
    "public subnet 1": ("describe_subnets", "Subnets", "SubnetId"),
    "internet gateway": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "elastic ip": ("describe_addresses", "Addresses", "AllocationId"),
    "nat gateway": ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    "public route table": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "private route table": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "security group": ("describe_security_groups", "SecurityGroups", "GroupId"),
    "launch template hopsfs_clients": (
        "describe_launch_templates",
        "LaunchTemplates",
        "LaunchTemplateId",
    ),
}
"""Step -> how its resource is listed."""


def resource(step: str) -> str:
    """Return the id of a step's resource, by its tag."""
    operation, key, field = OF_EC2[step]
    filters = [{"Name": f"tag:{STEP}", "Values": [step]}]
    (item,) = getattr(client("ec2"), operation)(Filters=filters)[key]
    return str(item[field])


def machines(step: str) -> list[str]:
    filters = [
        {"Name": f"tag:{STEP}", "Values": [step]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    answer = client("ec2").describe_instances(Filters=filters)
    return [item["InstanceId"] for group in answer["Reservations"] for item in group["Instances"]]


def write(ids: Sequence[str], **tags: str) -> None:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    client("ec2").create_tags(Resources=list(ids), Tags=pairs)


def remove(ids: Sequence[str], *keys: str) -> None:
    client("ec2").delete_tags(Resources=list(ids), Tags=[{"Key": key} for key in keys])


def schedules_arn() -> str:
    return str(client("scheduler").get_schedule_group(Name="lambda-fs-deadline")["Arn"])


def untag_schedules(key: str) -> None:
    client("scheduler").untag_resource(ResourceArn=schedules_arn(), TagKeys=[key])


def planned(folder: Path) -> dict[str, Any]:
    """Return step -> row of what a plan would change."""
    ended = run(SCRIPT, folder, "plan", "--json")
    assert ended.exit_code == 0, ended.stdout
    rows = ended.document["steps"]
    return {row["name"]: row for row in rows if row["action"] != "exists"}


def everything(cloud: RehearsalCloud) -> list[tuple[str, str]]:
    return sorted((it.kind, it.id) for it in cloud.snapshot() if it.kind != "parameter")


def tags_by_id(cloud: RehearsalCloud) -> dict[str, dict[str, str]]:
    return {item.id: dict(item.tags) for item in cloud.snapshot()}


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    folder = prepare(tmp_path / "work", **CONFIGURED)
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    return folder


def test_changed_and_missing_tags_are_written_again_and_others_are_kept(
    cloud: RehearsalCloud, folder: Path
) -> None:
    before, made = tags_by_id(cloud), everything(cloud)
    ids = {step: resource(step) for step in OF_EC2} | {"zookeeper": machines("zookeeper")[0]}
    for number, each in enumerate(ids.values()):
        remove([each], ("Project", "CostCentre")[number % 2])
        write([each], Team="storage", Project="mine") if number % 2 else write([each], Team="x")
    scaling, name = client("autoscaling"), "hopsfs_clients_ags"
    of_group = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
    scaling.delete_tags(Tags=[{**of_group, "Key": "CostCentre"}])
    arn = client("eks").describe_cluster(name="lambda-fs-eks-cluster")["cluster"]["arn"]
    client("eks").tag_resource(resourceArn=arn, tags={"Name": "mine", "Team": "storage"})
    roles = [item["RoleName"] for item in client("iam").list_roles()["Roles"]]
    role = next(item for item in roles if "cluster" in item.lower())
    client("iam").untag_role(RoleName=role, TagKeys=["CostCentre"])
    client("iam").untag_role(RoleName="lambda-fs-deadline", TagKeys=["CostCentre"])
    untag_schedules("CostCentre")
    roles_too = {"eks cluster role", "deadline role", "deadline"}
    changed = {*ids, f"auto-scaling group {name}", "eks cluster", *roles_too}
    rows = planned(folder)
    assert {step: row["action"] for step, row in rows.items()} == dict.fromkeys(changed, "update")
    text = run(SCRIPT, folder, "plan").stdout
    assert "Project none -> Project LambdaFS (kept: Team)" in text
    assert "Project mine -> CostCentre 42, Project LambdaFS (kept: Team)" in text
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    assert planned(folder) == {}
    assert everything(cloud) == made
    after = tags_by_id(cloud)
    for each in ids.values():
        assert after[each].items() >= before[each].items()
        assert after[each]["Team"]
    (copy,) = folder.glob("**/*.eks-cluster.before.yaml")
    assert "mine" in copy.read_text()


@pytest.mark.parametrize("key", [OWNER, STEP])
def test_a_resource_that_lost_its_owner_or_step_is_found_by_its_place(
    cloud: RehearsalCloud, folder: Path, key: str
) -> None:
    before, made = tags_by_id(cloud), everything(cloud)
    ids = {step: resource(step) for step in OF_EC2 if step != "private route table"}
    ids |= {step: machines(step)[0] for step in ("zookeeper", "ndb data nodes 1", "hopsfs client")}
    remove(list(ids.values()), key)
    roles = [item["RoleName"] for item in client("iam").list_roles()["Roles"]]
    own = [name for name in roles if name.startswith("lambda-fs") or "cluster" in name.lower()]
    for name in own:
        client("iam").untag_role(RoleName=name, TagKeys=[key])
    untag_schedules(key)
    scaling, group = client("autoscaling"), "hopsfs_clients_ags"
    of_group = {"ResourceId": group, "ResourceType": "auto-scaling-group"}
    scaling.delete_tags(Tags=[{**of_group, "Key": key}])
    rows = planned(folder)
    assert rows[f"auto-scaling group {group}"]["action"] == "update"
    roles_too = ("eks cluster role", "deadline role", "deadline")
    assert {rows[step]["action"] for step in roles_too} == {"update"}
    assert {step: rows[step]["action"] for step in ids} == dict.fromkeys(ids, "update")
    assert not [row for row in rows.values() if row["action"] == "create"]
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    assert planned(folder) == {}
    assert everything(cloud) == made, "nothing was created a second time"
    after = tags_by_id(cloud)
    assert {each: after[each] for each in ids.values()} == {
        each: before[each] for each in ids.values()
    }
    for name in own:
        assert key in {tag["Key"] for tag in client("iam").list_role_tags(RoleName=name)["Tags"]}
    listed = client("scheduler").list_tags_for_resource(ResourceArn=schedules_arn())["Tags"]
    assert key in {tag["Key"] for tag in listed}
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0


def test_what_another_deployment_has_tagged_is_not_taken_back(
    cloud: RehearsalCloud, folder: Path
) -> None:
    subnet = resource("public subnet 1")
    write([subnet], **{OWNER: "another"})
    assert planned(folder)["public subnet 1"]["action"] in ("create", "conflict")
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code != 0
    assert tags_by_id(cloud)[subnet][OWNER] == "another"
