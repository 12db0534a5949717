"""EC2's quotas, offerings and capacity: vCPUs, elastic IPs, VPCs, internet gateways.

Service quotas user guide; EC2 error codes VcpuLimitExceeded, AddressLimitExceeded,
VpcLimitExceeded, InternetGatewayLimitExceeded.
"""

from __future__ import annotations

import functools
from typing import Any

from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend
from aws_setup.rehearsal.core.settings import partition_of
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

STANDARD = ("a", "c", "d", "h", "i", "m", "r", "t", "z")
"""Families that count against the quota of standard instances, L-1216C47A."""

COUNTED_STATES = ("pending", "running")
"""States in which an instance counts (EC2 user guide, "On-Demand Instance quotas")."""


def vcpus_used(cloud: CloudApi, region: str, *, spot: bool = False) -> int:
    """Return the vCPUs of the running and pending standard instances of a region.

    Spot Instances have a quota of their own (EC2 user guide, "Spot Instance quotas").
    """
    return sum(
        vcpus(instance.instance_type)
        for instance in cloud.backend("ec2", region).all_instances()
        if instance.state in COUNTED_STATES
        and instance.instance_type.startswith(STANDARD)
        and (instance.lifecycle == "spot") is spot
    )


def remaining_instances(
    cloud: CloudApi, region: str, instance_type: str, *, spot: bool = False
) -> int:
    """Return how many more instances of a type the vCPU quota allows."""
    quotas = cloud.settings.quotas
    limit = quotas.spot_vcpus if spot else quotas.vcpus
    return max(0, (limit - vcpus_used(cloud, region, spot=spot)) // vcpus(instance_type))


def vcpu_limit_exceeded(cloud: CloudApi, *, spot: bool = False) -> AwsError:
    """Return the error of a launch that exceeds the vCPU quota (EC2 error codes)."""
    if spot:
        return AwsError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    limit = cloud.settings.quotas.vcpus
    message = (
        f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows "
        "for the instance bucket that the specified instance type belongs to."
    )
    return AwsError("VcpuLimitExceeded", message)


def _addresses(cloud: CloudApi, call: Call) -> None:
    if len(ec2_backend(cloud, call).addresses) >= cloud.settings.quotas.elastic_ips:
        message = "The maximum number of addresses has been reached."
        raise AwsError("AddressLimitExceeded", message)


def _vpcs(cloud: CloudApi, call: Call) -> None:
    if len(ec2_backend(cloud, call).vpcs) >= cloud.settings.quotas.vpcs:
        raise AwsError("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


def _gateways(cloud: CloudApi, call: Call) -> None:
    if len(ec2_backend(cloud, call).internet_gateways) >= cloud.settings.quotas.internet_gateways:
        message = "The maximum number of internet gateways has been reached."
        raise AwsError("InternetGatewayLimitExceeded", message)


BEFORE = {
    ("ec2", "AllocateAddress"): _addresses,
    ("ec2", "CreateVpc"): _vpcs,
    ("ec2", "CreateInternetGateway"): _gateways,
}


def vcpus(instance_type: str) -> int:
    """Return the vCPUs of a type; raises InvalidParameterValue for an unknown type."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    if instance_type not in INSTANCE_TYPES:
        message = f"Invalid value '{instance_type}' for InstanceType."
        raise AwsError("InvalidParameterValue", message)
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def is_offered(cloud: CloudApi, region: str, zone: str, instance_type: str) -> bool:
    """Return whether a zone offers an instance type."""
    if instance_type in cloud.settings.not_offered.get(zone, []):
        return False
    return (zone, instance_type) in _offered(region)


@functools.cache
def _offered(region: str) -> frozenset[tuple[str, str]]:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"]
    # moto has no list for other partitions: their zones offer what those of us-east-1 offer.
    named_as = "us-east-1" if region not in offers else region
    return frozenset(
        (offer["Location"].replace(named_as, region), offer["InstanceType"])
        for offer in offers[named_as]
    )


def check_offered(cloud: CloudApi, region: str, zone: str, instance_type: str) -> None:
    """Reject a type that the zone does not offer; raises Unsupported."""
    if not is_offered(cloud, region, zone, instance_type):
        message = (
            f"Your requested instance type ({instance_type}) is not supported in your requested "
            f"Availability Zone ({zone})."
        )
        raise AwsError("Unsupported", message)


def check_capacity(cloud: CloudApi, zone: str, instance_type: str) -> None:
    """Reject a launch for which a fault removes the capacity."""
    if cloud.faults.no_capacity(zone, instance_type):
        message = (
            f"We currently do not have sufficient {instance_type} capacity in the Availability "
            f"Zone you requested ({zone})."
        )
        raise AwsError("InsufficientInstanceCapacity", message, status=500)


def _offerings(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """Remove the types that a zone does not offer by the settings."""
    offers = answer.get("InstanceTypeOfferings", []) or _of_other_partition(call)
    answer["InstanceTypeOfferings"] = [
        offer
        for offer in offers
        if offer["InstanceType"] not in cloud.settings.not_offered.get(offer["Location"], [])
    ]


def _of_other_partition(call: Call) -> list[dict[str, str]]:
    """Return the offers of a region of which moto has no list."""
    if partition_of(call.region) == "aws":
        return []
    filters = {item["Name"]: item["Values"] for item in call.params.get("Filters", [])}
    types, kind = filters.get("instance-type", []), call.params.get("LocationType", "region")
    return [
        {"InstanceType": name, "LocationType": kind, "Location": zone}
        for zone, name in sorted(_offered(call.region))
        if name in types
    ]


AFTER = {("ec2", "DescribeInstanceTypeOfferings"): _offerings}
