"""Who reaches whom in the emulated cloud, by what EC2, EKS and ELB hold."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.preflight.public_ip import operator_cidrs
from aws_setup.rehearsal.aws.ec2.reachability import (
    Instance,
    IpAddress,
    LoadBalancer,
    Node,
    Operator,
    reaches,
)
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.environment import script_environment
from tests.support import eks
from tests.support.aws import client, cloud, network, run, settings, where

__all__ = ["cloud", "settings"]

OPERATOR = "52.94.76.7/32"


def rule(port: int, *, cidr: str = "", group: str = "") -> list[dict[str, Any]]:
    """Return an IpPermission for one TCP port."""
    source: dict[str, Any] = (
        {"UserIdGroupPairs": [{"GroupId": group}]} if group else {"IpRanges": [{"CidrIp": cidr}]}
    )
    return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port} | source]


def internet_route(ec2: Any, vpc: str, gateway: str) -> str:
    """Add a default route to the VPC's main route table; returns the table's id."""
    table = ec2.describe_route_tables(Filters=where(vpc_id=vpc))["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    return str(table)


def test_the_operator_needs_route_rule_and_running_instance(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    net = network(ec2)
    vm = Instance(run(ec2, net)["InstanceId"])
    ec2.describe_instances()

    def reason() -> str:
        verdict = reaches(cloud, Operator(), vm, port=22)
        return "" if verdict else verdict.reason

    assert reason().endswith("has no route to 52.94.76.7")
    internet_route(ec2, net.vpc, net.gateway)
    assert reason() == f"{net.group} (g) has no inbound rule for tcp 22 from 52.94.76.7"
    ec2.authorize_security_group_ingress(
        GroupId=net.group, IpPermissions=rule(22, cidr="52.94.76.9/32")
    )
    assert "no inbound rule" in reason()
    ec2.authorize_security_group_ingress(GroupId=net.group, IpPermissions=rule(22, cidr=OPERATOR))
    assert reason() == ""
    cloud.settings.operator_address = "52.94.76.9"
    assert reason() == ""
    cloud.settings.operator_address = "52.94.76.10"
    assert reason().endswith("from 52.94.76.10")
    cloud.settings.operator_address = "52.94.76.9"
    ec2.stop_instances(InstanceIds=[vm.id])
    assert reason() == f"{vm.id} is stopped"
    ec2.start_instances(InstanceIds=[vm.id])
    assert reason() == ""
    ec2.terminate_instances(InstanceIds=[vm.id])
    assert reason() == f"nothing in the cloud is instance {vm.id}"


def test_checkip_answers_with_the_address_that_the_rules_see(
    cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SETUP_CHECKIP", script_environment(cloud.url, 0)["AWS_SETUP_CHECKIP"])
    config = Config(ssh_keypair_name="key", ssh_key_path="key")
    assert operator_cidrs(config) == (OPERATOR,)
    cloud.settings.operator_address = "52.94.76.10"
    assert operator_cidrs(config) == ("52.94.76.10/32",)
    assert len(cloud.calls) == 0, "no AWS call"


def test_a_network_acl_of_the_subnet_counts(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    net = network(ec2)
    internet_route(ec2, net.vpc, net.gateway)
    vm = Instance(run(ec2, net)["InstanceId"])
    ec2.authorize_security_group_ingress(GroupId=net.group, IpPermissions=rule(22, cidr=OPERATOR))
    assert reaches(cloud, Operator(), vm, port=22)
    (acl,) = ec2.describe_network_acls(Filters=where(vpc_id=net.vpc))["NetworkAcls"]
    ec2.create_network_acl_entry(
        NetworkAclId=acl["NetworkAclId"],
        RuleNumber=50,
        Protocol="6",
        RuleAction="deny",
        Egress=True,
        CidrBlock="52.0.0.0/8",
        PortRange={"From": 1024, "To": 65535},
    )
    reason = reaches(cloud, Operator(), vm, port=22).reason
    denied = "rule 50, denies outbound tcp 1024-65535 to 52.94.76.7"
    assert reason == f"{acl['NetworkAclId']} of {net.subnet}, {denied}"
    new_acl = ec2.create_network_acl(VpcId=net.vpc)["NetworkAcl"]["NetworkAclId"]
    association = acl["Associations"][0]["NetworkAclAssociationId"]
    ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=new_acl)
    reason = reaches(cloud, Operator(), vm, port=22).reason
    assert reason == f"{new_acl} of {net.subnet}, rule *, denies inbound tcp 22 from 52.94.76.7"


def test_nodes_have_the_clusters_own_group(cloud: RehearsalCloud) -> None:
    """The additional groups of CreateCluster are those of the control plane only."""
    ec2, made = client("ec2"), eks.make()
    group = ec2.create_security_group(GroupName="vms", Description="d", VpcId=made.vpc)["GroupId"]
    made.cluster(resourcesVpcConfig={"subnetIds": made.subnets, "securityGroupIds": [group]})
    vpc = client("eks").describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"]
    cluster_group = vpc["clusterSecurityGroupId"]
    made.nodes()
    eks.nodegroup()
    nodes = ec2.describe_instances(Filters=where(instance_state_name="running"))["Reservations"]
    pod = Node(nodes[0]["Instances"][0]["PrivateDnsName"])
    request = {"ImageId": "ami-079ac4c46055b2bdf", "InstanceType": "r5.xlarge"}
    vm = ec2.run_instances(
        **request, MinCount=1, MaxCount=1, SubnetId=made.subnets[0], SecurityGroupIds=[group]
    )["Instances"][0]
    ec2.describe_instances()
    manager, address = Instance(vm["InstanceId"]), IpAddress(vm["PrivateIpAddress"])
    reason = reaches(cloud, pod, manager, port=3306).reason
    assert reason.startswith(
        f"{group} (vms) has no inbound rule for tcp 3306 from {cluster_group} (eks-"
    )
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=rule(3306, group=cluster_group)
    )
    assert reaches(cloud, pod, manager, port=3306)
    assert reaches(cloud, pod, address, port=3306)
    assert not reaches(cloud, pod, address, port=1186)
    assert not reaches(cloud, pod, address, port=3306, protocol="udp")
    assert not reaches(cloud, manager, pod, port=6000)
    public = IpAddress("127" + vm["PrivateIpAddress"].removeprefix("10"))
    assert "no inbound rule for tcp 3306 from 127." in reaches(cloud, pod, public, port=3306).reason
    missing = reaches(cloud, pod, IpAddress("10.0.9.9"), port=3306).reason
    assert missing == "nothing in the cloud is at the address 10.0.9.9"
    ec2.modify_instance_attribute(InstanceId=vm["InstanceId"], Groups=[cluster_group])
    assert reaches(cloud, pod, manager, port=1186), "the interface has the new group"


@pytest.mark.parametrize("scheme", ["internet-facing", "internal"])
def test_a_load_balancer_by_scheme_listener_and_group(cloud: RehearsalCloud, scheme: str) -> None:
    ec2, made = client("ec2"), eks.make()
    group = ec2.create_security_group(GroupName="elb", Description="d", VpcId=made.vpc)["GroupId"]
    client("elb").create_load_balancer(
        LoadBalancerName="front",
        Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 443, "InstancePort": 30443}],
        Subnets=made.subnets,
        SecurityGroups=[group],
        Scheme=scheme,
    )
    front = LoadBalancer("front")
    assert reaches(cloud, Operator(), front, port=80).reason == (
        "load balancer front has no listener on port 80"
    )
    before = reaches(cloud, Operator(), front, port=443)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule(443, cidr=OPERATOR))
    after = reaches(cloud, Operator(), front, port=443)
    if scheme == "internal":
        assert after.reason == "load balancer front is internal: it has no public address"
    else:
        assert before.reason == f"{group} (elb) has no inbound rule for tcp 443 from 52.94.76.7"
        assert after
    missing = reaches(cloud, Operator(), LoadBalancer("other"), port=443).reason
    assert missing == "nothing in the cloud is load balancer other"
