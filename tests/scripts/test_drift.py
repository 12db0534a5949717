"""Drift after changes by hand: plan reports it, create corrects it, and changes nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client, tagged
from tests.support.scripts import prepare, run

OWNER = {"lambda-fs:deployment": "lambda-fs"}
OFF = {"Value": False}


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def of_step(operation: str, key: str, step: str) -> Any:
    """Return the first EC2 resource that carries a step's tag."""
    filters = [{"Name": "tag:lambda-fs:step", "Values": [step]}]
    return getattr(client("ec2"), operation)(Filters=filters)[key][0]


def subnet(step: str) -> str:
    return str(of_step("describe_subnets", "Subnets", step)["SubnetId"])


def table(step: str) -> Any:
    return of_step("describe_route_tables", "RouteTables", step)


def group() -> Any:
    return of_step("describe_security_groups", "SecurityGroups", "security group")


def machines(step: str) -> list[str]:
    filters = [
        {"Name": "tag:lambda-fs:step", "Values": [step]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    answer = client("ec2").describe_instances(Filters=filters)
    return [item["InstanceId"] for group in answer["Reservations"] for item in group["Instances"]]


def association(route_table: str, subnet_step: str) -> str:
    """Return the id of a subnet's association with one of our tables."""
    mine = [
        each["RouteTableAssociationId"]
        for each in table(route_table)["Associations"]
        if each.get("SubnetId") == subnet(subnet_step)
    ]
    return str(mine[0])


def no_public_addresses() -> None:
    client("ec2").modify_subnet_attribute(
        SubnetId=subnet("public subnet 2"), MapPublicIpOnLaunch=OFF
    )


def no_dns_names() -> None:
    vpc = of_step("describe_vpcs", "Vpcs", "vpc")["VpcId"]
    client("ec2").modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames=OFF)


def other_rules() -> None:
    changed, ec2 = group(), client("ec2")
    inner = [rule for rule in changed["IpPermissions"] if rule["IpProtocol"] == "-1"]
    ec2.revoke_security_group_ingress(GroupId=changed["GroupId"], IpPermissions=inner)
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    ec2.authorize_security_group_ingress(
        GroupId=changed["GroupId"],
        IpPermissions=[{**ssh, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )


def no_traffic_from_nodes() -> None:
    current, ec2 = group(), client("ec2")
    zookeeper = [rule for rule in current["IpPermissions"] if rule.get("FromPort") == 2181]
    ec2.revoke_security_group_ingress(GroupId=current["GroupId"], IpPermissions=zookeeper)


def no_private_route() -> None:
    table_id = table("private route table")["RouteTableId"]
    client("ec2").delete_route(RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0")


def public_route_through_nat() -> None:
    nats = client("ec2").describe_nat_gateways()["NatGateways"]
    client("ec2").replace_route(
        RouteTableId=table("public route table")["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=nats[0]["NatGatewayId"],
    )


def disassociated() -> None:
    association_id = association("private route table", "private subnet 1")
    client("ec2").disassociate_route_table(AssociationId=association_id)


def moved_to_another_table() -> None:
    association_id = association("public route table", "public subnet 2")
    vpc = of_step("describe_vpcs", "Vpcs", "vpc")["VpcId"]
    other = client("ec2").create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    client("ec2").replace_route_table_association(AssociationId=association_id, RouteTableId=other)


def second_address() -> None:
    mine = {**OWNER, "lambda-fs:step": "elastic ip"}
    client("ec2").allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", **mine))


def open_cluster() -> None:
    network = {"publicAccessCidrs": ["0.0.0.0/0"], "endpointPrivateAccess": False}
    client("eks").update_cluster_config(name="lambda-fs-eks-cluster", resourcesVpcConfig=network)


def no_policy() -> None:
    iam = client("iam")
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    name = next(role for role in roles if "eks-cluster" in role.lower())
    arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)


def no_trust() -> None:
    iam = client("iam")
    trusted = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    policy = {"Version": "2012-10-17", "Statement": [trusted | {"Action": "sts:AssumeRole"}]}
    iam.update_assume_role_policy(
        RoleName="lambda-fs-eks-cluster-role", PolicyDocument=json.dumps(policy)
    )


def no_policy_and_trust() -> None:
    no_policy()
    no_trust()


def one_stopped() -> None:
    client("ec2").stop_instances(InstanceIds=machines("zookeeper")[:1])


def one_terminated() -> None:
    client("ec2").terminate_instances(InstanceIds=machines("ndb data nodes 1")[:1])


def one_renamed() -> None:
    client("ec2").create_tags(
        Resources=machines("ndb data nodes 2")[:1], Tags=[{"Key": "Name", "Value": "mine"}]
    )


def other_sizes() -> None:
    client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="hopsfs_clients_ags", MinSize=0, MaxSize=3
    )


def no_group() -> None:
    client("autoscaling").delete_auto_scaling_group(
        AutoScalingGroupName="hopsfs_namenodes_ags", ForceDelete=True
    )


def other_default_version() -> None:
    ec2, name = client("ec2"), "lambda_fs_clients"
    ec2.create_launch_template_version(
        LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "t3.micro"}
    )
    ec2.modify_launch_template(LaunchTemplateName=name, DefaultVersion="2")


def no_fingerprint() -> None:
    template = client("ec2").describe_launch_templates(LaunchTemplateNames=["hopsfs_clients"])
    template_id = template["LaunchTemplates"][0]["LaunchTemplateId"]
    client("ec2").delete_tags(Resources=[template_id], Tags=[{"Key": "lambda-fs:fingerprint"}])


DRIFTS: Mapping[str, tuple[str, Callable[[], None]]] = {
    "public subnet 2": ("update", no_public_addresses),
    "vpc": ("update", no_dns_names),
    "security group": ("update", other_rules),
    "node ingress": ("update", no_traffic_from_nodes),
    "private route": ("create", no_private_route),
    "public route": ("update", public_route_through_nat),
    "private subnet 1 routing": ("create", disassociated),
    "public subnet 2 routing": ("create", moved_to_another_table),
    "elastic ip": ("update", second_address),
    "eks cluster": ("update", open_cluster),
    "eks cluster role": ("update", no_policy_and_trust),
    "zookeeper": ("update", one_stopped),
    "ndb data nodes 1": ("update", one_terminated),
    "ndb data nodes 2": ("update", one_renamed),
    "auto-scaling group hopsfs_clients_ags": ("update", other_sizes),
    "auto-scaling group hopsfs_namenodes_ags": ("create", no_group),
    "launch template lambda_fs_clients": ("update", other_default_version),
    "launch template hopsfs_clients": ("update", no_fingerprint),
}
"""Step -> what a plan has to say after a change by hand, and that change."""


def planned(folder: Path) -> dict[str, str]:
    """Return step -> action of every step that is not as it should be."""
    ended = run(SCRIPT, folder, "plan", "--json")
    assert ended.exit_code == 0, ended.stdout
    steps = ended.document["steps"]
    return {step["name"]: step["action"] for step in steps if step["action"] != "exists"}


def resources(cloud: RehearsalCloud) -> list[tuple[str, str]]:
    """Return kind and step of what exists, but for the table and key pair that the user made."""
    tagged = [resource for resource in cloud.snapshot() if resource.tags]
    return sorted((resource.kind, resource.tags.get("lambda-fs:step", "")) for resource in tagged)


def test_what_was_changed_by_hand_is_corrected(cloud: RehearsalCloud, folder: Path) -> None:
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    made = resources(cloud)
    for _, change in DRIFTS.values():
        change()
    expected = {name: action for name, (action, _) in DRIFTS.items()}
    assert planned(folder) == expected | {"deadline": "update"}, "it stops the present machines"
    corrected = run(SCRIPT, folder, "--yes", "--json")
    assert corrected.exit_code == 0, corrected.document["problems"]
    done = {step["name"]: step["action"] for step in corrected.document["steps"]}
    assert {name: done[name] for name in DRIFTS} == {
        name: action for name, (action, _) in DRIFTS.items()
    }
    assert planned(folder) == {}
    trust = client("iam").get_role(RoleName="lambda-fs-eks-cluster-role")["Role"]
    assert "eks.amazonaws.com" in str(trust["AssumeRolePolicyDocument"])
    assert resources(cloud) == made
    writes = len(cloud.calls.writes())
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    assert len(cloud.calls.writes()) == writes


def test_destroy_of_one_step_leaves_the_rest(cloud: RehearsalCloud, folder: Path) -> None:
    parts = ("--only", "public subnet 2 routing", "--only", "security group")
    assert run(SCRIPT, folder, "--yes", *parts).exit_code == 0
    ended = run(SCRIPT, folder, "destroy", "--yes", "--only", "public route table")
    assert ended.exit_code == 0, ended.stdout
    steps = {step for kind, step in resources(cloud) if kind != "key-pair"}
    assert "public route table" not in steps
    assert {"vpc", "public subnet 2", "security group"} <= steps
    wrong = run(SCRIPT, folder, "destroy", "--yes", "--only", "moon")
    assert wrong.exit_code == 2


def test_what_is_deleted_is_listed_by_id_whatever_was_changed(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "vpc").exit_code == 0
    no_dns_names()
    (line,) = [row for row in run(SCRIPT, folder, "plan").stdout.splitlines() if "~ update" in row]
    assert "DNS support and host names: off ->" in line
    ended = run(SCRIPT, folder, "destroy", "--yes")
    (line,) = [row for row in ended.stdout.splitlines() if row.split()[1:3] == ["delete", "vpc"]]
    assert line.split()[3].startswith("vpc-")


@pytest.mark.kind("A3")
def test_a_boundary_that_others_have_set_on_a_role_is_named(
    cloud: RehearsalCloud, folder: Path
) -> None:
    only, name = ("--only", "eks cluster role"), "lambda-fs-eks-cluster-role"
    assert run(SCRIPT, folder, "--yes", *only).exit_code == 0
    iam, denies = client("iam"), {"Effect": "Deny", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [denies]})
    policy = iam.create_policy(PolicyName="quarantine", PolicyDocument=document)
    arn = policy["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=arn)
    (warning,) = run(SCRIPT, folder, "plan", "--json", *only).document["warnings"]
    assert arn in warning["why"]
    assert f"delete-role-permissions-boundary --role-name {name}" in warning["hint"]
    iam.delete_role_permissions_boundary(RoleName=name)
    assert run(SCRIPT, folder, "plan", "--json", *only).document["warnings"] == []
