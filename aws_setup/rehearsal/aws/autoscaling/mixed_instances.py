"""Mixed instances policies: what Auto Scaling accepts, and what such a group launches next.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_MixedInstancesPolicy.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
"""

from __future__ import annotations

import math
from typing import Any

from aws_setup.rehearsal.aws.autoscaling.store import Group, validation_error
from aws_setup.rehearsal.aws.ec2 import limits
from aws_setup.rehearsal.core.types import AwsError

MAX_OVERRIDES = 40
"""Instance types of a policy (API_LaunchTemplate, Overrides)."""

SPOT_STRATEGIES = (
    "lowest-price",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
)

DEFAULTS = {
    "OnDemandAllocationStrategy": "prioritized",
    "OnDemandBaseCapacity": 0,
    "OnDemandPercentageAboveBaseCapacity": 100,
    "SpotAllocationStrategy": "lowest-price",
}


def check_policy(policy: dict[str, Any]) -> dict[str, Any]:
    """Return a policy with its defaults; raises ValidationError for what AWS refuses."""
    template = policy.get("LaunchTemplate") or {}
    if not template.get("LaunchTemplateSpecification"):
        raise validation_error("You must specify a LaunchTemplateSpecification in a mixed policy.")
    overrides = template.get("Overrides") or []
    _check_overrides(overrides)
    spread = DEFAULTS | (policy.get("InstancesDistribution") or {})
    if not 0 <= spread["OnDemandPercentageAboveBaseCapacity"] <= 100:
        raise validation_error("OnDemandPercentageAboveBaseCapacity must be between 0 and 100")
    if spread["OnDemandBaseCapacity"] < 0:
        raise validation_error("OnDemandBaseCapacity must not be negative")
    if spread["SpotAllocationStrategy"] not in SPOT_STRATEGIES:
        raise validation_error(f"SpotAllocationStrategy must be one of {SPOT_STRATEGIES}")
    if "SpotInstancePools" in spread and spread["SpotAllocationStrategy"] != "lowest-price":
        raise validation_error("SpotInstancePools can only be set for lowest-price")
    return {"LaunchTemplate": {**template, "Overrides": overrides}, "InstancesDistribution": spread}


def _check_overrides(overrides: list[dict[str, Any]]) -> None:
    if len(overrides) > MAX_OVERRIDES:
        raise validation_error(f"A policy has at most {MAX_OVERRIDES} overrides")
    if any(set(each) - {"InstanceType"} for each in overrides):
        raise validation_error("overrides other than InstanceType are not emulated")
    types = [each.get("InstanceType", "") for each in overrides]
    if len(set(types)) < len(types):
        raise validation_error("The overrides have the same instance type more than once.")
    for kind in types:
        try:
            limits.vcpus(kind)
        except AwsError as error:
            raise validation_error(f"Invalid instance type {kind}: {error.message}") from error


def check_template(data: dict[str, Any]) -> None:
    """Refuse a template that asks for Spot itself: the policy says what is bought."""
    if data.get("InstanceMarketOptions"):
        raise validation_error(
            "Incompatible launch template: launch templates with InstanceMarketOptions cannot be "
            "used with a MixedInstancesPolicy."
        )


def next_launches(group: Group, template_type: str) -> list[dict[str, Any]]:
    """Return what the group's next launch tries, in this order: types, on demand or as Spot."""
    if not group.policy:
        return [{}]
    on_demand = sum(not instance.spot for instance in group.instances.values())
    market = {} if on_demand < _on_demand(group) else _SPOT
    overrides = group.policy["LaunchTemplate"]["Overrides"] or [{"InstanceType": template_type}]
    return [dict(each) | market for each in overrides]


def _on_demand(group: Group) -> int:
    """Return how many machines a policy wants on demand."""
    spread = group.policy["InstancesDistribution"]
    base = int(spread["OnDemandBaseCapacity"])
    above = max(0, group.desired - base) * spread["OnDemandPercentageAboveBaseCapacity"] / 100
    return min(group.desired, base + math.ceil(float(above)))


def wrong_market(group: Group) -> list[str]:
    """Return the machines that a policy would not buy as they are: too many of one market."""
    if not group.policy:
        return []
    wanted = {False: _on_demand(group), True: group.desired - _on_demand(group)}
    return [
        key
        for spot, most in wanted.items()
        for key in [it.instance_id for it in group.instances.values() if it.spot is spot][most:]
    ]


_SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
