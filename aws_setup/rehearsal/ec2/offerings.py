"""Instance types, zones, and which zone offers which type.

EC2 API reference, DescribeInstanceTypeOfferings; error code Unsupported.
"""

from __future__ import annotations

import functools
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.rules import AwsError, Call


def vcpus(instance_type: str) -> int:
    """Return the vCPUs of a type; raises InvalidParameterValue for an unknown type."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    if instance_type not in INSTANCE_TYPES:
        message = f"Invalid value '{instance_type}' for InstanceType."
        raise AwsError("InvalidParameterValue", message)
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def is_offered(cloud: Cloud, region: str, zone: str, instance_type: str) -> bool:
    """Say whether a zone offers an instance type."""
    if instance_type in cloud.settings.not_offered.get(zone, []):
        return False
    return (zone, instance_type) in _offered(region)


@functools.cache
def _offered(region: str) -> frozenset[tuple[str, str]]:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return frozenset((offer["Location"], offer["InstanceType"]) for offer in offers)


def check_offered(cloud: Cloud, region: str, zone: str, instance_type: str) -> None:
    """Refuse a type that the zone does not offer; raises Unsupported."""
    if not is_offered(cloud, region, zone, instance_type):
        message = (
            f"Your requested instance type ({instance_type}) is not supported in your requested "
            f"Availability Zone ({zone})."
        )
        raise AwsError("Unsupported", message)


def check_capacity(cloud: Cloud, zone: str, instance_type: str) -> None:
    """Refuse where a fault says that there is no capacity."""
    if cloud.faults.no_capacity(zone, instance_type):
        message = (
            f"We currently do not have sufficient {instance_type} capacity in the Availability "
            f"Zone you requested ({zone})."
        )
        raise AwsError("InsufficientInstanceCapacity", message, status=500)


def _offerings(cloud: Cloud, call: Call, answer: dict[str, Any]) -> None:
    """Take out what the settings say a zone does not offer."""
    answer["InstanceTypeOfferings"] = [
        offer
        for offer in answer.get("InstanceTypeOfferings", [])
        if offer["InstanceType"] not in cloud.settings.not_offered.get(offer["Location"], [])
    ]


AFTER = {("ec2", "DescribeInstanceTypeOfferings"): _offerings}
