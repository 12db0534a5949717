"""What Auto Scaling remembers: groups, their members and their activities."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.rules import AwsError, Call


@dataclass
class GroupInstance:
    """An instance of a group."""

    instance_id: str
    instance_type: str
    zone: str
    template: dict[str, Any]


@dataclass
class Group:
    """An Auto Scaling group."""

    name: str
    arn: str
    region: str
    created: datetime
    least: int
    most: int
    wanted: int
    subnets: list[str]
    template: dict[str, Any]
    """The LaunchTemplate of the request: id or name, and version."""
    settings: dict[str, Any]
    """What is only kept and shown: health check, cooldown, termination policies."""
    tags: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Tag key to its value and whether new instances get it."""
    members: dict[str, GroupInstance] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    suspended: set[str] = field(default_factory=set)
    leaving: bool = False
    retrying: bool = False
    """Whether a failed launch is already going to be tried again."""

    def check(self) -> None:
        """Refuse sizes that do not fit each other."""
        if self.least < 0 or self.most < 0:
            raise validation_error("Sizes must not be negative")
        if self.least > self.most:
            raise validation_error(
                f"Max bound, {self.most}, must be greater than or equal to min bound, {self.least}"
            )
        if not self.least <= self.wanted <= self.most:
            raise validation_error(
                f"Desired capacity:{self.wanted} must be between the specified min size:"
                f"{self.least} and max size:{self.most}"
            )


class GroupsByRegion(dict[tuple[str, str], Group]):
    """Groups by region and name."""


def validation_error(message: str) -> AwsError:
    """Return Auto Scaling's answer for a request that it does not take."""
    return AwsError("ValidationError", message)


def group_of(cloud: Cloud, call: Call) -> Group:
    """Return the group that a call names; raises ValidationError, as Auto Scaling does."""
    name = call.params["AutoScalingGroupName"]
    group = cloud.room(GroupsByRegion).get((call.region, name))
    if group is None:
        raise validation_error(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return group


def groups_of(cloud: Cloud, call: Call) -> list[Group]:
    """Return the groups of the call's region, by name."""
    held = cloud.room(GroupsByRegion).items()
    return [group for (region, _), group in sorted(held) if region == call.region]
