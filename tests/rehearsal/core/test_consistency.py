"""Stale reads of names: EKS, IAM and Auto Scaling just after a create.

EKS API reference, ResourceNotFoundException; IAM user guide, "Changes that I make are not always
immediately visible".
"""

from __future__ import annotations

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, network, refused
from tests.support.eks import advance, make, trust

STALE = {"fault": "stale-read", "seconds": 5}
GONE = "ResourceNotFoundException"


def test_eks_names(slow_cloud: RehearsalCloud) -> None:
    environment, eks = make(), client("eks")
    environment.cluster("other")
    slow_cloud.faults.add(STALE | {"action": "eks.*"})
    environment.cluster()
    assert refused(eks.describe_cluster, name="zoo") == GONE
    assert refused(eks.list_nodegroups, clusterName="zoo") == GONE
    assert eks.list_clusters()["clusters"] == ["other"]
    assert refused(environment.cluster) == "ResourceInUseException"
    assert eks.describe_cluster(name="other")["cluster"]["name"] == "other"
    advance(slow_cloud, 1200)
    assert eks.describe_cluster(name="zoo")["cluster"]["status"] == "ACTIVE"
    environment.nodes()
    assert eks.list_nodegroups(clusterName="zoo")["nodegroups"] == []
    named = {"clusterName": "zoo", "nodegroupName": "nodes"}
    assert refused(eks.describe_nodegroup, **named) == GONE
    addon = {"clusterName": "zoo", "addonName": "coredns"}
    eks.create_addon(**addon)
    assert refused(eks.describe_addon, **addon) == GONE
    entry = {"clusterName": "zoo", "principalArn": environment.cluster_role}
    eks.create_access_entry(**entry)
    assert refused(eks.describe_access_entry, **entry) == GONE
    advance(slow_cloud, 5)
    assert eks.list_nodegroups(clusterName="zoo")["nodegroups"] == ["nodes"]
    assert eks.describe_addon(**addon)["addon"]["addonName"] == "coredns"
    assert environment.cluster_role in eks.list_access_entries(clusterName="zoo")["accessEntries"]


def test_iam_names(slow_cloud: RehearsalCloud) -> None:
    iam = client("iam")
    slow_cloud.faults.add(STALE | {"action": "iam.*"})
    document = trust("ec2.amazonaws.com")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)
    iam.create_instance_profile(InstanceProfileName="p")
    text = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    policy = iam.create_policy(PolicyName="q", PolicyDocument=text)["Policy"]["Arn"]
    again = {"RoleName": "r", "AssumeRolePolicyDocument": document}
    assert refused(iam.create_role, **again) == "EntityAlreadyExists"
    assert refused(iam.get_role, RoleName="r") == "NoSuchEntity"
    assert refused(iam.get_policy, PolicyArn=policy) == "NoSuchEntity"
    profile = {"InstanceProfileName": "p"}
    assert refused(iam.get_instance_profile, **profile) == "NoSuchEntity"
    assert refused(iam.add_role_to_instance_profile, RoleName="r", **profile) == "NoSuchEntity"
    assert iam.list_roles()["Roles"] == iam.list_instance_profiles()["InstanceProfiles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    advance(slow_cloud, 5)
    iam.add_role_to_instance_profile(RoleName="r", **profile)
    assert [principal["RoleName"] for principal in iam.list_roles()["Roles"]] == ["r"]
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]["Version"]


def test_auto_scaling_groups_are_missing_from_the_list(slow_cloud: RehearsalCloud) -> None:
    ec2, scaling = client("ec2"), client("autoscaling")
    net, named = network(ec2), {"LaunchTemplateName": "ttt"}
    data = {"ImageId": "ami-079ac4c46055b2bdf", "InstanceType": "r5.xlarge"}
    ec2.create_launch_template(LaunchTemplateData=data, **named)
    slow_cloud.faults.add(STALE | {"action": "CreateAutoScalingGroup"})
    sizes = {"MinSize": 0, "MaxSize": 1, "VPCZoneIdentifier": net.subnet}
    scaling.create_auto_scaling_group(AutoScalingGroupName="g", LaunchTemplate=named, **sizes)
    only = {"AutoScalingGroupNames": ["g"]}
    assert scaling.describe_auto_scaling_groups(**only)["AutoScalingGroups"] == []
    advance(slow_cloud, 5)
    found = scaling.describe_auto_scaling_groups(**only)["AutoScalingGroups"]
    assert [item["AutoScalingGroupName"] for item in found] == ["g"]
