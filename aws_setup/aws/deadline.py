"""The deadline at which AWS stops a deployment by itself: one-time schedules, as data.

EventBridge Scheduler calls EC2, EKS and Auto Scaling with the role of the deployment, also while
no computer of the user's runs. A schedule's name has the time of the deadline and a digest of its
content: a schedule is never changed, only created and deleted, and a list of names says it all.

Sources: CreateSchedule and "Using universal targets" in
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import GROUP_TAG, NODE_GROUP_TAG

AFTER_TAG = "lambda-fs:auto-pause-after"
"""Tag key of the schedule group: the value of auto_pause_after that its deadline was set with."""

SERVERS_LATER = timedelta(minutes=20)
"""How long after clients and nodes NDB and ZooKeeper are stopped.

EKS waits up to 15 minutes for the pods of a node (EKS user guide, "Managed node group update
phases"); a machine's shutdown takes a few more. NDB has then no writer any more and has written
all commits to the redo logs of its disks: it does so every TimeBetweenGlobalCheckpoints, 2 s.
https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-ndbd-definition.html
"""

MODIFIED_AFTER = timedelta(minutes=1)
"""LastModificationDate this long after CreationDate: the schedule was changed by hand."""

RETRY = {"MaximumEventAgeInSeconds": 900, "MaximumRetryAttempts": 30}
"""A call that is refused, as while EKS updates the node group, is repeated for a quarter of an
hour; not longer, so that it does not stop what has been resumed since."""

_NAME = re.compile(r"(?P<slug>.+)\.(?P<time>\d{8}T\d{4})Z\.(?P<digest>[0-9a-f]{8})")
_IN_NAME = "%Y%m%dT%H%M"


@dataclass(frozen=True)
class Target:
    """What one schedule stops: the API action and its parameters.

    `slug` names it in the schedule's name. `later` is true for the servers of NDB and ZooKeeper.
    The parameters have the names of the API reference, the first letter a capital.
    """

    slug: str
    action: str
    parameters: Mapping[str, Any]
    later: bool = False

    def starts(self, deadline: datetime) -> datetime:
        """Return when AWS makes the call, for the first time."""
        return deadline + (SERVERS_LATER if self.later else timedelta())

    def ends(self, deadline: datetime) -> datetime:
        """Return when AWS repeats the call no more: it is made within the minute of its time."""
        age = timedelta(seconds=RETRY["MaximumEventAgeInSeconds"])
        return self.starts(deadline) + age + timedelta(minutes=1)

    def schedule(self, deadline: datetime, *, group: str, role: str) -> dict[str, Any]:
        """Return the request of CreateSchedule, without its ClientToken.

        Args:
            deadline: when the first machines stop, a full minute.
            group: the name of the schedule group.
            role: the ARN of the role with which EventBridge Scheduler calls.
        """
        at = self.starts(deadline)
        request = {
            "GroupName": group,
            "ScheduleExpression": f"at({at.astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            # It remains after its time, so that the next run sees the deadline.
            "ActionAfterCompletion": "NONE",
            "Target": {
                "Arn": f"arn:{role.split(':')[1]}:scheduler:::aws-sdk:{self.action}",
                "RoleArn": role,
                "Input": json.dumps(self.parameters, sort_keys=True),
                "RetryPolicy": RETRY,
            },
        }
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]
        slug = re.sub(r"[^0-9a-zA-Z_-]", "-", self.slug)[:36]
        name = f"{slug}.{deadline.astimezone(UTC):{_IN_NAME}}Z.{digest}"
        return {"Name": name, **request}


@dataclass(frozen=True)
class Schedules:
    """The schedule group as AWS lists it: its tags, its schedules and their deadline."""

    arn: str
    tags: Mapping[str, str]
    names: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Names of schedules that were changed or disabled by hand: they count as missing."""

    @classmethod
    def of(cls, group: Item) -> Self:
        """Return the group that the inventory lists."""
        listed: Sequence[Mapping[str, Any]] = group["Schedules"]
        return cls(
            arn=str(group["Arn"]),
            tags={str(tag["Key"]): str(tag["Value"]) for tag in group["Tags"]},
            names=tuple(str(item["Name"]) for item in listed),
            changed=tuple(str(item["Name"]) for item in listed if _is_changed(item)),
        )

    @property
    def kept(self) -> frozenset[str]:
        """The names of the schedules that are as they were created."""
        return frozenset(self.names) - frozenset(self.changed)

    @property
    def deadline(self) -> datetime | None:
        """When AWS stops the first machines; the earliest time of the schedules, None without."""
        return min(_times(self.kept), default=None)

    @property
    def after(self) -> str:
        """The value of auto_pause_after with which the deadline was set."""
        return self.tags.get(AFTER_TAG, "")


def schedules_of(items: Sequence[Item]) -> Schedules | None:
    """Return the group of an inventory's list, which has one or none."""
    return Schedules.of(items[0]) if items else None


def _is_changed(item: Mapping[str, Any]) -> bool:
    created, modified = item.get("CreationDate"), item.get("LastModificationDate")
    edited = bool(created and modified and modified - created > MODIFIED_AFTER)
    return edited or item.get("State") != "ENABLED"


def _times(names: Iterable[str]) -> list[datetime]:
    found = [match for match in map(_NAME.fullmatch, names) if match]
    return [datetime.strptime(match["time"], _IN_NAME).replace(tzinfo=UTC) for match in found]


def full_minute(moment: datetime) -> datetime:
    """Return the next full minute: a one-time schedule is invoked within its minute."""
    whole = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(minutes=1)


def instances_by_group(instances: Iterable[Item]) -> dict[str, list[Item]]:
    """Return the VMs by the step that made them; those of scaling groups and nodes are not VMs."""
    found: dict[str, list[Item]] = {}
    for item in instances:
        managed = tag_of(item, GROUP_TAG) or tag_of(item, NODE_GROUP_TAG)
        step = tag_of(item, "lambda-fs:step")
        if step and not managed and item["State"]["Name"] != "shutting-down":
            found.setdefault(step, []).append(item)
    return found
