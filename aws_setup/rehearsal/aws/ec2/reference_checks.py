"""Rejects references to resources that do not exist, and deletions of resources in use.

EC2 API reference, "Error codes for the Amazon EC2 API", client errors.
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws.ec2.image_copies import Snapshots
from aws_setup.rehearsal.aws.ec2.images import Images
from aws_setup.rehearsal.aws.ec2.lookup import (
    ec2_backend,
    find_elastic_address,
    find_security_group,
    network_interfaces_in,
)
from aws_setup.rehearsal.aws.ec2.nat_gateways import ReleasingAddresses
from aws_setup.rehearsal.core.consistency import NOT_FOUND_BY_ID_PREFIX, id_prefix
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi


def known_ids(cloud: CloudApi, call: Call) -> dict[str, set[str]]:
    """Return the ids that exist, by id prefix."""
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
        "ami": {image for region, image in cloud.store_of(Images) if region == call.region},
        "snap": {item for region, item in cloud.store_of(Snapshots) if region == call.region},
    }


def _check_tagged_resources(cloud: CloudApi, call: Call) -> None:
    """CreateTags and DeleteTags: every resource must exist."""
    known = known_ids(cloud, call)
    for resource in call.params.get("Resources", []):
        prefix = id_prefix(resource)
        if prefix and resource not in known[prefix]:
            raise AwsError(NOT_FOUND_BY_ID_PREFIX[prefix], f"The ID '{resource}' does not exist")


def _check_vpc_of_group(cloud: CloudApi, call: Call) -> None:
    """CreateSecurityGroup: the VPC must exist."""
    vpc = call.params.get("VpcId", "")
    if vpc and vpc not in ec2_backend(cloud, call).vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")


def _check_attach_gateway(cloud: CloudApi, call: Call) -> None:
    """AttachInternetGateway: one gateway for each VPC."""
    ec2, vpc = ec2_backend(cloud, call), call.params["VpcId"]
    gateway_id = call.params["InternetGatewayId"]
    if vpc not in ec2.vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    for gateway in ec2.internet_gateways.values():
        if gateway.id != gateway_id and gateway.vpc and gateway.vpc.id == vpc:
            message = f"Network {vpc} already has an internet gateway attached"
            raise AwsError("InvalidParameterValue", message)


def _check_launch_template(cloud: CloudApi, call: Call) -> None:
    """DeleteLaunchTemplate, DescribeLaunchTemplates: ids and names must exist."""
    ec2, params = ec2_backend(cloud, call), call.params
    ids = [params.get("LaunchTemplateId"), *params.get("LaunchTemplateIds", [])]
    names = [params.get("LaunchTemplateName"), *params.get("LaunchTemplateNames", [])]
    for name_or_id in filter(None, ids):
        if name_or_id not in ec2.launch_templates:
            message = (
                f"The specified launch template, with template ID {name_or_id}, does not exist."
            )
            raise AwsError("InvalidLaunchTemplateId.NotFound", message)
    for name_or_id in filter(None, names):
        if name_or_id not in ec2.launch_template_name_to_ids:
            message = (
                f"The specified launch template, with template name {name_or_id}, does not exist."
            )
            raise AwsError("InvalidLaunchTemplateName.NotFoundException", message)


def _check_subnet_zone(cloud: CloudApi, call: Call) -> None:
    """CreateSubnet: the zone must be in the region."""
    names, ids = _zones(cloud, call)
    zone_name = call.params.get("AvailabilityZone", "")
    zone_id = call.params.get("AvailabilityZoneId", "")
    if (zone_name and zone_name not in names) or (zone_id and zone_id not in ids):
        message = (
            f"Value ({zone_name or zone_id}) for parameter availabilityZone is invalid. Subnets "
            "can currently only be created in the following availability zones: "
            f"{', '.join(names)}."
        )
        raise AwsError("InvalidParameterValue", message)


def _check_zone_names(cloud: CloudApi, call: Call) -> None:
    """DescribeAvailabilityZones: requested zones must exist."""
    names, ids = _zones(cloud, call)
    requested = [*call.params.get("ZoneNames", []), *call.params.get("ZoneIds", [])]
    unknown = [zone for zone in requested if zone not in names and zone not in ids]
    if unknown:
        message = f"Invalid availability zone-id: [{', '.join(unknown)}]"
        raise AwsError("InvalidParameterValue", message)


def _zones(cloud: CloudApi, call: Call) -> tuple[list[str], list[str]]:
    zones: list[Any] = ec2_backend(cloud, call).describe_availability_zones()
    return [zone.name for zone in zones], [zone.zone_id for zone in zones]


def _check_not_local_route(cloud: CloudApi, call: Call) -> None:
    """DeleteRoute: the local route cannot be deleted."""
    table = ec2_backend(cloud, call).route_tables.get(call.params["RouteTableId"])
    cidr = call.params.get("DestinationCidrBlock")
    for route in table.routes if table else ():
        if route.local and route.destination_cidr_block == cidr:
            message = f"cannot remove local route {cidr} in route table {table.id}"
            raise AwsError("InvalidParameterValue", message)


def _template_tags(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """CreateTags, DeleteTags: moto's launch templates keep the tags of their creation."""
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


def _dependency_violation(kind: str, name: str) -> AwsError:
    message = f"The {kind} '{name}' has dependencies and cannot be deleted."
    return AwsError("DependencyViolation", message)


def _check_vpc_unused(cloud: CloudApi, call: Call) -> None:
    """DeleteVpc: only the default group, main route table and default ACL may remain in it."""
    ec2, vpc = ec2_backend(cloud, call), call.params["VpcId"]
    if vpc not in ec2.vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    gateways = [gw for gw in ec2.internet_gateways.values() if gw.vpc and gw.vpc.id == vpc]
    groups = [g for g in ec2.groups[vpc].values() if g.name != "default"]
    tables = [t for t in ec2.route_tables.values() if t.vpc_id == vpc and not _is_main(t)]
    subnets = [s for zone in ec2.subnets.values() for s in zone.values() if s.vpc_id == vpc]
    acls = [acl for acl in ec2.network_acls.values() if acl.vpc_id == vpc and not acl.default]
    if gateways or groups or tables or subnets or acls or network_interfaces_in(ec2, vpc=vpc):
        raise _dependency_violation("vpc", vpc)


def _is_main(table: Any) -> bool:
    return bool(table.main_association_id)


def _check_gateway_unused(cloud: CloudApi, call: Call) -> None:
    """DetachInternetGateway: rejected while public addresses are mapped."""
    vpc, gateway_id = call.params["VpcId"], call.params["InternetGatewayId"]
    gateway = ec2_backend(cloud, call).internet_gateways.get(gateway_id)
    if gateway is None or not gateway.vpc or gateway.vpc.id != vpc:
        return  # moto rejects it with the right code
    if any(eni.public_ip for eni in network_interfaces_in(ec2_backend(cloud, call), vpc=vpc)):
        message = (
            f"Network {vpc} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway."
        )
        raise AwsError("DependencyViolation", message)


def _check_subnet_unused(cloud: CloudApi, call: Call) -> None:
    """DeleteSubnet: rejected while it has network interfaces, including those of NAT gateways."""
    if network_interfaces_in(ec2_backend(cloud, call), subnet=call.params["SubnetId"]):
        raise _dependency_violation("subnet", call.params["SubnetId"])


def _check_group_unused(cloud: CloudApi, call: Call) -> None:
    """DeleteSecurityGroup: rejected for the default group, and while used or referenced."""
    ec2, group_id = ec2_backend(cloud, call), call.params.get("GroupId", "")
    if not group_id:
        return
    group = find_security_group(ec2, group_id)
    if group.name == "default":
        message = f'the specified group: "{group_id}" name: "default" cannot be deleted by a user'
        raise AwsError("CannotDelete", message)
    others = [g for groups in ec2.groups.values() for g in groups.values() if g is not group]
    referenced = any(_references_group(other, group_id) for other in others)
    if referenced or any(group in eni.group_set for eni in ec2.enis.values()):
        raise AwsError("DependencyViolation", f"resource {group_id} has a dependent object")


def _references_group(group: Any, group_id: str) -> bool:
    rules = [*group.ingress_rules, *group.egress_rules]
    return any((rule.source_group or {}).get("GroupId") == group_id for rule in rules)


def _check_route_table_unused(cloud: CloudApi, call: Call) -> None:
    """DeleteRouteTable: rejected for the main table and for associated tables."""
    table = ec2_backend(cloud, call).route_tables.get(call.params["RouteTableId"])
    if table is not None and (_is_main(table) or table._associations):
        raise _dependency_violation("routeTable", table.id)


def _check_address_unused(cloud: CloudApi, call: Call) -> None:
    """ReleaseAddress: rejected while associated and shortly after its NAT gateway's deletion."""
    allocation = call.params.get("AllocationId", "")
    if not allocation:
        return
    address = find_elastic_address(ec2_backend(cloud, call), allocation)
    if address.association_id:
        message = f"Address {address.public_ip} is in use."
        raise AwsError("InvalidIPAddress.InUse", message)
    if allocation in cloud.store_of(ReleasingAddresses):
        message = "You do not have permission to access the specified resource."
        raise AwsError("AuthFailure", message)


def _check_interface_detached(cloud: CloudApi, call: Call) -> None:
    """DeleteNetworkInterface: rejected while it is attached."""
    eni = ec2_backend(cloud, call).enis.get(call.params["NetworkInterfaceId"])
    if eni is not None and eni.status == "in-use":
        message = f"Network interface '{eni.id}' is currently in use."
        raise AwsError("InvalidParameterValue", message)


DELETE_CHECKS = {
    ("ec2", "DeleteVpc"): _check_vpc_unused,
    ("ec2", "DetachInternetGateway"): _check_gateway_unused,
    ("ec2", "DeleteSubnet"): _check_subnet_unused,
    ("ec2", "DeleteSecurityGroup"): _check_group_unused,
    ("ec2", "DeleteRouteTable"): _check_route_table_unused,
    ("ec2", "ReleaseAddress"): _check_address_unused,
    ("ec2", "DeleteNetworkInterface"): _check_interface_detached,
}

BEFORE = {**EXISTENCE_CHECKS, **DELETE_CHECKS}
