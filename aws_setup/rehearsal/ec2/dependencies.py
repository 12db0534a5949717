"""What refuses to be deleted because something still needs it.

EC2 API reference, error codes: DependencyViolation, InvalidIPAddress.InUse, CannotDelete.
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.ec2.lookup import find_elastic_address, ec2_backend, network_interfaces_in, find_security_group
from aws_setup.rehearsal.ec2.nat import ReleasingAddresses
from aws_setup.rehearsal.rules import AwsError, Call


def _dependency_violation(kind: str, name: str) -> AwsError:
    message = f"The {kind} '{name}' has dependencies and cannot be deleted."
    return AwsError("DependencyViolation", message)


def _check_vpc_unused(cloud: Cloud, call: Call) -> None:
    """DeleteVpc: only the default group, the main route table and the default ACL go with it."""
    ec2, vpc = ec2_backend(cloud, call), call.params["VpcId"]
    if vpc not in ec2.vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    gateways = [gw for gw in ec2.internet_gateways.values() if gw.vpc and gw.vpc.id == vpc]
    groups = [g for g in ec2.groups[vpc].values() if g.name != "default"]
    tables = [t for t in ec2.route_tables.values() if t.vpc_id == vpc and not _is_main(t)]
    subnets = [s for zone in ec2.subnets.values() for s in zone.values() if s.vpc_id == vpc]
    if gateways or groups or tables or subnets or network_interfaces_in(ec2, vpc=vpc):
        raise _dependency_violation("vpc", vpc)


def _is_main(table: Any) -> bool:
    return bool(table.main_association_id)


def _check_gateway_unused(cloud: Cloud, call: Call) -> None:
    """DetachInternetGateway: not while public addresses are mapped."""
    vpc, gateway_id = call.params["VpcId"], call.params["InternetGatewayId"]
    gateway = ec2_backend(cloud, call).internet_gateways.get(gateway_id)
    if gateway is None or not gateway.vpc or gateway.vpc.id != vpc:
        return  # moto refuses it with the right code
    if any(eni.public_ip for eni in network_interfaces_in(ec2_backend(cloud, call), vpc=vpc)):
        message = (
            f"Network {vpc} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway."
        )
        raise AwsError("DependencyViolation", message)


def _check_subnet_unused(cloud: Cloud, call: Call) -> None:
    """DeleteSubnet: not while it holds network interfaces, NAT gateways' included."""
    if network_interfaces_in(ec2_backend(cloud, call), subnet=call.params["SubnetId"]):
        raise _dependency_violation("subnet", call.params["SubnetId"])


def _check_group_unused(cloud: Cloud, call: Call) -> None:
    """DeleteSecurityGroup: not the default one, not while used or referenced."""
    ec2, wanted = ec2_backend(cloud, call), call.params.get("GroupId", "")
    if not wanted:
        return
    group = find_security_group(ec2, wanted)
    if group.name == "default":
        message = f'the specified group: "{wanted}" name: "default" cannot be deleted by a user'
        raise AwsError("CannotDelete", message)
    others = [g for groups in ec2.groups.values() for g in groups.values() if g is not group]
    referenced = any(_references_group(other, wanted) for other in others)
    if referenced or any(group in eni.group_set for eni in ec2.enis.values()):
        raise AwsError("DependencyViolation", f"resource {wanted} has a dependent object")


def _references_group(group: Any, wanted: str) -> bool:
    rules = [*group.ingress_rules, *group.egress_rules]
    return any((rule.source_group or {}).get("GroupId") == wanted for rule in rules)


def _check_route_table_unused(cloud: Cloud, call: Call) -> None:
    """DeleteRouteTable: neither the main one nor one that is associated."""
    table = ec2_backend(cloud, call).route_tables.get(call.params["RouteTableId"])
    if table is not None and (_is_main(table) or table._associations):
        raise _dependency_violation("routeTable", table.id)


def _check_address_unused(cloud: Cloud, call: Call) -> None:
    """ReleaseAddress: not while associated, and not in the first seconds after its NAT's end."""
    allocation = call.params.get("AllocationId", "")
    if not allocation:
        return
    address = find_elastic_address(ec2_backend(cloud, call), allocation)
    if address.association_id:
        message = f"Address {address.public_ip} is in use."
        raise AwsError("InvalidIPAddress.InUse", message)
    if allocation in cloud.room(ReleasingAddresses):
        message = "You do not have permission to access the specified resource."
        raise AwsError("AuthFailure", message)


def _check_interface_detached(cloud: Cloud, call: Call) -> None:
    """DeleteNetworkInterface: not while it is attached."""
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
