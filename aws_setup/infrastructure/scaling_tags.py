"""The tags of auto-scaling groups, and which of them their machines get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.tags import STEP_TAG


def pairs(group_tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the tags as Auto Scaling takes them; machines get all but that of the step."""
    return [
        {"Key": key, "Value": value, "PropagateAtLaunch": key != STEP_TAG}
        for key, value in group_tags.items()
    ]


def write_tags(ctx: Context, names: Sequence[str], group_tags: Mapping[str, str]) -> None:
    """Add tags to groups, by their names."""
    written: Any = [
        {**pair, "ResourceId": name, "ResourceType": "auto-scaling-group"}
        for name in names
        for pair in pairs(group_tags)
    ]
    ctx.aws.autoscaling.create_or_update_tags(Tags=written)
