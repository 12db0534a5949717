"""The least that boto3 needs for what create_aws_infrastructure.py makes without software.

python -m benchmarks.floor create|check|destroy KEY_PAIR: one call after the other, no inspection,
no tags but a name, no retries, no log, no second run after an interruption. What the script costs
beyond this is what it checks and remembers; benchmarks/work.py compares the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import boto3

ZONES = ("us-east-1a", "us-east-1b")
ADDRESSES = ("10.0.8.233", "10.0.4.113", "10.0.14.89")
NODE_PORTS = (
    ("tcp", 1186, 1186),
    ("tcp", 11860, 11860),
    ("tcp", 3306, 3306),
    ("tcp", 2181, 2181),
    ("tcp", 6000, 6999),
    ("udp", 7000, 7999),
)
NDB_AMIS = ("ami-02b05337b4142f447", "ami-0a3d55fdd1fe9a6b8")
SINGLE_AMIS = ("ami-0ef872c16032b2aeb", "ami-079ac4c46055b2bdf", "ami-093cb0299f0b291e6")
"""NDB's management server, the clients of λFS and of HopsFS."""
ZOOKEEPER_AMI = "ami-0700bf4465e5fd16d"
SCALED_AMI = SINGLE_AMIS[1]
SCALED = ("floor_hopsfs_clients", "floor_hopsfs_namenodes", "floor_clients")
ROLE, CLUSTER, GROUP, TAG = "floor-role", "floor-cluster", "floor-group", "floor"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "eks.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
POLICY = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
INTERNET = "0.0.0.0/0"


def tagged(kind: str) -> Any:
    """Return the tag by which `check` and `destroy` find a resource."""
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": TAG}]}]


MINE: Any = [{"Name": "tag:Name", "Values": [TAG]}]


def network(ec2: Any) -> tuple[str, list[str], str]:
    """Create VPC, subnets, gateways, routes and the security group."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{name: {"Value": True}})
    subnets = [
        ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.0.{16 * number}.0/20",
            AvailabilityZone=ZONES[number % 2],
            TagSpecifications=tagged("subnet"),
        )["Subnet"]["SubnetId"]
        for number in range(4)
    ]
    for subnet in subnets[:2]:
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    for address in (*ADDRESSES, "10.0.6.227"):
        ec2.create_subnet_cidr_reservation(
            SubnetId=subnets[0], Cidr=f"{address}/32", ReservationType="explicit"
        )
    gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway"))
    gateway = gateway["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))
    nat = ec2.create_nat_gateway(
        AllocationId=address["AllocationId"],
        SubnetId=subnets[0],
        TagSpecifications=tagged("natgateway"),
    )["NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat])
    for target, of in (
        ({"GatewayId": gateway}, subnets[:2]),
        ({"NatGatewayId": nat}, subnets[2:]),
    ):
        table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tagged("route-table"))
        table_id = table["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table_id, DestinationCidrBlock=INTERNET, **target)
        for subnet in of:
            ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet)
    group = ec2.create_security_group(
        GroupName=GROUP, Description=GROUP, VpcId=vpc, TagSpecifications=tagged("security-group")
    )["GroupId"]
    operator = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    itself = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[itself, operator | {"IpRanges": [{"CidrIp": "52.94.76.7/32"}]}],
    )
    return vpc, subnets, group


def machines(ec2: Any, autoscaling: Any, key: str, subnets: list[str], group: str) -> list[str]:
    """Launch the VMs, and create the launch templates and scaling groups."""
    common = {"InstanceType": "r5.4xlarge", "KeyName": key, "TagSpecifications": tagged("instance")}
    where = {"SubnetId": subnets[0], "SecurityGroupIds": [group]}
    launches: list[dict[str, Any]] = [{"ImageId": ami, "count": 2} for ami in NDB_AMIS]
    launches += [{"ImageId": ami, "count": 1} for ami in SINGLE_AMIS]
    launches += [
        {"ImageId": ZOOKEEPER_AMI, "count": 1, "PrivateIpAddress": item} for item in ADDRESSES
    ]
    ids: list[str] = []
    for launch in launches:
        count = launch.pop("count")
        started = ec2.run_instances(**common, **where, **launch, MinCount=count, MaxCount=count)
        ids += [item["InstanceId"] for item in started["Instances"]]
    for name in SCALED:
        template = ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": SCALED_AMI, "InstanceType": "r5.4xlarge"},
        )["LaunchTemplate"]["LaunchTemplateId"]
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateId": template},
            MinSize=0,
            MaxSize=8,
            DesiredCapacity=0,
            VPCZoneIdentifier=",".join(subnets[:2]),
        )
    return ids


def create(client: Callable[[str], Any], key: str) -> None:
    """Create everything and wait until the cluster is ACTIVE and the VMs run."""
    ec2, eks, iam = client("ec2"), client("eks"), client("iam")
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=POLICY)
    _, subnets, group = network(ec2)
    eks.create_cluster(
        name=CLUSTER,
        roleArn=role["Arn"],
        resourcesVpcConfig={"subnetIds": subnets, "securityGroupIds": [group]},
        accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
    )
    ids = machines(ec2, client("autoscaling"), key, subnets, group)
    ec2.get_waiter("instance_running").wait(InstanceIds=ids)
    eks.get_waiter("cluster_active").wait(name=CLUSTER)
    cluster = eks.describe_cluster(name=CLUSTER)["cluster"]["resourcesVpcConfig"]
    pair = [{"GroupId": cluster["clusterSecurityGroupId"]}]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": protocol, "FromPort": first, "ToPort": last, "UserIdGroupPairs": pair}
            for protocol, first, last in NODE_PORTS
        ],
    )


def check(client: Callable[[str], Any], key: str) -> None:
    """Read each kind of resource once, and nothing else."""
    ec2 = client("ec2")
    client("sts").get_caller_identity()
    [vpc] = ec2.describe_vpcs(Filters=MINE)["Vpcs"]
    for name in ("enableDnsSupport", "enableDnsHostnames"):
        ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)
    for operation in (
        "describe_subnets",
        "describe_internet_gateways",
        "describe_nat_gateways",
        "describe_addresses",
        "describe_route_tables",
        "describe_security_groups",
        "describe_instances",
        "describe_volumes",
    ):
        answer = getattr(ec2, operation)(Filters=MINE)
        if operation == "describe_subnets":
            ec2.get_subnet_cidr_reservations(SubnetId=answer["Subnets"][0]["SubnetId"])
    ec2.describe_images(
        Filters=[{"Name": "image-id", "Values": [*NDB_AMIS, *SINGLE_AMIS, ZOOKEEPER_AMI]}]
    )
    ec2.describe_launch_templates(LaunchTemplateNames=list(SCALED))
    ec2.describe_key_pairs(KeyNames=[key])
    client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=list(SCALED))
    client("iam").get_role(RoleName=ROLE)
    client("iam").list_attached_role_policies(RoleName=ROLE)
    client("eks").describe_cluster(name=CLUSTER)


def destroy(client: Callable[[str], Any], key: str) -> None:
    """Delete everything, each thing after what uses it."""
    ec2, eks, iam = client("ec2"), client("eks"), client("iam")
    [group] = ec2.describe_security_groups(Filters=MINE)["SecurityGroups"]
    # EKS keeps the cluster's own group as long as a rule of another one names it.
    ec2.revoke_security_group_ingress(
        GroupId=group["GroupId"], IpPermissions=group["IpPermissions"]
    )
    eks.delete_cluster(name=CLUSTER)
    for name in SCALED:
        client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        ec2.delete_launch_template(LaunchTemplateName=name)
    running = {"Name": "instance-state-name", "Values": ["running"]}
    held = ec2.describe_instances(Filters=[*MINE, running])["Reservations"]
    ids = [item["InstanceId"] for launch in held for item in launch["Instances"]]
    ec2.terminate_instances(InstanceIds=ids)
    available = {"Name": "state", "Values": ["available"]}
    [nat] = ec2.describe_nat_gateways(Filters=[*MINE, available])["NatGateways"]
    ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids)
    ec2.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[nat["NatGatewayId"]])
    eks.get_waiter("cluster_deleted").wait(name=CLUSTER)
    [address] = ec2.describe_addresses(Filters=MINE)["Addresses"]
    ec2.release_address(AllocationId=address["AllocationId"])
    ec2.delete_security_group(GroupId=group["GroupId"])
    for subnet in ec2.describe_subnets(Filters=MINE)["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for table in ec2.describe_route_tables(Filters=MINE)["RouteTables"]:
        ec2.delete_route_table(RouteTableId=table["RouteTableId"])
    [gateway] = ec2.describe_internet_gateways(Filters=MINE)["InternetGateways"]
    vpc = {"VpcId": group["VpcId"]}
    ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], **vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    ec2.delete_vpc(**vpc)
    iam.detach_role_policy(RoleName=ROLE, PolicyArn=POLICY)
    iam.delete_role(RoleName=ROLE)


VERBS = {"create": create, "check": check, "destroy": destroy}

if __name__ == "__main__":
    _clients: dict[str, Any] = {}

    def _client(service: str) -> Any:
        if service not in _clients:
            session: Any = boto3
            _clients[service] = session.client(service)
        return _clients[service]

    VERBS[sys.argv[1]](_client, sys.argv[2])
