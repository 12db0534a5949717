"""Managed node groups of the rehearsal cloud, against AWS's documented behaviour.

Pages: EKS API reference (API_CreateNodegroup, API_DeleteNodegroup, API_UpdateNodegroupConfig,
API_Issue); EKS user guide (managed-node-groups, launch-templates, create-node-role,
troubleshooting, access-entries).
"""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, refused
from tests.support.eks import (
    POLICY,
    EksEnvironment,
    advance,
    instances,
    make,
    nodegroup,
    role,
    trust,
)


@pytest.fixture
def environment(cloud: RehearsalCloud) -> EksEnvironment:
    made = make()
    made.cluster()
    return made


@pytest.fixture
def slow(slow_cloud: RehearsalCloud) -> EksEnvironment:
    made = make()
    made.cluster()
    advance(slow_cloud, 561)
    return made


def template(**data: Any) -> str:
    made = client("ec2").create_launch_template(LaunchTemplateName="mine", LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def groups() -> list[dict[str, Any]]:
    return list(client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"])


def test_nodes_are_instances_of_an_auto_scaling_group(environment: EksEnvironment) -> None:
    """managed-node-groups: an ASG in the subnets; instances with the cluster's tags and group."""
    environment.nodes(labels={"openwhisk-role": "core"}, tags={"only": "on the group"})
    found = nodegroup()
    assert (found["status"], found["health"]["issues"]) == ("ACTIVE", [])
    (group,) = groups()
    assert found["resources"]["autoScalingGroups"] == [{"name": group["AutoScalingGroupName"]}]
    machines = instances(**{"eks:cluster-name": "zoo"})
    assert {machine["SubnetId"] for machine in machines} == set(environment.subnets)
    assert {machine["InstanceId"] for machine in machines} == {
        instance["InstanceId"] for instance in group["Instances"]
    }
    eks = client("eks").describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"]
    for machine in machines:
        tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
        assert tags["eks:nodegroup-name"] == "nodes"
        assert tags["kubernetes.io/cluster/zoo"] == "owned"
        assert tags["aws:autoscaling:groupName"] == group["AutoScalingGroupName"]
        assert "only" not in tags
        assert [g["GroupId"] for g in machine["SecurityGroups"]] == [eks["clusterSecurityGroupId"]]
        assert machine["InstanceType"] == "r5.xlarge"


def test_a_launch_template_tags_machines_volumes_and_interfaces(
    environment: EksEnvironment,
) -> None:
    """launch-templates: TagSpecifications of the template reach the machines."""
    kinds = ("instance", "volume", "network-interface")
    mine = [{"Key": "owner", "Value": "me"}]
    made = template(TagSpecifications=[{"ResourceType": kind, "Tags": mine} for kind in kinds])
    environment.nodes(launchTemplate={"id": made})
    assert nodegroup()["launchTemplate"] == {"id": made, "name": "mine", "version": "1"}
    assert len(instances(owner="me")) == 2
    ec2 = client("ec2")
    tagged = [{"Name": "tag:owner", "Values": ["me"]}]
    assert len(ec2.describe_volumes(Filters=tagged)["Volumes"]) == 2
    assert len(ec2.describe_network_interfaces(Filters=tagged)["NetworkInterfaces"]) == 2


def test_rejected_launch_templates(environment: EksEnvironment) -> None:
    """launch-templates, "Launch template configuration basics"."""
    profile = template(IamInstanceProfile={"Name": "x"})
    code = "InvalidParameterException"
    assert refused(environment.nodes, launchTemplate={"id": profile}) == code
    client("ec2").delete_launch_template(LaunchTemplateId=profile)
    typed = template(InstanceType="r5.xlarge")
    assert refused(environment.nodes, launchTemplate={"id": typed}) == code
    assert refused(environment.nodes, launchTemplate={"id": typed}, diskSize=50) == code
    assert refused(environment.nodes, launchTemplate={"name": "other"}) == code
    environment.nodes(launchTemplate={"name": "mine"}, instanceTypes=[])
    assert {instance["InstanceType"] for instance in instances()} == {"r5.xlarge"}


def test_rejected_requests(environment: EksEnvironment) -> None:
    """API_CreateNodegroup, Errors and parameters."""
    eks, code = client("eks"), "InvalidParameterException"
    assert refused(environment.nodes, clusterName="other") == "ResourceNotFoundException"
    assert refused(environment.nodes, nodeRole=environment.cluster_role) == code
    missing = environment.node_role.replace("node-role", "missing")
    assert refused(environment.nodes, nodeRole=missing) == code
    assert refused(environment.nodes, subnets=["subnet-0123456789abcdef0"]) == code
    assert refused(environment.nodes, instanceTypes=["r5.enormous"]) == code
    assert refused(environment.nodes, amiType="AL2_x86_64") == code
    too_many = {"minSize": 0, "maxSize": 2, "desiredSize": 3}
    assert refused(environment.nodes, scalingConfig=too_many) == code
    environment.nodes()
    assert refused(environment.nodes) == "ResourceInUseException"
    name = {"clusterName": "zoo", "nodegroupName": "other"}
    assert refused(eks.describe_nodegroup, **name) == "ResourceNotFoundException"
    assert refused(eks.delete_cluster, name="zoo") == "ResourceInUseException"
    assert eks.list_nodegroups(clusterName="zoo")["nodegroups"] == ["nodes"]


def test_no_nodes_before_the_cluster_is_active(slow_cloud: RehearsalCloud) -> None:
    """API_CreateNodegroup: InvalidRequestException while the cluster is being made."""
    environment = make()
    environment.cluster()
    assert refused(environment.nodes) == "InvalidRequestException"


def test_a_group_is_creating_until_its_nodes_have_joined(
    slow_cloud: RehearsalCloud, slow: EksEnvironment
) -> None:
    """API_Nodegroup, status; machines are up before the group is ACTIVE."""
    assert slow.nodes()["status"] == "CREATING"
    advance(slow_cloud, 60)
    assert nodegroup()["status"] == "CREATING"
    assert len(instances()) == 2
    advance(slow_cloud, 60)
    assert nodegroup()["status"] == "ACTIVE"


def test_deletion_terminates_the_instances_and_deletes_the_template(
    slow_cloud: RehearsalCloud, slow: EksEnvironment
) -> None:
    """API_DeleteNodegroup: EKS deletes the Auto Scaling group and terminates its instances."""
    eks, ec2 = client("eks"), client("ec2")
    slow.nodes()
    advance(slow_cloud, 120)
    eks.delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    assert nodegroup()["status"] == "DELETING"
    assert len(ec2.describe_launch_templates()["LaunchTemplates"]) == 1
    advance(slow_cloud, 300)
    assert not instances()
    assert nodegroup()["status"] == "DELETING"
    advance(slow_cloud, 81)
    assert eks.list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert groups() == ec2.describe_launch_templates()["LaunchTemplates"] == []
    eks.delete_cluster(name="zoo")
    advance(slow_cloud, 151)
    left = [
        resource for resource in slow_cloud.snapshot() if resource.service in ("eks", "autoscaling")
    ]
    assert left == []


def test_missing_capacity_is_an_issue_until_it_is_available(
    slow_cloud: RehearsalCloud, slow: EksEnvironment
) -> None:
    """API_Issue: AsgInstanceLaunchFailures while the group tries; ACTIVE once it succeeds."""
    for zone in ("us-east-1a", "us-east-1b"):
        slow_cloud.faults.add({"fault": "no-capacity", "zone": zone})
    slow.nodes()
    advance(slow_cloud, 120)
    found = nodegroup()
    (issue,) = found["health"]["issues"]
    assert (found["status"], issue["code"]) == ("CREATING", "AsgInstanceLaunchFailures")
    assert "InsufficientInstanceCapacity" in issue["message"]
    slow_cloud.faults.clear()
    advance(slow_cloud, 100)
    nodegroup()
    advance(slow_cloud, 100)
    assert (nodegroup()["status"], nodegroup()["health"]["issues"]) == ("ACTIVE", [])


def test_one_zone_without_capacity_is_no_failure(
    slow_cloud: RehearsalCloud, slow: EksEnvironment
) -> None:
    """auto-scaling-benefits, "Balance across zones": another zone takes the instances."""
    slow_cloud.faults.add({"fault": "no-capacity", "zone": "us-east-1a"})
    slow.nodes()
    advance(slow_cloud, 120)
    assert nodegroup()["status"] == "ACTIVE"
    assert {instance["Placement"]["AvailabilityZone"] for instance in instances()} == {"us-east-1b"}


def test_the_vcpu_quota_is_an_issue(slow_cloud: RehearsalCloud, slow: EksEnvironment) -> None:
    """API_Issue: InstanceLimitExceeded; quota L-1216C47A is enforced on nodes too."""
    slow_cloud.settings.quotas.vcpus = 4
    slow.nodes()
    advance(slow_cloud, 120)
    (issue,) = nodegroup()["health"]["issues"]
    assert issue["code"] == "InstanceLimitExceeded"
    assert len(instances()) == 1


def test_nodes_that_cannot_join_fail_after_half_an_hour(
    slow_cloud: RehearsalCloud, slow: EksEnvironment
) -> None:
    """troubleshooting, "Instances failed to join": node role without AmazonEKSWorkerNodePolicy."""
    bare = role("bare-nodes", "ec2.amazonaws.com")
    slow.nodes(nodeRole=bare)
    advance(slow_cloud, 120)
    found = nodegroup()
    assert (found["status"], found["health"]["issues"][0]["code"]) == (
        "CREATING",
        "NodeCreationFailure",
    )
    for _ in range(40):
        advance(slow_cloud, 60)
        status = nodegroup()["status"]
    assert status == "CREATE_FAILED"


def test_nodes_without_a_default_route_do_not_join(
    cloud: RehearsalCloud, environment: EksEnvironment
) -> None:
    """private-clusters and troubleshooting: no route to the API server, no node."""
    ec2 = client("ec2")
    ec2.delete_route(RouteTableId=environment.table, DestinationCidrBlock="0.0.0.0/0")
    environment.nodes()
    found = nodegroup()
    assert (found["status"], found["health"]["issues"][0]["code"]) == (
        "CREATE_FAILED",
        "NodeCreationFailure",
    )


@pytest.mark.parametrize(
    ("network", "dns", "status"),
    [
        ({"publicAccessCidrs": ["9.9.9.9/32"]}, True, "CREATE_FAILED"),
        ({"publicAccessCidrs": ["9.9.9.9/32", "127.0.0.0/8"]}, True, "ACTIVE"),
        ({"publicAccessCidrs": ["9.9.9.9/32"], "endpointPrivateAccess": True}, True, "ACTIVE"),
        ({"endpointPrivateAccess": True}, False, "CREATE_FAILED"),
    ],
)
def test_nodes_reach_the_endpoint(
    cloud: RehearsalCloud, network: dict[str, Any], dns: bool, status: str
) -> None:
    """cluster-endpoint: private with DNS in the VPC, or public and open to the nodes."""
    environment = make()
    hostnames = {"Value": dns}
    client("ec2").modify_vpc_attribute(VpcId=environment.vpc, EnableDnsHostnames=hostnames)
    environment.cluster(resourcesVpcConfig=network)
    environment.nodes()
    assert nodegroup()["status"] == status


def test_public_subnets_must_assign_addresses(
    cloud: RehearsalCloud, environment: EksEnvironment
) -> None:
    """troubleshooting, "Ec2SubnetInvalidConfiguration"."""
    ec2 = client("ec2")
    off = {"Value": False}
    ec2.modify_subnet_attribute(SubnetId=environment.subnets[0], MapPublicIpOnLaunch=off)
    environment.nodes()
    found = nodegroup()
    (issue,) = found["health"]["issues"]
    assert (found["status"], issue["code"]) == ("CREATE_FAILED", "Ec2SubnetInvalidConfiguration")
    assert issue["resourceIds"] == [environment.subnets[0]]


def test_scaling_changes_the_machines(cloud: RehearsalCloud, environment: EksEnvironment) -> None:
    """API_UpdateNodegroupConfig: sizes, labels and taints; DescribeUpdate with the group's name."""
    eks = client("eks")
    environment.nodes(labels={"a": "1", "b": "2"})
    named = {"clusterName": "zoo", "nodegroupName": "nodes"}
    taint = {"key": "k", "value": "v", "effect": "NO_SCHEDULE"}
    update = eks.update_nodegroup_config(
        **named,
        scalingConfig={"desiredSize": 3},
        labels={"addOrUpdateLabels": {"a": "9"}, "removeLabels": ["b"]},
        taints={"addOrUpdateTaints": [taint]},
    )["update"]
    found = nodegroup()
    assert found["status"] == "ACTIVE"
    assert found["scalingConfig"] == {"minSize": 0, "maxSize": 4, "desiredSize": 3}
    assert (found["labels"], found["taints"]) == ({"a": "9"}, [taint])
    assert len(instances()) == 3
    asked = {"name": "zoo", "updateId": update["id"]}
    done = eks.describe_update(**asked, nodegroupName="nodes")["update"]
    assert (done["type"], done["status"]) == ("ConfigUpdate", "Successful")
    assert refused(eks.describe_update, **asked) == "ResourceNotFoundException"
    code = refused(eks.update_nodegroup_config, **named, scalingConfig={"desiredSize": 9})
    assert code == "InvalidParameterException"
    eks.update_nodegroup_config(**named, scalingConfig={"desiredSize": 0})
    assert not instances()


def test_one_update_of_a_group_at_a_time(slow_cloud: RehearsalCloud, slow: EksEnvironment) -> None:
    """API_UpdateNodegroupConfig: ResourceInUseException while another update runs."""
    eks, named = client("eks"), {"clusterName": "zoo", "nodegroupName": "nodes"}
    slow.nodes()
    advance(slow_cloud, 120)
    eks.update_nodegroup_config(**named, scalingConfig={"desiredSize": 1})
    again = refused(eks.update_nodegroup_config, **named, scalingConfig={"desiredSize": 2})
    assert again == "ResourceInUseException"
    assert refused(eks.delete_nodegroup, **named) == "ResourceInUseException"
    assert nodegroup()["status"] == "UPDATING"


@pytest.mark.parametrize("seconds", [0, 20, 180, 375])
def test_a_node_group_is_deleted_once_its_machines_are_gone(
    slow_cloud: RehearsalCloud, slow: EksEnvironment, seconds: int
) -> None:
    """API_DeleteNodegroup; who deletes its Auto Scaling group meanwhile changes nothing of it."""
    eks, autoscaling = client("eks"), client("autoscaling")
    slow.nodes()
    advance(slow_cloud, 120)
    (group,) = groups()
    eks.delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    advance(slow_cloud, seconds)
    if groups() and not groups()[0].get("Status"):
        name = group["AutoScalingGroupName"]
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
    advance(slow_cloud, 376 - seconds)
    assert nodegroup()["status"] == "DELETING"
    advance(slow_cloud, 60)
    assert eks.list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert groups() == []


def test_a_recreated_role_needs_a_recreated_entry(environment: EksEnvironment) -> None:
    """access-entries: an entry is bound to the role's unique id, and outlives the node group."""
    eks, iam = client("eks"), client("iam")
    environment.nodes()
    assert environment.node_role in eks.list_access_entries(clusterName="zoo")["accessEntries"]
    eks.delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    assert environment.node_role in eks.list_access_entries(clusterName="zoo")["accessEntries"]
    for attached_policy in iam.list_attached_role_policies(RoleName="node-role")[
        "AttachedPolicies"
    ]:
        iam.detach_role_policy(RoleName="node-role", PolicyArn=attached_policy["PolicyArn"])
    iam.delete_role(RoleName="node-role")
    iam.create_role(RoleName="node-role", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    iam.attach_role_policy(RoleName="node-role", PolicyArn=POLICY + "AmazonEKSWorkerNodePolicy")
    environment.nodes("again")
    assert nodegroup("again")["health"]["issues"][0]["code"] == "NodeCreationFailure"
    eks.delete_nodegroup(clusterName="zoo", nodegroupName="again")
    eks.delete_access_entry(clusterName="zoo", principalArn=environment.node_role)
    environment.nodes("third")
    assert nodegroup("third")["status"] == "ACTIVE"


def test_remaining_cni_interfaces_block_the_groups(
    cloud: RehearsalCloud, environment: EksEnvironment
) -> None:
    """Troubleshooting, "VPC CNI": leaked aws-K8S-* interfaces; EKS then leaves its group too."""
    cloud.faults.add({"fault": "leave-interfaces"})
    eks, ec2 = client("eks"), client("ec2")
    environment.nodes()
    eks.delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    eks.delete_cluster(name="zoo")
    assert eks.list_clusters()["clusters"] == []
    of_zoo = [{"Name": "tag:cluster.k8s.amazonaws.com/name", "Values": ["zoo"]}]
    left = ec2.describe_network_interfaces(Filters=of_zoo)["NetworkInterfaces"]
    assert [item["Status"] for item in left] == ["available", "available"]
    assert all(item["Description"].startswith("aws-K8S-i-") for item in left)
    group = left[0]["Groups"][0]["GroupId"]
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    assert refused(ec2.delete_subnet, SubnetId=left[0]["SubnetId"]) == "DependencyViolation"
    for item in left:
        ec2.delete_network_interface(NetworkInterfaceId=item["NetworkInterfaceId"])
    ec2.delete_security_group(GroupId=group)
