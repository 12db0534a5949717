"""NAT gateways: their states and addresses, and routes to deleted ones.

VPC user guide, "Work with NAT gateways" and "Troubleshoot NAT gateways".
"""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow

from aws_setup.rehearsal.aws.ec2.describe import apply_filters, paginate
from aws_setup.rehearsal.aws.ec2.lookup import (
    count_free_addresses,
    ec2_backend,
    find_elastic_address,
    find_subnet,
    free_addresses,
    has_internet_gateway,
    set_address,
    tags_for,
)
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

LISTED_AFTER_DELETION_SECONDS = 3600
"""Seconds for which a deleted or failed gateway is listed."""

FILTERS = {
    "nat-gateway-id": "NatGatewayId",
    "state": "State",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
}


class ReleasingAddresses(set[str]):
    """Allocation ids of deleted gateways that cannot be released yet."""


def _create(cloud: CloudApi, call: Call) -> dict[str, Any]:
    params = call.params
    ec2 = ec2_backend(cloud, call)
    subnet = find_subnet(ec2, params["SubnetId"])
    public = params.get("ConnectivityType", "public") == "public"
    if public and not params.get("AllocationId"):
        message = "The request must include the AllocationId parameter"
        raise AwsError("MissingParameter", message)
    address = find_elastic_address(ec2, params["AllocationId"]) if public else None
    _check_quota_and_addresses(cloud, ec2, subnet)
    failure = _failure(ec2, subnet, address) if public else None
    failure = failure or cloud.faults.resource_failure("nat-gateway", subnet.id)
    nat = ec2.create_nat_gateway(
        subnet.id,
        None if failure else params.get("AllocationId"),
        tags_for(params, "natgateway"),
        params.get("ConnectivityType", "public"),
    )
    _complete_gateway(
        ec2, nat, params.get("PrivateIpAddress") or next(free_addresses(cloud, ec2, subnet))
    )
    nat.state, nat._created_at = "pending", cloud.clock.today()
    if failure:
        cloud.schedule("nat available", lambda: _fail(cloud, ec2, nat, failure))
    else:
        cloud.schedule("nat available", lambda: _set_state(nat, "available", when="pending"))
    described = cloud.ask_action(call, "DescribeNatGateways", NatGatewayIds=[nat.id])
    return {"NatGateway": described["NatGateways"][0], "ClientToken": params.get("ClientToken", "")}


def _check_quota_and_addresses(cloud: CloudApi, ec2: Any, subnet: Any) -> None:
    if not count_free_addresses(ec2, subnet):
        message = f"There are not enough free addresses in subnet '{subnet.id}'"
        raise AwsError("InsufficientFreeAddressesInSubnet", message)
    zone = subnet.availability_zone
    in_zone = [
        nat
        for nat in ec2.nat_gateways.values()
        if nat.state in ("pending", "available", "deleting")
        and find_subnet(ec2, nat.subnet_id).availability_zone == zone
    ]
    if len(in_zone) >= cloud.settings.quotas.nat_gateways_per_zone:
        message = "The maximum number of NAT gateways has been reached."
        raise AwsError("NatGatewayLimitExceeded", message)


def _failure(ec2: Any, subnet: Any, address: Any) -> tuple[str, str] | None:
    """Return why the gateway will fail after its creation, as code and message."""
    if not has_internet_gateway(ec2, subnet.vpc_id):
        message = f"Network {subnet.vpc_id} has no Internet gateway attached"
        return "Gateway.NotAttached", message
    if address.association_id:
        message = f"Elastic IP address [{address.allocation_id}] is already associated"
        return "Resource.AlreadyAssociated", message
    return None


def _complete_gateway(ec2: Any, nat: Any, private_address: str) -> None:
    eni = nat._eni
    set_address(eni, private_address)
    nat.private_ip = private_address
    nat.address_set[0]["privateIp"] = private_address
    nat.address_set[0]["isPrimary"] = True
    nat.address_set[0]["status"] = "succeeded"
    eni.description = f"Interface for NAT Gateway {nat.id}"
    eni.interface_type = "nat_gateway"
    eni.requester_managed = True
    eni.status = "in-use"
    eni._group_set = []


def _set_state(nat: Any, state: str, *, when: str) -> None:
    if nat.state == when:
        nat.state = state


def _fail(cloud: CloudApi, ec2: Any, nat: Any, failure: tuple[str, str]) -> None:
    if nat.state == "pending":
        nat.state = "failed"
        nat.failure_code, nat.failure_message = failure
        ec2.enis.pop(nat._eni.id, None)
        cloud.clock.after_real(
            LISTED_AFTER_DELETION_SECONDS, lambda: ec2.nat_gateways.pop(nat.id, None)
        )


def _delete(cloud: CloudApi, call: Call) -> dict[str, Any]:
    ec2 = ec2_backend(cloud, call)
    nat = _get(ec2, call.params["NatGatewayId"])
    if nat.state in ("pending", "available"):
        nat.state = "deleting"
        cloud.schedule("nat deleted", lambda: _finish(cloud, ec2, nat))
    elif nat.state == "failed":
        _finish(cloud, ec2, nat)
    return {"NatGatewayId": nat.id}


def _finish(cloud: CloudApi, ec2: Any, nat: Any) -> None:
    """Finish a deletion: removes the interface; the address is free a few seconds later."""
    nat.state = "deleted"
    nat.delete_time = utcnow()
    ec2.enis.pop(nat._eni.id, None)
    releasing = cloud.store_of(ReleasingAddresses)
    freed = {str(a.allocation_id) for a in ec2.addresses if a.eni is nat._eni}
    for address in ec2.addresses:
        if address.allocation_id in freed:
            address.eni = address.association_id = None
    releasing.update(freed)
    cloud.schedule("address free after nat", lambda: releasing.difference_update(freed))
    cloud.clock.after_real(
        LISTED_AFTER_DELETION_SECONDS, lambda: ec2.nat_gateways.pop(nat.id, None)
    )


def _get(ec2: Any, nat_id: str) -> Any:
    if nat_id not in ec2.nat_gateways:
        raise AwsError("NatGatewayNotFound", f"The Nat Gateway {nat_id} was not found")
    return ec2.nat_gateways[nat_id]


def _describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    ec2 = ec2_backend(cloud, call)
    for nat_id in call.params.get("NatGatewayIds", []):
        _get(ec2, nat_id)
    items = cloud.ask(call, Filter=None, MaxResults=None, NextToken=None)
    found = apply_filters(items["NatGateways"], call.params.get("Filter", []), FILTERS)
    return paginate(call, found, "NatGateways")


def _mark_blackhole_routes(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """Mark routes with a deleted target as blackholes (VPC user guide, route table concepts)."""
    ec2 = ec2_backend(cloud, call)
    for table in answer["RouteTables"]:
        for route in table.get("Routes", []):
            if _target_is_gone(ec2, route):
                route["State"] = "blackhole"


def _target_is_gone(ec2: Any, route: dict[str, Any]) -> bool:
    if nat_id := route.get("NatGatewayId"):
        nat = ec2.nat_gateways.get(nat_id)
        return nat is None or nat.state not in ("pending", "available")
    gateway = str(route.get("GatewayId", ""))
    if gateway.startswith("igw-"):
        found = ec2.internet_gateways.get(gateway)
        return found is None or found.vpc is None
    return False


ANSWERS = {
    ("ec2", "CreateNatGateway"): _create,
    ("ec2", "DeleteNatGateway"): _delete,
    ("ec2", "DescribeNatGateways"): _describe,
}
AFTER = {("ec2", "DescribeRouteTables"): _mark_blackhole_routes}
