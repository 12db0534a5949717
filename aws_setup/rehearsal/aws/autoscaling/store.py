"""The state of Auto Scaling: groups, their instances, tags and activities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi


@dataclass
class GroupInstance:
    """An instance of a group."""

    instance_id: str
    instance_type: str
    zone: str
    template: dict[str, Any]
    spot: bool = False
    protected: bool = False
    """Whether a smaller group may not terminate it (ProtectedFromScaleIn)."""
    held: str = ""
    """The lifecycle hook that holds it since its launch."""
    standby: bool = False
    """Whether somebody has taken it out of service: it runs, and is no part of the capacity."""


@dataclass
class Group:
    """An Auto Scaling group."""

    name: str
    arn: str
    region: str
    created: datetime
    min_size: int
    max_size: int
    desired: int
    subnets: list[str]
    template: dict[str, Any]
    """The LaunchTemplate of the request: id or name, and version."""
    settings: dict[str, Any]
    """Stored and returned without effect: health check, cooldown, termination policies."""
    metrics: set[str] = field(default_factory=set)
    """The enabled metrics of the group."""
    policy: dict[str, Any] = field(default_factory=dict)
    """The MixedInstancesPolicy of the request; empty for none."""
    scaling_policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> scaling policy, as it is described."""
    scheduled_actions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> scheduled action, as it is described."""
    tags: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Tag key -> its value, and whether new instances get it."""
    instances: dict[str, GroupInstance] = field(default_factory=dict)
    leaving: dict[str, GroupInstance] = field(default_factory=dict)
    """What the group has terminated and EC2 has not ended yet; it is no part of its capacity."""
    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> lifecycle hook, as it is described."""
    suspended: dict[str, str] = field(default_factory=dict)
    """Suspended process -> the reason that is shown."""
    activities: list[dict[str, Any]] = field(default_factory=list)
    deleting: bool = False
    retrying: bool = False
    """Whether a retry of a failed launch is scheduled."""

    def check(self) -> None:
        """Reject inconsistent sizes."""
        if self.min_size < 0 or self.max_size < 0:
            raise validation_error("Sizes must not be negative")
        if self.min_size > self.max_size:
            raise validation_error(
                f"Max bound, {self.max_size}, must be greater than or equal to min bound, "
                f"{self.min_size}"
            )
        if not self.min_size <= self.desired <= self.max_size:
            raise validation_error(
                f"Desired capacity:{self.desired} must be between the specified min size:"
                f"{self.min_size} and max size:{self.max_size}"
            )


class GroupsByRegion(dict[tuple[str, str], Group]):
    """Groups by region and name."""


def validation_error(message: str) -> AwsError:
    """Return Auto Scaling's error for an invalid request."""
    return AwsError("ValidationError", message)


def group_of(cloud: CloudApi, call: Call) -> Group:
    """Return the group that a call names; raises ValidationError, as Auto Scaling does."""
    name = call.params["AutoScalingGroupName"]
    group = cloud.store_of(GroupsByRegion).get((call.region, name))
    if group is None:
        raise validation_error(
            f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
        )
    return group


def groups_of(cloud: CloudApi, call: Call) -> list[Group]:
    """Return the groups of the call's region, by name."""
    held = cloud.store_of(GroupsByRegion).items()
    return [group for (region, _), group in sorted(held) if region == call.region]


MAX_TAGS = 50
"""Tags of a group."""


def add_tags(group: Group, tags: Iterable[Mapping[str, Any]]) -> None:
    """Add tags to a group; those that propagate go to instances launched from now on."""
    for tag in tags:
        key = tag["Key"]
        group.tags[key] = str(tag.get("Value", "")), bool(tag.get("PropagateAtLaunch", False))
    if len(group.tags) > MAX_TAGS:
        raise validation_error(f"A group has at most {MAX_TAGS} tags")


def tag_list(group: Group) -> list[dict[str, Any]]:
    """Return a group's tags as Auto Scaling describes them."""
    return [
        {
            "ResourceId": group.name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": propagate,
        }
        for key, (value, propagate) in sorted(group.tags.items())
    ]


def matches(group: Group, filters: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a group matches every filter: tag-key, tag-value or tag:KEY."""
    for name_filter in filters:
        name, values = str(name_filter["Name"]), set(name_filter.get("Values", []))
        if name == "tag-key":
            actual = set(group.tags)
        elif name == "tag-value":
            actual = {value for value, _ in group.tags.values()}
        elif name.startswith("tag:"):
            actual = {group.tags[name[4:]][0]} if name[4:] in group.tags else set()
        else:
            raise validation_error(
                f"Filter type {name} is not correct. Allowed: tag-key, tag-value, tag:"
            )
        if not actual & values:
            return False
    return True


def _group(cloud: CloudApi, call: Call, tag: Mapping[str, Any]) -> Group:
    group = cloud.store_of(GroupsByRegion).get((call.region, str(tag["ResourceId"])))
    if group is None:
        raise validation_error(f"Group {tag['ResourceId']} not found")
    return group


def create_or_update(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateOrUpdateTags."""
    for tag in call.params["Tags"]:
        add_tags(_group(cloud, call, tag), [tag])
    return {}


def delete(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteTags."""
    for tag in call.params["Tags"]:
        _group(cloud, call, tag).tags.pop(tag["Key"], None)
    return {}


def describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeTags with the filters auto-scaling-group, key, value."""
    found = [tag for group in groups_of(cloud, call) for tag in tag_list(group)]
    names = {"auto-scaling-group": "ResourceId", "key": "Key", "value": "Value"}
    for name_filter in call.params.get("Filters") or []:
        if name_filter["Name"] not in names:
            raise validation_error(f"Filter type {name_filter['Name']} is not correct")
        found = [tag for tag in found if tag[names[name_filter["Name"]]] in name_filter["Values"]]
    return {"Tags": found}


ANSWERS = {
    ("autoscaling", "CreateOrUpdateTags"): create_or_update,
    ("autoscaling", "DeleteTags"): delete,
    ("autoscaling", "DescribeTags"): describe,
}
