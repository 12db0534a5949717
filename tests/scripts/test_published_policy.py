"""The whole deployment under exactly the published policy, and what the policy does not allow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.preflight.policy_document import LONGEST, policy
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from tests.support.aws import client, refused, tagged
from tests.support.cluster import lab
from tests.support.managed_groups import revoke_all, rules_of_aws

pytestmark = [pytest.mark.kind("C2"), pytest.mark.timeout(300)]

ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


def published(**keys: Any) -> dict[str, Any]:
    """Return the policy of a configuration, as --print-iam-policy prints it for this account."""
    config = Config(ssh_keypair_name="k", ssh_key_path="k", **keys)
    return policy(config, account=ACCOUNT, region="us-east-1")


@pytest.fixture
def holder(cloud: RehearsalCloud) -> Iterator[RehearsalCloud]:
    """A cloud with things of others, whose caller then has the published policy only."""
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    for name in ("foreign", "lambda-fs-eks-node-role"):
        client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    cloud.settings.policies = [published()]
    yield cloud


def foreign_vpc(cloud: RehearsalCloud) -> dict[str, str]:
    """Create what somebody else owns, before the policy applies."""
    held, cloud.settings.policies = cloud.settings.policies, []
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc)
    template = ec2.create_launch_template(
        LaunchTemplateName="other",
        LaunchTemplateData={"ImageId": "ami-079ac4c46055b2bdf"},
        TagSpecifications=tagged("launch-template", **{"lambda-fs:deployment": "other"}),
    )
    cloud.settings.policies = held
    return {
        "vpc": vpc,
        "group": group["GroupId"],
        "template": template["LaunchTemplate"]["LaunchTemplateId"],
    }


def test_its_holder_cannot_become_administrator(holder: RehearsalCloud) -> None:
    iam, eks, ec2, mine = client("iam"), client("eks"), client("ec2"), "lambda-fs-eks-node-role"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = f"arn:aws:iam::{ACCOUNT}:role/"
    node = {"ImageId": "ami-079ac4c46055b2bdf", "InstanceType": "r5.xlarge"}
    held, holder.settings.policies = holder.settings.policies, []
    iam.create_instance_profile(InstanceProfileName="admin")
    iam.add_role_to_instance_profile(InstanceProfileName="admin", RoleName="foreign")
    iam.create_instance_profile(InstanceProfileName="mine")
    iam.add_role_to_instance_profile(InstanceProfileName="mine", RoleName=mine)
    holder.settings.policies = held
    entry = {"clusterName": "other", "principalArn": f"{role}foreign"}
    escalations: list[Callable[[], Any]] = [
        lambda: iam.attach_role_policy(RoleName=mine, PolicyArn=ADMIN),
        lambda: iam.attach_role_policy(RoleName="foreign", PolicyArn=ADMIN),
        lambda: iam.put_role_policy(RoleName=mine, PolicyName="p", PolicyDocument="{}"),
        lambda: iam.attach_user_policy(UserName="rehearsal", PolicyArn=ADMIN),
        lambda: iam.update_assume_role_policy(RoleName="foreign", PolicyDocument=trust),
        lambda: iam.create_role(RoleName="new", AssumeRolePolicyDocument=trust),
        lambda: iam.create_role(Path="/x/", RoleName=mine, AssumeRolePolicyDocument=trust),
        lambda: iam.delete_role(RoleName="foreign"),
        lambda: iam.create_user(UserName="eve"),
        lambda: iam.create_access_key(UserName="root"),
        lambda: iam.create_policy_version(PolicyArn=ADMIN, PolicyDocument="{}"),
        lambda: iam.create_open_id_connect_provider(Url="https://evil.example.com"),
        lambda: iam.create_service_linked_role(AWSServiceName="organizations.amazonaws.com"),
        lambda: eks.create_access_entry(**entry),
        lambda: ec2.run_instances(
            MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "admin"}, **node
        ),
        lambda: ec2.run_instances(
            MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "mine"}, **node
        ),
    ]
    assert [refused(attempt) for attempt in escalations if refused(attempt) not in DENIED] == []
    for policy_arn in ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy"):
        iam.attach_role_policy(RoleName=mine, PolicyArn=f"arn:aws:iam::aws:policy/{policy_arn}")


def test_its_holder_cannot_change_what_others_own(holder: RehearsalCloud) -> None:
    other, ec2 = foreign_vpc(holder), client("ec2")
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    mine = [{"Key": "lambda-fs:deployment", "Value": "lambda-fs"}]
    attempts: list[Callable[[], Any]] = [
        lambda: ec2.delete_vpc(VpcId=other["vpc"]),
        lambda: ec2.create_tags(Resources=[other["vpc"]], Tags=mine),
        lambda: ec2.delete_security_group(GroupId=other["group"]),
        lambda: ec2.authorize_security_group_ingress(GroupId=other["group"], IpPermissions=[rule]),
        lambda: ec2.delete_launch_template(LaunchTemplateId=other["template"]),
        lambda: ec2.create_launch_template_version(
            LaunchTemplateId=other["template"], LaunchTemplateData={"UserData": "eA=="}
        ),
        lambda: client("eks").delete_cluster(name="other"),
    ]
    assert [refused(attempt) for attempt in attempts if refused(attempt) not in DENIED] == []


def test_the_second_script_needs_no_more(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as zoo:
        cloud.settings.policies = [published(eks_cluster_name="zoo")]
        ended = zoo.run("configure")
        assert not [one for one in ended["warnings"] if "permission" in one["what"]]
        held, cloud.settings.policies = cloud.settings.policies, []
        rules = rules_of_aws()
        revoke_all()
        cloud.settings.policies = held
        zoo.save(num_openwhisk_core_vms=2, eks_node_disk_size=60)
        zoo.run("configure")
        assert rules_of_aws() == rules
        zoo.run("status")
        assert zoo.run("destroy")["leftovers"] == []


def test_it_fits_into_a_managed_policy_and_grants_no_iam_change_on_everything() -> None:
    long = published(eks_cluster_name="x" * 40, deployment_name="x" * 32)
    text = json.dumps(long, separators=(",", ":"))
    assert len(text) <= LONGEST
    for statement in published()["Statement"]:
        if statement["Resource"] == "*":
            changes = [one for one in statement["Action"] if one.startswith(("iam:", "eks:"))]
            reads = ("Get", "List", "Describe", "Simulate")
            assert [it for it in changes if not it.split(":")[1].startswith(reads)] == []


@pytest.mark.kind("A3")
def test_its_holder_makes_no_role_without_the_boundary_that_the_configuration_has(
    cloud: RehearsalCloud,
) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    cloud.settings.policies = [published(permissions_boundary=boundary)]
    iam, trust = client("iam"), json.dumps({"Version": "2012-10-17", "Statement": []})
    role: Any = {"RoleName": "lambda-fs-eks-node-role", "AssumeRolePolicyDocument": trust}
    assert refused(lambda: iam.create_role(**role)) in DENIED
    other = boundary + "-wider"
    assert refused(lambda: iam.create_role(**role, PermissionsBoundary=other)) in DENIED
    assert iam.create_role(**role, PermissionsBoundary=boundary)["Role"]


@pytest.mark.kind("C14")
def test_a_node_role_of_an_earlier_version_gets_the_narrower_policy_first(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, narrow = (f"AmazonEC2ContainerRegistry{kind}" for kind in ("ReadOnly", "PullOnly"))
    with lab(cloud, tmp_path / "laptop", monkeypatch) as zoo:
        zoo.run("configure", "--only", "node role")
        iam, name = client("iam"), "lambda-fs-eks-node-role"
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{wide}")
        iam.detach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{narrow}")
        before = len(cloud.calls)
        zoo.run("configure", "--only", "node role")
        changes = [call.action for call in cloud.calls[before:] if "RolePolicy" in call.action]
        order = [one for one in changes if one in ("AttachRolePolicy", "DetachRolePolicy")]
        assert order == ["AttachRolePolicy", "DetachRolePolicy"]
        listed = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        names = {one["PolicyName"] for one in listed}
        assert narrow in names
        assert wide not in names
        steps = zoo.run("configure", "--only", "node role")["steps"]
        assert {step["action"] for step in steps} == {"exists"}
