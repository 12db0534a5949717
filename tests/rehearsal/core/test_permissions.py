"""Denied permissions of each service, and client tokens of EKS from many threads.

Pages: "Common errors" of each service's API reference; IAM user guide (id_roles_use_passrole);
EKS API reference, clientRequestToken.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from tests.rehearsal.aws.test_autoscaling import Machines
from tests.support.aws import client, refused
from tests.support.eks import instances, make

CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "eks:ListClusters": (lambda: client("eks").list_clusters(), "AccessDeniedException"),
    "iam:ListRoles": (lambda: client("iam").list_roles(), "AccessDenied"),
    "autoscaling:DescribeAutoScalingGroups": (
        lambda: client("autoscaling").describe_auto_scaling_groups(),
        "AccessDenied",
    ),
    "elasticloadbalancing:DescribeLoadBalancers": (
        lambda: client("elb").describe_load_balancers(),
        "AccessDenied",
    ),
    "servicequotas:ListServiceQuotas": (
        lambda: client("service-quotas").list_service_quotas(ServiceCode="ec2"),
        "AccessDeniedException",
    ),
    "pricing:GetProducts": (
        lambda: client("pricing").get_products(ServiceCode="AmazonEKS"),
        "AccessDeniedException",
    ),
}


@pytest.mark.parametrize("action", CALLS)
def test_each_service_has_its_own_code(cloud: RehearsalCloud, action: str) -> None:
    """Common errors: AccessDeniedException in the JSON services, AccessDenied in the others."""
    call, code = CALLS[action]
    call()
    cloud.settings.deny.append(DeniedPermission(action=action))
    assert refused(call) == code


def test_roles_must_be_passed(cloud: RehearsalCloud) -> None:
    """id_roles_use_passrole: whoever hands a role to a service needs iam:PassRole."""
    environment = make()
    environment.cluster()
    cloud.settings.deny.append(DeniedPermission(action="iam:PassRole"))
    assert refused(environment.cluster, name="two") == "AccessDeniedException"
    assert refused(environment.nodes) == "AccessDeniedException"
    addon = {"clusterName": "zoo", "addonName": "coredns"}
    role = {"serviceAccountRoleArn": environment.node_role}
    assert refused(client("eks").create_addon, **addon, **role) == "AccessDeniedException"
    iam = client("iam")
    iam.create_instance_profile(InstanceProfileName="p")
    machine = {
        "ImageId": "ami-079ac4c46055b2bdf",
        "InstanceType": "r5.xlarge",
        "SubnetId": environment.subnets[0],
        "IamInstanceProfile": {"Name": "p"},
    }
    code = refused(client("ec2").run_instances, MinCount=1, MaxCount=1, **machine)
    assert code == "UnauthorizedOperation"


def test_groups_need_the_right_to_launch(cloud: RehearsalCloud) -> None:
    """Auto Scaling user guide, ec2-auto-scaling-launch-template-permissions."""
    machines = Machines()
    cloud.settings.deny.append(DeniedPermission(action="ec2:RunInstances"))
    assert refused(machines.create) == "AccessDenied"
    environment = machines.environment
    environment.cluster()
    environment.nodes()
    assert len(instances(**{"eks:cluster-name": "zoo"})) == 2


def test_a_node_group_fails_at_the_quota_of_auto_scaling_groups(cloud: RehearsalCloud) -> None:
    """API_Issue: what Auto Scaling refuses shows on the node group."""
    environment = make()
    environment.cluster()
    cloud.settings.quotas.auto_scaling_groups = 0
    environment.nodes()
    found = client("eks").describe_nodegroup(clusterName="zoo", nodegroupName="nodes")["nodegroup"]
    issue = found["health"]["issues"][0]
    assert (found["status"], issue["code"]) == (
        "CREATE_FAILED",
        "AutoScalingGroupInvalidConfiguration",
    )
    client("eks").delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_sixteen_requests_with_one_token_create_one_resource(cloud: RehearsalCloud) -> None:
    """API_CreateCluster, API_CreateNodegroup, API_CreateAddon, API_CreateAccessEntry."""
    environment, eks = make(), client("eks")
    entry = {"clusterName": "zoo", "principalArn": environment.cluster_role}
    addon = {"clusterName": "zoo", "addonName": "coredns"}
    token = {"clientRequestToken": "one"}
    calls: list[tuple[Callable[[], str], Callable[[], list[str]]]] = [
        (lambda: environment.cluster(**token)["arn"], lambda: eks.list_clusters()["clusters"]),
        (
            lambda: environment.nodes(**token)["nodegroupArn"],
            lambda: eks.list_nodegroups(clusterName="zoo")["nodegroups"],
        ),
        (
            lambda: eks.create_addon(**addon, **token)["addon"]["addonArn"],
            lambda: eks.list_addons(clusterName="zoo")["addons"],
        ),
    ]
    for create, listed in calls:
        with ThreadPoolExecutor(16) as pool:
            arns = {done.result() for done in [pool.submit(create) for _ in range(16)]}
        assert len(arns) == len(listed()) == 1
    made = [eks.create_access_entry(**entry, **token)["accessEntry"] for _ in range(2)]
    assert made[0] == made[1]
    other = entry | {"kubernetesGroups": ["viewers"]}
    assert refused(eks.create_access_entry, **other, **token) in {
        "IdempotentParameterMismatch",
        "InvalidRequestException",
    }
