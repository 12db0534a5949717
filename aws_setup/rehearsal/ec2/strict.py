"""Single requests that moto lets through, or answers with less than EC2 does."""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.ec2.launch import check_tag
from aws_setup.rehearsal.ec2.lookup import ec2_of
from aws_setup.rehearsal.rules import AwsError, Call

GROUP_FILTERS = {"description", "group-id", "group-name", "owner-id", "vpc-id", "tag-key"}
GROUP_FILTERS |= {"ip-permission.cidr", "ip-permission.from-port", "ip-permission.group-id"}
GROUP_FILTERS |= {"ip-permission.protocol", "ip-permission.to-port", "security-group-rule-id"}


def _route(cloud: Cloud, call: Call) -> None:
    """CreateRoute: the target must exist and belong to the table's VPC."""
    ec2, params = ec2_of(cloud, call), call.params
    nat_id, gateway_id = params.get("NatGatewayId"), params.get("GatewayId", "")
    if nat_id and nat_id not in ec2.nat_gateways:
        message = f"The natGateway ID '{nat_id}' does not exist"
        raise AwsError("InvalidNatGatewayID.NotFound", message)
    table = ec2.route_tables.get(params["RouteTableId"])
    gateway = ec2.internet_gateways.get(gateway_id)
    if table and gateway and (gateway.vpc is None or gateway.vpc.id != table.vpc_id):
        message = (
            f"route table {table.id} and network gateway {gateway_id} belong to different networks"
        )
        raise AwsError("InvalidParameterValue", message)


def _associate(cloud: Cloud, call: Call) -> None:
    """AssociateRouteTable: a subnet has one table (EC2 error code Resource.AlreadyAssociated)."""
    wanted, subnet = call.params["RouteTableId"], call.params.get("SubnetId")
    for table in ec2_of(cloud, call).route_tables.values():
        if table.id != wanted and subnet and subnet in table._associations.values():
            message = (
                f"the specified association for route table {wanted} conflicts with an existing "
                "association"
            )
            raise AwsError("Resource.AlreadyAssociated", message)


def _group_filters(cloud: Cloud, call: Call) -> None:
    """DescribeSecurityGroups and …Rules: unknown filters are refused, as everywhere."""
    for one in call.params.get("Filters", []):
        name = str(one["Name"])
        if name not in GROUP_FILTERS and not name.startswith("tag:"):
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")


def _group_tags(cloud: Cloud, call: Call, answer: dict[str, Any]) -> None:
    """CreateSecurityGroup answers with the tags it was given."""
    group = ec2_of(cloud, call).get_security_group_from_id(answer["GroupId"])
    answer["Tags"] = [{"Key": tag["key"], "Value": tag["value"]} for tag in group.get_tags()]


def _tags(cloud: Cloud, call: Call) -> None:
    """Tags of create calls and CreateTags: reserved and too long ones are refused."""
    specified = [tag for s in call.params.get("TagSpecifications", []) for tag in s.get("Tags", [])]
    for tag in [*specified, *call.params.get("Tags", [])]:
        check_tag(tag["Key"], str(tag.get("Value", "")))


TAGGED = (
    "CreateVpc CreateSubnet CreateInternetGateway CreateNatGateway AllocateAddress "
    "CreateRouteTable CreateSecurityGroup CreateLaunchTemplate CreateTags "
    "CreateKeyPair ImportKeyPair CreateNetworkInterface CreateVolume CopyImage"
)
BEFORE = {("ec2", action): _tags for action in TAGGED.split()} | {
    ("ec2", "CreateRoute"): _route,
    ("ec2", "AssociateRouteTable"): _associate,
    ("ec2", "DescribeSecurityGroups"): _group_filters,
    ("ec2", "DescribeSecurityGroupRules"): _group_filters,
}
AFTER = {("ec2", "CreateSecurityGroup"): _group_tags}
