"""EC2's quotas, enforced: vCPUs, elastic addresses, VPCs, internet gateways.

Service quotas user guide; EC2 error codes VcpuLimitExceeded, AddressLimitExceeded,
VpcLimitExceeded, InternetGatewayLimitExceeded.
"""

from __future__ import annotations

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.ec2.lookup import ec2_backend
from aws_setup.rehearsal.ec2.offerings import vcpus
from aws_setup.rehearsal.rules import AwsError, Call

STANDARD = ("a", "c", "d", "h", "i", "m", "r", "t", "z")
"""Families that count against the quota of standard instances, L-1216C47A."""

COUNTED_STATES = ("pending", "running")
"""States in which an instance counts (EC2 user guide, "On-Demand Instance quotas")."""


def vcpus_used(cloud: Cloud, region: str) -> int:
    """Return the vCPUs of the standard instances that run or start in a region."""
    return sum(
        vcpus(instance.instance_type)
        for instance in cloud.backend("ec2", region).all_instances()
        if instance.state in COUNTED_STATES and instance.instance_type.startswith(STANDARD)
    )


def remaining_instances(cloud: Cloud, region: str, instance_type: str) -> int:
    """Return how many more instances of a type the vCPU quota allows."""
    each = vcpus(instance_type)
    return max(0, (cloud.settings.quotas.vcpus - vcpus_used(cloud, region)) // each)


def vcpu_limit_exceeded(cloud: Cloud) -> AwsError:
    """Return the error of a launch that exceeds the vCPU quota."""
    limit = cloud.settings.quotas.vcpus
    message = (
        f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows "
        "for the instance bucket that the specified instance type belongs to."
    )
    return AwsError("VcpuLimitExceeded", message)


def _addresses(cloud: Cloud, call: Call) -> None:
    if len(ec2_backend(cloud, call).addresses) >= cloud.settings.quotas.elastic_ips:
        message = "The maximum number of addresses has been reached."
        raise AwsError("AddressLimitExceeded", message)


def _vpcs(cloud: Cloud, call: Call) -> None:
    if len(ec2_backend(cloud, call).vpcs) >= cloud.settings.quotas.vpcs:
        raise AwsError("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


def _gateways(cloud: Cloud, call: Call) -> None:
    if len(ec2_backend(cloud, call).internet_gateways) >= cloud.settings.quotas.internet_gateways:
        message = "The maximum number of internet gateways has been reached."
        raise AwsError("InternetGatewayLimitExceeded", message)


BEFORE = {
    ("ec2", "AllocateAddress"): _addresses,
    ("ec2", "CreateVpc"): _vpcs,
    ("ec2", "CreateInternetGateway"): _gateways,
}
