"""The prerequisites of an EKS cluster, created with plain boto3 calls for tests of the emulator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client

POLICY = "arn:aws:iam::aws:policy/"
NODE_POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKS_CNI_Policy",
)
SIZES = {"minSize": 0, "maxSize": 4, "desiredSize": 2}


def trust(*services: str) -> str:
    """Return a trust policy for AWS services."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": list(services)},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(name: str, service: str, *policies: str) -> str:
    """Create a role and return its ARN."""
    iam = client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))
    for policy in policies:
        iam.attach_role_policy(RoleName=name, PolicyArn=POLICY + policy)
    return str(made["Role"]["Arn"])


@dataclass
class EksEnvironment:
    """A VPC with two public subnets, and the roles of a cluster and of its nodes."""

    vpc: str
    subnets: list[str]
    cluster_role: str
    node_role: str
    gateway: str
    table: str

    def cluster(self, name: str = "zoo", **more: Any) -> dict[str, Any]:
        """Create a cluster in the two subnets."""
        network = {"subnetIds": self.subnets} | more.pop("resourcesVpcConfig", {})
        request = {
            "name": name,
            "roleArn": self.cluster_role,
            "resourcesVpcConfig": network,
            "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"},
        }
        made = client("eks").create_cluster(**(request | more))
        return dict(made["cluster"])

    def nodes(self, name: str = "nodes", **more: Any) -> dict[str, Any]:
        """Create a node group of the cluster "zoo"."""
        request = {
            "clusterName": "zoo",
            "nodegroupName": name,
            "subnets": self.subnets,
            "nodeRole": self.node_role,
            "scalingConfig": SIZES,
            "instanceTypes": ["r5.xlarge"],
        }
        made = client("eks").create_nodegroup(**(request | more))
        return dict(made["nodegroup"])


def make(zones: tuple[str, ...] = ("us-east-1a", "us-east-1b")) -> EksEnvironment:
    """Create the VPC, its subnets and the roles in us-east-1."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnets = []
    for number, zone in enumerate(zones):
        cidr = f"10.0.{16 * number}.0/20"
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]
        ec2.modify_subnet_attribute(SubnetId=made["SubnetId"], MapPublicIpOnLaunch={"Value": True})
        subnets.append(made["SubnetId"])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    here = [{"Name": "vpc-id", "Values": [vpc]}]
    table = ec2.describe_route_tables(Filters=here)["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    return EksEnvironment(
        vpc=vpc,
        subnets=subnets,
        cluster_role=role("cluster-role", "eks.amazonaws.com", "AmazonEKSClusterPolicy"),
        node_role=role("node-role", "ec2.amazonaws.com", *NODE_POLICIES),
        gateway=gateway,
        table=table,
    )


def advance(cloud: RehearsalCloud, seconds: float) -> None:
    """Advance the clock of a slow cloud by some seconds."""
    assert isinstance(cloud.clock, ManualClock)
    cloud.clock.advance(seconds)


def nodegroup(name: str = "nodes") -> dict[str, Any]:
    """Describe a node group of the cluster "zoo"."""
    found = client("eks").describe_nodegroup(clusterName="zoo", nodegroupName=name)
    return dict(found["nodegroup"])


def status(name: str = "zoo") -> str:
    """Return the state of a cluster."""
    return str(client("eks").describe_cluster(name=name)["cluster"]["status"])


def instances(**filters: str) -> list[dict[str, Any]]:
    """Return the instances that are not terminated, with these tags."""
    asked = [{"Name": f"tag:{key}", "Values": [v]} for key, v in filters.items()]
    found = client("ec2").describe_instances(Filters=asked)["Reservations"]
    every = [one for held in found for one in held["Instances"]]
    return [one for one in every if one["State"]["Name"] in ("pending", "running")]
