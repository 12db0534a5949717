"""Spot Instances: the present prices, and the types of which AWS may choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aws_setup.aws.advice import advice
from aws_setup.aws.session import Aws, pages
from aws_setup.config.spot import alternatives

PREFIX = "spot:"
"""Prefix of the key of a Spot machine's price, before its type."""


@dataclass(frozen=True)
class SpotPrice:
    """The present Spot price of a type in US dollars an hour: the highest of the region's zones."""

    usd: float
    at: datetime


def spot_prices(aws: Aws, types: Sequence[str]) -> Mapping[str, SpotPrice]:
    """Return the present Spot price of each type that has one.

    With the present time as StartTime EC2 answers the price in force in each zone:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    if not types:
        return {}

    def read() -> dict[str, SpotPrice]:
        listed = pages(
            aws.ec2,
            "describe_spot_price_history",
            "SpotPriceHistory",
            InstanceTypes=sorted(types),
            ProductDescriptions=["Linux/UNIX"],
            StartTime=datetime.now(UTC),
        )
        found: dict[str, SpotPrice] = {}
        for item in listed:
            price = SpotPrice(float(item["SpotPrice"]), item["Timestamp"])
            known = found.setdefault(item["InstanceType"], price)
            found[item["InstanceType"]] = max(known, price, key=lambda each: each.usd)
        return found

    return advice(read, lambda _: {})


def offered_alternatives(aws: Aws, instance_type: str) -> list[str]:
    """Return the types that a Spot group may launch: those of its size that the region offers.

    More types are more pools, of which AWS takes one back more seldom:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-best-practices.html
    """
    wanted = alternatives(instance_type)

    def read() -> list[str]:
        offers = pages(
            aws.ec2,
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            Filters=[{"Name": "instance-type", "Values": sorted(wanted)}],
        )
        offered = {item["InstanceType"] for item in offers} | {instance_type}
        return [each for each in wanted if each in offered]

    return advice(read, lambda _: [instance_type])
