"""References to resources that do not exist: the codes of EC2's error page."""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import IMAGE, Network, client, network, refused, tagged

GONE = "0123456789abcdef0"
TAG = [{"Key": "a", "Value": "b"}]
FROM_NOWHERE = [
    {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "IpRanges": [{"CidrIp": "1.1.1.1/32"}]}
]
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("create_tags", {"Resources": [f"i-{GONE}"], "Tags": TAG}, "InvalidInstanceID.NotFound"),
    ("create_tags", {"Resources": [f"vol-{GONE}"], "Tags": TAG}, "InvalidVolume.NotFound"),
    ("delete_tags", {"Resources": [f"vpc-{GONE}"], "Tags": TAG}, "InvalidVpcID.NotFound"),
    ("create_tags", {"Resources": ["nonsense"], "Tags": TAG}, "InvalidID"),
    (
        "attach_internet_gateway",
        {"InternetGatewayId": f"igw-{GONE}", "VpcId": f"vpc-{GONE}"},
        "InvalidVpcID.NotFound",
    ),
    (
        "delete_internet_gateway",
        {"InternetGatewayId": f"igw-{GONE}"},
        "InvalidInternetGatewayID.NotFound",
    ),
    (
        "delete_launch_template",
        {"LaunchTemplateId": f"lt-{GONE}"},
        "InvalidLaunchTemplateId.NotFound",
    ),
    (
        "delete_launch_template",
        {"LaunchTemplateName": "missing"},
        "InvalidLaunchTemplateName.NotFoundException",
    ),
    (
        "describe_launch_templates",
        {"LaunchTemplateIds": [f"lt-{GONE}"]},
        "InvalidLaunchTemplateId.NotFound",
    ),
    ("release_address", {"AllocationId": f"eipalloc-{GONE}"}, "InvalidAllocationID.NotFound"),
    ("describe_subnets", {"SubnetIds": [f"subnet-{GONE}"]}, "InvalidSubnetID.NotFound"),
    ("delete_vpc", {"VpcId": f"vpc-{GONE}"}, "InvalidVpcID.NotFound"),
    ("delete_subnet", {"SubnetId": f"subnet-{GONE}"}, "InvalidSubnetID.NotFound"),
    ("delete_security_group", {"GroupId": f"sg-{GONE}"}, "InvalidGroup.NotFound"),
    ("delete_route_table", {"RouteTableId": f"rtb-{GONE}"}, "InvalidRouteTableID.NotFound"),
    (
        "disassociate_route_table",
        {"AssociationId": f"rtbassoc-{GONE}"},
        "InvalidAssociationID.NotFound",
    ),
    ("terminate_instances", {"InstanceIds": [f"i-{GONE}"]}, "InvalidInstanceID.NotFound"),
    ("delete_volume", {"VolumeId": f"vol-{GONE}"}, "InvalidVolume.NotFound"),
    (
        "delete_network_interface",
        {"NetworkInterfaceId": f"eni-{GONE}"},
        "InvalidNetworkInterfaceID.NotFound",
    ),
    (
        "create_security_group",
        {"GroupName": "x", "Description": "x", "VpcId": f"vpc-{GONE}"},
        "InvalidVpcID.NotFound",
    ),
    ("create_route_table", {"VpcId": f"vpc-{GONE}"}, "InvalidVpcID.NotFound"),
    ("describe_availability_zones", {"ZoneNames": ["us-east-1z"]}, "InvalidParameterValue"),
    ("describe_instance_types", {"InstanceTypes": ["r5.gigantic"]}, "InvalidInstanceType"),
    ("create_vpc", {"CidrBlock": "10.0.0.0/8"}, "InvalidVpc.Range"),
    (
        "create_vpc",
        {"CidrBlock": "10.0.0.0/16", "TagSpecifications": tagged("subnet", a="b")},
        "InvalidParameterValue",
    ),
    (
        "create_vpc",
        {"CidrBlock": "10.0.0.0/16", "TagSpecifications": tagged("vpc", **{"aws:a": "b"})},
        "InvalidParameterValue",
    ),
]


def test_unknown_references(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    answers = [(action, refused(getattr(ec2, action), **params)) for action, params, _ in CASES]
    assert answers == [(action, code) for action, _, code in CASES]


def test_references_to_other_networks(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    net: Network = network(ec2)
    other = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    pair = {"InternetGatewayId": other, "VpcId": net.vpc}
    assert refused(ec2.attach_internet_gateway, **pair) == "InvalidParameterValue"
    assert refused(ec2.detach_internet_gateway, **pair) == "Gateway.NotAttached"
    table = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    outside = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": other}
    assert refused(ec2.create_route, **outside) == "InvalidParameterValue"
    local = {"RouteTableId": table, "DestinationCidrBlock": "10.0.0.0/16"}
    assert refused(ec2.delete_route, **local) == "InvalidParameterValue"
    for cidr, zone, code in (
        ("10.1.0.0/20", "us-east-1a", "InvalidSubnet.Range"),
        ("10.0.0.0/24", "us-east-1a", "InvalidSubnet.Conflict"),
        ("10.0.64.0/24", "eu-west-1a", "InvalidParameterValue"),
    ):
        asked = {"VpcId": net.vpc, "CidrBlock": cidr, "AvailabilityZone": zone}
        assert refused(ec2.create_subnet, **asked) == code
    nowhere = {"GroupId": net.group, "IpPermissions": FROM_NOWHERE}
    assert refused(ec2.revoke_security_group_ingress, **nowhere) == "InvalidPermission.NotFound"


def test_template_versions(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    ec2.create_launch_template(LaunchTemplateName="ttt", LaunchTemplateData={"ImageId": IMAGE})
    asked = {"LaunchTemplate": {"LaunchTemplateName": "ttt", "Version": "7"}}
    code = refused(ec2.run_instances, MinCount=1, MaxCount=1, **asked)
    assert code == "InvalidLaunchTemplateId.VersionNotFound"


def test_tags_of_a_template_are_not_those_of_its_instances(cloud: RehearsalCloud) -> None:
    # CreateLaunchTemplate: TagSpecifications beside those inside LaunchTemplateData
    ec2 = client("ec2")
    inner = {"ImageId": IMAGE, "TagSpecifications": tagged("instance", what="machine")}
    ec2.create_launch_template(
        LaunchTemplateName="ttt",
        LaunchTemplateData=inner,
        TagSpecifications=tagged("launch-template", what="template"),
    )
    version = ec2.describe_launch_template_versions(LaunchTemplateName="ttt")
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["TagSpecifications"] == tagged("instance", what="machine")
    bare = tagged("launch-template", what="bare")
    ec2.create_launch_template(
        LaunchTemplateName="bare", LaunchTemplateData={"ImageId": IMAGE}, TagSpecifications=bare
    )
    version = ec2.describe_launch_template_versions(LaunchTemplateName="bare")
    assert version["LaunchTemplateVersions"][0]["LaunchTemplateData"] == {"ImageId": IMAGE}
    mine = [{"Name": "tag:what", "Values": ["template"]}]
    assert len(ec2.describe_launch_templates(Filters=mine)["LaunchTemplates"]) == 1


DRY_RUN_GONE = "0123456789abcdef0"
VPC, SUBNET, GROUP = (
    {"VpcId": f"vpc-{DRY_RUN_GONE}"},
    {"SubnetId": f"subnet-{DRY_RUN_GONE}"},
    f"sg-{DRY_RUN_GONE}",
)
TABLE, NAT = {"RouteTableId": f"rtb-{DRY_RUN_GONE}"}, {"NatGatewayId": f"nat-{DRY_RUN_GONE}"}
GATEWAY = {"InternetGatewayId": f"igw-{DRY_RUN_GONE}"}
OUT = {"DestinationCidrBlock": "0.0.0.0/0"}
HTTP = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "1.1.1.1/32"}]}
RULE = {"GroupId": GROUP, "IpPermissions": [HTTP]}
ZONE = {"CidrBlock": "10.0.0.0/20", "AvailabilityZone": "us-east-1a"}
INSTANCES = {"InstanceIds": [f"i-{DRY_RUN_GONE}"]}
ADDRESS = {"AllocationId": f"eipalloc-{DRY_RUN_GONE}"}
NO_VPC, NO_SUBNET = "InvalidVpcID.NotFound", "InvalidSubnetID.NotFound"
NO_GROUP, NO_TABLE = "InvalidGroup.NotFound", "InvalidRouteTableID.NotFound"
NO_GATEWAY, NO_INSTANCE = "InvalidInternetGatewayID.NotFound", "InvalidInstanceID.NotFound"
DRY_RUN_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("create_subnet", VPC | ZONE, NO_VPC),
    ("create_security_group", {"GroupName": "x", "Description": "x"} | VPC, NO_VPC),
    ("create_route_table", VPC, NO_VPC),
    ("attach_internet_gateway", GATEWAY | VPC, NO_VPC),
    ("describe_vpc_attribute", VPC | {"Attribute": "enableDnsSupport"}, NO_VPC),
    ("delete_vpc", VPC, NO_VPC),
    ("create_nat_gateway", SUBNET | {"ConnectivityType": "private"}, NO_SUBNET),
    ("describe_subnets", {"SubnetIds": [f"subnet-{DRY_RUN_GONE}"]}, NO_SUBNET),
    ("delete_subnet", SUBNET, NO_SUBNET),
    ("authorize_security_group_ingress", RULE, NO_GROUP),
    ("revoke_security_group_ingress", RULE, NO_GROUP),
    ("delete_security_group", {"GroupId": GROUP}, NO_GROUP),
    ("create_route", TABLE | OUT | {"GatewayId": f"igw-{DRY_RUN_GONE}"}, NO_TABLE),
    ("replace_route", TABLE | OUT | {"GatewayId": f"igw-{DRY_RUN_GONE}"}, NO_TABLE),
    ("delete_route_table", TABLE, NO_TABLE),
    (
        "disassociate_route_table",
        {"AssociationId": f"rtbassoc-{DRY_RUN_GONE}"},
        "InvalidAssociationID.NotFound",
    ),
    ("delete_internet_gateway", GATEWAY, NO_GATEWAY),
    ("delete_nat_gateway", NAT, "NatGatewayNotFound"),
    ("release_address", ADDRESS, "InvalidAllocationID.NotFound"),
    ("describe_instances", INSTANCES, NO_INSTANCE),
    ("start_instances", INSTANCES, NO_INSTANCE),
    ("terminate_instances", INSTANCES, NO_INSTANCE),
]


def test_unknown_ids(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    answers = [(name, refused(getattr(ec2, name), **call)) for name, call, _ in DRY_RUN_CASES]
    dry = [
        (name, refused(getattr(ec2, name), DryRun=True, **call)) for name, call, _ in DRY_RUN_CASES
    ]
    assert dry == [(name, code) for name, _, code in DRY_RUN_CASES]
    assert answers == dry


def test_known_ids(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    net = network(ec2)
    before = cloud.snapshot()
    cidr = "10.0.16.0/20"
    calls: list[tuple[Any, dict[str, Any]]] = [
        (ec2.create_subnet, {"VpcId": net.vpc, "CidrBlock": cidr}),
        (ec2.create_route_table, {"VpcId": net.vpc}),
        (ec2.delete_security_group, {"GroupId": net.group}),
        (ec2.authorize_security_group_ingress, {"GroupId": net.group, "IpPermissions": [HTTP]}),
    ]
    for call, params in calls:
        assert refused(call, DryRun=True, **params) == "DryRunOperation"
    assert cloud.snapshot() == before
