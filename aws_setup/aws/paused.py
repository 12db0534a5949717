"""The marks of a paused deployment: tags, so that any computer can resume it.

EC2, EKS and Auto Scaling carry the same tags: since when a resource is paused, the sizes of a
group before the pause, the seconds of all earlier pauses with the time up to which they count, and
the deadline at which AWS stops it. What the deadline has stopped has no mark of a pause: the time
of the deadline has passed, and the resource is stopped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from aws_setup.aws.inventory import Item, tag_of
from aws_setup.engine import wait
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.step import Drift, DriftKey

PAUSED_TAG = "lambda-fs:paused"
"""Tag key: the time of the pause. What has it is started by `resume` only."""

SIZES_TAG = "lambda-fs:paused-sizes"
"""Tag key: minimum, maximum and desired size of a group before the pause."""

SECONDS_TAG = "lambda-fs:paused-seconds"
"""Tag key: how long all earlier pauses took, and up to when they are counted: SECONDS/TIME."""

UNEXPLAINED_START = timedelta(minutes=15)
"""A start that is later than that after the last known one was made outside of this project."""

DEADLINE_TAG = "lambda-fs:deadline"
"""Tag key: when EventBridge Scheduler stops the resource by itself."""

CLOCK_TOLERANCE = timedelta(minutes=2)
"""A one-time schedule is invoked within the minute of its time.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

SLOW_CLOCK = timedelta(minutes=5)
"""How far this computer's clock may be behind AWS's: with a larger difference AWS refuses requests.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
"""

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
        numbers = [number for part in parts if (number := whole_number(part)) is not None]
        return cls(*numbers) if len(parts) == len(numbers) == 3 else None

    def __str__(self) -> str:
        return f"{self.minimum}/{self.maximum}/{self.desired}"

    @property
    def in_use(self) -> bool:
        """Whether the group has machines, or should have."""
        return bool(self.minimum or self.desired)

    @property
    def paused(self) -> GroupSizes:
        """The sizes during a pause; EKS wants a maximum of at least 1 (NodegroupScalingConfig)."""
        return GroupSizes(0, self.maximum, 0)


def format_time(moment: datetime) -> str:
    """Return a time as a tag holds it, in UTC."""
    return moment.astimezone(UTC).strftime(_TIME)


def paused_since(item: Item) -> datetime | None:
    """Return since when a resource is paused, by its mark or by the deadline; None: it is not.

    A damaged time counts as the oldest: the resource is paused all the same.
    """
    text = tag_of(item, PAUSED_TAG)
    if not text:
        return stopped_by_deadline(item)
    return parse_time(text) or datetime.min.replace(tzinfo=UTC)


def parse_time(text: str) -> datetime | None:
    """Return a time that a tag holds; None when it holds none."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def deadline_of(item: Item) -> datetime | None:
    """Return when AWS stops a resource, or has stopped it, by its tag; None without the tag."""
    return parse_time(tag_of(item, DEADLINE_TAG))


def stopped_by_deadline(item: Item) -> datetime | None:
    """Return when the deadline has stopped a resource that has no mark of a pause; else None.

    `item` is an instance, an auto-scaling group or a node group, as its API describes it. The time
    of an instance's stop is AWS's own; of a group AWS tells none, and this computer's clock may be
    slow.
    """
    deadline = deadline_of(item)
    if deadline is None or tag_of(item, PAUSED_TAG):
        return None
    if "State" in item:
        stopped = stopped_at(item)
        return stopped if stopped and stopped >= deadline - CLOCK_TOLERANCE else None
    if deadline - SLOW_CLOCK > wait.calendar_time():
        return None
    before, now = paused_sizes(item), group_sizes(item)
    return deadline if before and before.in_use and not now.in_use else None


def group_sizes(item: Item) -> GroupSizes:
    """Return the sizes of an auto-scaling group or of a node group."""
    if "scalingConfig" in item:
        sizes = item["scalingConfig"]
        return GroupSizes(sizes["minSize"], sizes["maxSize"], sizes["desiredSize"])
    return GroupSizes(item["MinSize"], item["MaxSize"], item["DesiredCapacity"])


def paused_sizes(item: Item) -> GroupSizes | None:
    """Return the sizes of a group before its pause; None when its tags do not say."""
    return GroupSizes.parse(tag_of(item, SIZES_TAG))


def resumed_sizes(group: Item) -> GroupSizes:
    """Return the sizes that a group has after `resume`: those of its tag while it is paused."""
    before = paused_sizes(group) if paused_since(group) else None
    return before or group_sizes(group)


def counted_pauses(item: Item) -> tuple[float, datetime | None]:
    """Return how long all earlier pauses took, in seconds, and up to when they are counted."""
    text, _, until = tag_of(item, SECONDS_TAG).partition("/")
    seconds = whole_number(text)
    return (0.0, None) if seconds is None else (float(seconds), parse_time(until))


def stopped_at(instance: Item) -> datetime | None:
    """Return when an instance stopped, from EC2's reason of its last state transition.

    The reason reads `User initiated (2026-11-27 03:00:00 GMT)` (EC2 API reference, data type
    Instance, stateTransitionReason).
    """
    found = _TRANSITION.search(str(instance.get("StateTransitionReason") or ""))
    if not found or instance["State"]["Name"] not in ("stopping", "stopped"):
        return None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def created_at(instance: Item) -> datetime:
    """Return when an instance was created: LaunchTime is the time of its last start.

    The primary network interface stays attached from the first launch to the termination (EC2 API
    reference, data types Instance and InstanceNetworkInterfaceAttachment).
    """
    interfaces = instance.get("NetworkInterfaces") or []
    attached: list[datetime] = [
        item["Attachment"]["AttachTime"] for item in interfaces if item.get("Attachment")
    ]
    launched: datetime = instance["LaunchTime"]
    return min([*attached, launched])


def pause_marks(now: datetime, sizes: GroupSizes | None = None) -> dict[str, str]:
    """Return the tags of a resource that is being paused."""
    known = {SIZES_TAG: str(sizes)} if sizes else {}
    return {PAUSED_TAG: format_time(now)} | known


def stopped_seconds(instance: Item, now: datetime) -> float:
    """Return how long an instance did not run since its creation, as far as AWS shows it.

    Those are the counted pauses, the present stop, and the time from the mark of a pause to a start
    by hand.
    """
    seconds, until = counted_pauses(instance)
    mark, start, stop = paused_since(instance), instance["LaunchTime"], stopped_at(instance)
    known = [moment for moment in (mark, until) if moment and moment.year > 1]
    if mark and known and start > max(known):
        seconds += (start - max(known)).total_seconds()
    if instance["State"]["Name"] == "stopped" or stop:
        begins = [moment for moment in (*known, stop) if moment]
        seconds += max(0.0, (now - max(begins)).total_seconds()) if begins else 0.0
    return seconds


def group_paused_seconds(group: Item, now: datetime) -> float:
    """Return how long a group was paused since its creation."""
    seconds, until = counted_pauses(group)
    known = [moment for moment in (paused_since(group), until) if moment and moment.year > 1]
    return seconds + ((now - max(known)).total_seconds() if paused_since(group) and known else 0.0)


def started_by_hand(instance: Item) -> bool:
    """Whether AWS shows that an instance was stopped and started, and not for how long."""
    _, until = counted_pauses(instance)
    known = [moment for moment in (created_at(instance), until) if moment]
    if paused_since(instance):
        return False
    return bool(instance["LaunchTime"] - max(known) > UNEXPLAINED_START)


def settled_marks(item: Item, now: datetime) -> dict[str, str]:
    """Return the tags that add the present pause to the earlier ones; the mark is kept.

    They are written before a resource is started: killed and run again, `resume` adds only the
    time since then, because the tag says up to when it counts.
    """
    return counted_marks(item, now) | {PAUSED_TAG: format_time(paused_since(item) or now)}


def counted_marks(item: Item, now: datetime) -> dict[str, str]:
    """Return the tag that counts the time until now in which a resource did not run."""
    seconds = stopped_seconds(item, now) if "State" in item else group_paused_seconds(item, now)
    return {SECONDS_TAG: f"{round(seconds)}/{format_time(now)}"}


def settled_keys(item: Item) -> list[str]:
    """Return the keys of the tags to remove from a group that is in use again.

    The sizes remain where a deadline has been set: when it stops the group, `resume` reads them.
    """
    return [PAUSED_TAG] if deadline_of(item) else [PAUSED_TAG, SIZES_TAG]


def paused_drift(items: Iterable[Item]) -> tuple[Drift, ...]:
    """Return the conflict of resources that are paused; nothing when none is."""
    paused = [(since, item) for item in items if (since := paused_since(item))]
    if not paused:
        return ()
    has = describe_pause(*min(paused, key=lambda pair: pair[0]))
    return (Drift("state", has, "in use", RESUME, DriftKey.PAUSED),)


def describe_pause(since: datetime, item: Item) -> str:
    """Return since when a resource is paused, and whether the deadline did it."""
    by = " by the deadline" if stopped_by_deadline(item) else ""
    return f"paused since {display_time(since)}{by}"


def display_time(moment: datetime) -> str:
    """Return a time as users read it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
