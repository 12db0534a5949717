"""Which instance types the zones of a region offer."""

from __future__ import annotations

from collections.abc import Collection

from aws_setup.aws.session import Aws, pages


def offered_in_zones(aws: Aws, types: Collection[str]) -> frozenset[tuple[str, str]]:
    """Return the pairs of a zone's name and one of some types that it offers.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html

    Raises:
        ClientError: the caller may not ask.
    """
    offers = pages(
        aws.ec2,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": sorted(types)}],
    )
    return frozenset((offer["Location"], offer["InstanceType"]) for offer in offers)
