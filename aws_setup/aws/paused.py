"""The marks of a paused deployment: tags, so that any computer can resume it.

EC2, EKS and Auto Scaling carry the same three tags: since when a resource is paused, the sizes of a
group before the pause, and the seconds of all earlier pauses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from aws_setup.aws.inventory import Item, tag_of
from aws_setup.engine.step import Drift, DriftKey

PAUSED_TAG = "lambda-fs:paused"
"""Tag key: the time of the pause. What has it is started by `resume` only."""

SIZES_TAG = "lambda-fs:paused-sizes"
"""Tag key: minimum, maximum and desired size of a group before the pause."""

SECONDS_TAG = "lambda-fs:paused-seconds"
"""Tag key: how long all earlier pauses took."""

RESUME = "run python create_aws_infrastructure.py resume, or destroy to delete the deployment"

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TRANSITION = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")


@dataclass(frozen=True)
class GroupSizes:
    """The sizes of an auto-scaling group or node group."""

    minimum: int
    maximum: int
    desired: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the sizes that a tag holds; None when it holds none."""
        parts = text.split("/")
        numbers = [int(part) for part in parts if part.isdecimal()]
        return cls(*numbers) if len(parts) == len(numbers) == 3 else None

    def __str__(self) -> str:
        return f"{self.minimum}/{self.maximum}/{self.desired}"

    @property
    def paused(self) -> GroupSizes:
        """The sizes during a pause; EKS wants a maximum of at least 1 (NodegroupScalingConfig)."""
        return GroupSizes(0, self.maximum, 0)


def format_time(moment: datetime) -> str:
    """Return a time as a tag holds it, in UTC."""
    return moment.astimezone(UTC).strftime(_TIME)


def paused_since(item: Item) -> datetime | None:
    """Return since when a resource is paused by its tag; None without the tag.

    A damaged time counts as the oldest: the resource is paused all the same.
    """
    text = tag_of(item, PAUSED_TAG)
    if not text:
        return None
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def paused_sizes(item: Item) -> GroupSizes | None:
    """Return the sizes of a group before its pause; None when its tags do not say."""
    return GroupSizes.parse(tag_of(item, SIZES_TAG))


def paused_seconds(item: Item) -> float:
    """Return how long all earlier pauses took."""
    text = tag_of(item, SECONDS_TAG)
    return float(text) if text.isdecimal() else 0.0


def stopped_at(instance: Item) -> datetime | None:
    """Return when an instance stopped, from EC2's reason of its last state transition.

    The reason reads `User initiated (2026-11-27 03:00:00 GMT)` (EC2 API reference, data type
    Instance, stateTransitionReason).
    """
    found = _TRANSITION.search(str(instance.get("StateTransitionReason") or ""))
    if not found or instance["State"]["Name"] not in ("stopping", "stopped"):
        return None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def pause_marks(now: datetime, sizes: GroupSizes | None = None) -> dict[str, str]:
    """Return the tags of a resource that is being paused."""
    known = {SIZES_TAG: str(sizes)} if sizes else {}
    return {PAUSED_TAG: format_time(now)} | known


def settled_marks(item: Item, now: datetime) -> dict[str, str]:
    """Return the tags that add the present pause to the earlier ones and begin a new one now.

    They are written in one call before a resource is started: killed and run again, `resume` adds
    only the time since then.
    """
    since = stopped_at(item) if "State" in item else None
    since = since or paused_since(item) or now
    seconds = paused_seconds(item) + max(0.0, (now - since).total_seconds())
    return {SECONDS_TAG: str(round(seconds)), PAUSED_TAG: format_time(now)}


def paused_drift(items: Iterable[Item]) -> tuple[Drift, ...]:
    """Return the conflict of resources that are paused; nothing when none is."""
    times = [since for since in map(paused_since, items) if since]
    if not times:
        return ()
    has = f"paused since {display_time(min(times))}"
    return (Drift("state", has, "in use", RESUME, DriftKey.PAUSED),)


def display_time(moment: datetime) -> str:
    """Return a time as users read it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
