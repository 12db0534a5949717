"""How long the machines of a scaling group have run, also those that no longer exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_setup.aws.inventory import Item

_ACTIVITY = re.compile(r"(Launching a new|Terminating) EC2 instance: (i-[0-9a-f]+)")
"""Activity.Description: "A friendly, more verbose description of the activity", as
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-scaling-activities.html
shows it."""


@dataclass(frozen=True)
class MachineHours:
    """Hours by instance id; `unknown` are ids of which AWS tells no beginning or no end."""

    hours: Mapping[str, float]
    unknown: tuple[str, ...] = ()


def machine_hours(
    activities: Iterable[Mapping[str, Any]], live: Mapping[str, datetime], now: datetime
) -> MachineHours:
    """Return how long each machine of a group has run, until `now` where it still does.

    Args:
        activities: what DescribeScalingActivities answers: those of the last six weeks.
        live: id -> time of launch of the machines that exist.
        now: the present time.
    """
    begins, ends = dict(live), dict[str, datetime]()
    for activity in activities:
        found = _ACTIVITY.search(str(activity.get("Description", "")))
        if not found:
            continue
        launch, instance = found[1].startswith("Launching"), found[2]
        if launch:
            begins.setdefault(instance, activity["StartTime"])
        if instance not in live and (not launch or activity["StatusCode"] == "Cancelled"):
            ends[instance] = activity.get("EndTime" if launch else "StartTime") or now
    hours = {
        instance: max(0.0, (ends.get(instance, now) - begin).total_seconds() / 3600)
        for instance, begin in begins.items()
        if instance in live or instance in ends
    }
    unknown = (begins.keys() | ends.keys()) - hours.keys()
    return MachineHours(hours, tuple(sorted(unknown)))


def hours_by_type(
    known: MachineHours, live: Mapping[str, Item], otherwise: str
) -> dict[str, tuple[float, float]]:
    """Return price key -> how many machines exist, and how many hours all together have run.

    Machines that no longer exist count with the price key `otherwise`.
    """
    found: dict[str, tuple[float, float]] = {}
    for instance, hours in known.hours.items():
        key = instance_key(live[instance]) if instance in live else otherwise
        count, total = found.get(key, (0.0, 0.0))
        found[key] = (count + (instance in live), total + hours)
    return found


def instance_key(instance: Item) -> str:
    """Return the key of an instance's price."""
    market = "spot" if instance.get("InstanceLifecycle") == "spot" else "ec2"
    return f"{market}:{instance['InstanceType']}"
