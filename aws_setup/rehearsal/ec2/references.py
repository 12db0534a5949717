"""Requests that name what does not exist, or what does not belong together.

EC2 API reference, "Error codes for the Amazon EC2 API", client errors.
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.ec2.images import Images
from aws_setup.rehearsal.ec2.lookup import ec2_backend
from aws_setup.rehearsal.rules import AwsError, Call
from aws_setup.rehearsal.stale import NOT_FOUND_BY_ID_PREFIX, id_prefix


def known_ids(cloud: Cloud, call: Call) -> dict[str, set[str]]:
    """Return the ids that exist, by the beginning of the id."""
    ec2 = ec2_backend(cloud, call)
    return {
        "vpc": set(ec2.vpcs),
        "subnet": {key for zone in ec2.subnets.values() for key in zone},
        "igw": set(ec2.internet_gateways),
        "rtb": set(ec2.route_tables),
        "nat": set(ec2.nat_gateways),
        "eipalloc": {str(address.allocation_id) for address in ec2.addresses},
        "sg": {key for groups in ec2.groups.values() for key in groups},
        "i": {instance.id for instance in ec2.all_instances()},
        "lt": set(ec2.launch_templates),
        "vol": set(ec2.volumes),
        "eni": set(ec2.enis),
        "ami": {image for region, image in cloud.room(Images) if region == call.region},
    }


def _check_tagged_resources(cloud: Cloud, call: Call) -> None:
    """CreateTags and DeleteTags: every resource must exist."""
    known = known_ids(cloud, call)
    for resource in call.params.get("Resources", []):
        prefix = id_prefix(resource)
        if prefix and resource not in known[prefix]:
            raise AwsError(NOT_FOUND_BY_ID_PREFIX[prefix], f"The ID '{resource}' does not exist")


def _check_vpc_of_group(cloud: Cloud, call: Call) -> None:
    """CreateSecurityGroup: the VPC must exist."""
    vpc = call.params.get("VpcId", "")
    if vpc and vpc not in ec2_backend(cloud, call).vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")


def _check_attach_gateway(cloud: Cloud, call: Call) -> None:
    """AttachInternetGateway: a VPC has one gateway, a gateway one VPC."""
    ec2, vpc = ec2_backend(cloud, call), call.params["VpcId"]
    wanted = call.params["InternetGatewayId"]
    if vpc not in ec2.vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    for gateway in ec2.internet_gateways.values():
        if gateway.id != wanted and gateway.vpc and gateway.vpc.id == vpc:
            message = f"Network {vpc} already has an internet gateway attached"
            raise AwsError("InvalidParameterValue", message)


def _check_launch_template(cloud: Cloud, call: Call) -> None:
    """DeleteLaunchTemplate, DescribeLaunchTemplates: ids and names must exist."""
    ec2, params = ec2_backend(cloud, call), call.params
    ids = [params.get("LaunchTemplateId"), *params.get("LaunchTemplateIds", [])]
    names = [params.get("LaunchTemplateName"), *params.get("LaunchTemplateNames", [])]
    for wanted in filter(None, ids):
        if wanted not in ec2.launch_templates:
            message = f"The specified launch template, with template ID {wanted}, does not exist."
            raise AwsError("InvalidLaunchTemplateId.NotFound", message)
    for wanted in filter(None, names):
        if wanted not in ec2.launch_template_name_to_ids:
            message = f"The specified launch template, with template name {wanted}, does not exist."
            raise AwsError("InvalidLaunchTemplateName.NotFoundException", message)


def _check_subnet_zone(cloud: Cloud, call: Call) -> None:
    """CreateSubnet: the zone must be one of the region."""
    names, ids = _zones(cloud, call)
    asked = call.params.get("AvailabilityZone", "")
    asked_id = call.params.get("AvailabilityZoneId", "")
    if (asked and asked not in names) or (asked_id and asked_id not in ids):
        message = (
            f"Value ({asked or asked_id}) for parameter availabilityZone is invalid. Subnets can "
            f"currently only be created in the following availability zones: {', '.join(names)}."
        )
        raise AwsError("InvalidParameterValue", message)


def _check_zone_names(cloud: Cloud, call: Call) -> None:
    """DescribeAvailabilityZones: zones that are asked for must exist."""
    names, ids = _zones(cloud, call)
    asked = [*call.params.get("ZoneNames", []), *call.params.get("ZoneIds", [])]
    unknown = [zone for zone in asked if zone not in names and zone not in ids]
    if unknown:
        message = f"Invalid availability zone-id: [{', '.join(unknown)}]"
        raise AwsError("InvalidParameterValue", message)


def _zones(cloud: Cloud, call: Call) -> tuple[list[str], list[str]]:
    zones: list[Any] = ec2_backend(cloud, call).describe_availability_zones()
    return [zone.name for zone in zones], [zone.zone_id for zone in zones]


def _check_not_local_route(cloud: Cloud, call: Call) -> None:
    """DeleteRoute: the local route stays."""
    table = ec2_backend(cloud, call).route_tables.get(call.params["RouteTableId"])
    wanted = call.params.get("DestinationCidrBlock")
    for route in table.routes if table else ():
        if route.local and route.destination_cidr_block == wanted:
            message = f"cannot remove local route {wanted} in route table {table.id}"
            raise AwsError("InvalidParameterValue", message)


def _template_tags(cloud: Cloud, call: Call, answer: dict[str, Any]) -> None:
    """CreateTags, DeleteTags: moto's launch templates keep the tags that they were made with."""
    for template in ec2_backend(cloud, call).launch_templates.values():
        template.tags = template.get_tags()


AFTER = {("ec2", "CreateTags"): _template_tags, ("ec2", "DeleteTags"): _template_tags}

EXISTENCE_CHECKS = {
    ("ec2", "CreateTags"): _check_tagged_resources,
    ("ec2", "DeleteTags"): _check_tagged_resources,
    ("ec2", "CreateSecurityGroup"): _check_vpc_of_group,
    ("ec2", "AttachInternetGateway"): _check_attach_gateway,
    ("ec2", "DeleteLaunchTemplate"): _check_launch_template,
    ("ec2", "DescribeLaunchTemplates"): _check_launch_template,
    ("ec2", "CreateSubnet"): _check_subnet_zone,
    ("ec2", "DescribeAvailabilityZones"): _check_zone_names,
    ("ec2", "DeleteRoute"): _check_not_local_route,
}
