"""Metrics collection of Auto Scaling groups: enabled and disabled, and shown by the group.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_EnableMetricsCollection.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DisableMetricsCollection.html
No values are collected: the rehearsal has no CloudWatch.
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws.autoscaling.store import group_of, validation_error
from aws_setup.rehearsal.core.types import Call, CloudApi

METRICS = (
    *("GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity"),
    *("GroupInServiceInstances", "GroupPendingInstances", "GroupStandbyInstances"),
    *("GroupTerminatingInstances", "GroupTotalInstances"),
    *("GroupInServiceCapacity", "GroupPendingCapacity", "GroupStandbyCapacity"),
    *("GroupTerminatingCapacity", "GroupTotalCapacity"),
    *("WarmPoolDesiredCapacity", "WarmPoolWarmedCapacity", "WarmPoolPendingCapacity"),
    *("WarmPoolTerminatingCapacity", "WarmPoolTotalCapacity"),
    *("GroupAndWarmPoolDesiredCapacity", "GroupAndWarmPoolTotalCapacity"),
)
"""Every metric that both pages list."""
GRANULARITY = "1Minute"
"""The only valid value, says the page of EnableMetricsCollection."""


def _requested(call: Call) -> set[str]:
    """Return the metrics of a request; without any, both actions mean all."""
    named = set(call.params.get("Metrics") or METRICS)
    if unknown := sorted(named.difference(METRICS)):
        raise validation_error(f"Metrics {unknown} are not correct. Allowed: {', '.join(METRICS)}")
    return named


def enable(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer EnableMetricsCollection: the metrics are added to those already enabled."""
    group, named = group_of(cloud, call), _requested(call)
    if call.params["Granularity"] != GRANULARITY:
        raise validation_error(f"Granularity must be {GRANULARITY}")
    group.metrics |= named
    return {}


def disable(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DisableMetricsCollection; metrics that are not enabled are no error."""
    group, named = group_of(cloud, call), _requested(call)
    group.metrics -= named
    return {}


def shown(enabled: set[str]) -> list[dict[str, str]]:
    """Return the EnabledMetrics of DescribeAutoScalingGroups."""
    return [{"Metric": name, "Granularity": GRANULARITY} for name in METRICS if name in enabled]


ANSWERS = {
    ("autoscaling", "EnableMetricsCollection"): enable,
    ("autoscaling", "DisableMetricsCollection"): disable,
}
