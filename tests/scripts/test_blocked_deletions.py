"""destroy and what others have that uses ours: it is named at once, and the rest is deleted."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.aws.ec2.images import Images
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.scripts.test_cluster_leftovers import KEYS, World, adopted, world
from tests.scripts.test_foreign_cluster import group
from tests.support.aws import client
from tests.support.scripts import prepare, run

__all__ = ["world"]

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}],
    }
)
SOON = 1500.0
"""Seconds on the cloud's clock: the deletion of the cluster and of the gateway takes 10 minutes,
and what AWS refuses was repeated for 15 or 30 minutes more."""


def own_group() -> str:
    """Return the deployment's security group."""
    filters = [{"Name": "tag:lambda-fs:step", "Values": ["security group"]}]
    (found,) = client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(found["GroupId"])


def allow(theirs: str, ours: str) -> None:
    """Let our group into theirs, and out of it."""
    rule = {"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306}
    pairs: Any = [rule | {"UserIdGroupPairs": [{"GroupId": ours}]}]
    client("ec2").authorize_security_group_ingress(GroupId=theirs, IpPermissions=pairs)
    client("ec2").authorize_security_group_egress(GroupId=theirs, IpPermissions=pairs)


def interface(subnet: str, *groups: str) -> str:
    """Make an interface with some security groups and return its id."""
    made = client("ec2").create_network_interface(SubnetId=subnet, Groups=list(groups))
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def kept(document: dict[str, Any], what: str) -> dict[str, str]:
    """Return the problem of a resource that is kept; there is one."""
    (found,) = [one for one in document["problems"] if f"{what} is kept" in one["what"]]
    return dict(found)


def commands(problem: dict[str, str]) -> list[list[str]]:
    """Return the words of each aws command that a fix names."""
    return [shlex.split(text) for text in problem["hint"].split("`")[1::2]]


def revoke(words: list[str]) -> None:
    """Do what a command of `aws ec2 revoke-security-group-*` does."""
    direction, key, permissions = words[2].rpartition("-")[2], words[4], json.loads(words[6])
    call = getattr(client("ec2"), f"revoke_security_group_{direction}")
    call(GroupId=key, IpPermissions=permissions)


@adopted
def test_rules_of_others_that_name_our_group_are_named(world: World) -> None:
    ours, theirs = own_group(), group(world.vpc, "theirs", Owner="them")
    allow(theirs, ours)
    began = world.cloud.clock.now()
    document = world.destroy(3)
    assert world.cloud.clock.now() - began < SOON
    problem = kept(document, f"security group {ours}")
    assert "2 resources that use it are not this deployment's" in problem["what"]
    assert problem["why"].count(theirs) == 2
    assert [item["id"] for item in document["leftovers"]] == [ours]
    for words in commands(problem):
        revoke(words)
    assert world.destroy()["leftovers"] == []
    left = client("ec2").describe_security_groups(GroupIds=[theirs])["SecurityGroups"]
    assert len(left) == 1, "what is not ours is kept"


@adopted
def test_interfaces_of_others_that_have_our_group_are_named(world: World) -> None:
    ours, theirs = own_group(), group(world.vpc, "theirs", Owner="them")
    alone, shared = interface(world.subnets[0], ours), interface(world.subnets[0], ours, theirs)
    document = world.destroy(3)
    problem = kept(document, f"security group {ours}")
    found = {words[4]: words[6:] for words in commands(problem)}
    assert found == {alone: ["ANOTHER_GROUP"], shared: [theirs]}
    for key in found:
        client("ec2").modify_network_interface_attribute(NetworkInterfaceId=key, Groups=[theirs])
    assert world.destroy()["leftovers"] == []
    assert client("ec2").describe_network_interfaces(NetworkInterfaceIds=[alone, shared])


@adopted
def test_an_instance_profile_with_our_role_is_named_and_the_role_keeps_its_policies(
    world: World,
) -> None:
    iam = client("iam")
    role = next(r["RoleName"] for r in iam.list_roles()["Roles"] if "eks" in r["RoleName"])
    iam.create_instance_profile(InstanceProfileName="theirs")
    iam.add_role_to_instance_profile(InstanceProfileName="theirs", RoleName=role)
    began = world.cloud.clock.now()
    document = world.destroy(3)
    assert world.cloud.clock.now() - began < SOON
    problem = kept(document, f"IAM role {role}")
    assert "instance profile theirs" in problem["why"]
    assert commands(problem)[0][2:] == [
        "remove-role-from-instance-profile",
        "--instance-profile-name",
        "theirs",
        "--role-name",
        role,
    ]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [item["what"] for item in document["leftovers"]] == ["eks cluster role"]
    iam.remove_role_from_instance_profile(InstanceProfileName="theirs", RoleName=role)
    assert world.destroy()["leftovers"] == []


def test_a_policy_of_others_on_our_role_is_detached_and_kept(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work", **KEYS)
    assert run(SCRIPT, folder, "--yes", "--only", "eks cluster role").exit_code == 0
    iam = client("iam")
    (role,) = [r["RoleName"] for r in iam.list_roles()["Roles"] if "eks" in r["RoleName"]]
    arn = iam.create_policy(PolicyName="theirs", PolicyDocument=POLICY)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 0


def test_a_fargate_profile_in_our_cluster_is_named(world: World) -> None:
    eks, role = client("eks"), "arn:aws:iam::123456789012:role/pods"
    eks.create_fargate_profile(
        clusterName="shared", fargateProfileName="theirs", podExecutionRoleArn=role
    )
    began = world.cloud.clock.now()
    document = world.destroy(3)
    assert world.cloud.clock.now() - began < SOON
    problem = kept(document, "EKS cluster shared")
    assert "Fargate profile theirs" in problem["why"]
    assert (
        "delete-fargate-profile --cluster-name shared --fargate-profile-name theirs"
        in (problem["hint"])
    )
    assert eks.list_fargate_profiles(clusterName="shared")["fargateProfileNames"] == ["theirs"]
    left = {item["what"] for item in document["leftovers"]}
    assert "eks cluster" in left
    assert not left & {"NAT gateway", "elastic ip", "address"}, "what does not need it goes"
    eks.delete_fargate_profile(clusterName="shared", fargateProfileName="theirs")
    assert world.destroy()["leftovers"] == []


def test_an_ami_of_others_from_our_snapshot_is_named(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = "eu-west-1"
    monkeypatch.setenv("AWS_REGION", region)
    folder = prepare(tmp_path / "work", aws_region=region)
    only = ("--copy-amis", "--only", "ami copy zookeeper")
    assert run(SCRIPT, folder, "--yes", *only).exit_code == 0
    (ours,) = client("ec2", region).describe_images(Owners=["self"])["Images"]
    theirs = "ami-0a1b2c3d4e5f60718"
    images = cloud.store_of(Images)
    images[region, theirs] = images[region, ours["ImageId"]] | {"ImageId": theirs, "Tags": []}
    began = cloud.clock.now()
    ended = run(SCRIPT, folder, "destroy", "--images", "--yes", "--json")
    assert ended.exit_code == 3, ended.document
    assert cloud.clock.now() - began < 60
    snapshot = ours["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    problem = kept(ended.document, f"snapshot {snapshot}")
    assert f"deregister-image --image-id {theirs}" in problem["hint"]


@pytest.mark.parametrize("world", ["own"], indirect=True)
def test_in_our_vpc_the_group_of_others_is_named(world: World) -> None:
    theirs = group(world.vpc, "theirs", Owner="them")
    allow(theirs, own_group())
    began = world.cloud.clock.now()
    document = world.destroy(3)
    assert world.cloud.clock.now() - began < SOON
    assert theirs in kept(document, world.vpc)["why"]
