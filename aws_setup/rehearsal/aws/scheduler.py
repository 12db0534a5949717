"""EventBridge Scheduler: groups and one-time schedules with universal targets, fired on the clock.

https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html

Answered here and not by moto, whose schedules never fire and whose expressions, targets and roles
are not checked. Not emulated, and refused instead: rate and cron expressions, time zones other than
UTC, templated targets, dead-letter queues, and UpdateSchedule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from aws_setup.rehearsal.aws.iam import check_pass_role
from aws_setup.rehearsal.aws.schedule_targets import can_assume, invoke, parse_target
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

NAME = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
RETRY_SECONDS = 60.0
"""Seconds between two attempts of an invocation; AWS backs off exponentially, in times that it does
not document."""

DEFAULT_EVENT_AGE, DEFAULT_ATTEMPTS = 86_400, 185


@dataclass
class Schedule:
    """One schedule; `at` is when it is invoked."""

    request: dict[str, Any]
    at: datetime
    created: datetime
    modified: datetime


@dataclass
class Group:
    """A schedule group with its schedules."""

    arn: str
    region: str
    created: datetime
    tags: dict[str, str]
    state: str = "ACTIVE"
    schedules: dict[str, Schedule] = field(default_factory=dict)


@dataclass(frozen=True)
class Invocation:
    """An attempt of a schedule to call its target; `error` is empty after success."""

    schedule: str
    at: datetime
    error: str


class ScheduleStore:
    """The groups by region and name, and the attempts of all schedules."""

    def __init__(self) -> None:
        """Start empty."""
        self.groups: dict[tuple[str, str], Group] = {}
        self.invocations: list[Invocation] = []


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message, extra={"Message": message})


def _missing(what: str) -> AwsError:
    message = f"{what} does not exist."
    return AwsError("ResourceNotFoundException", message, status=404, extra={"Message": message})


def _conflict(message: str) -> AwsError:
    return AwsError("ConflictException", message, status=409, extra={"Message": message})


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise _invalid(f"Value '{name}' at 'name' failed to satisfy constraint: ^[0-9a-zA-Z-_.]+$")
    return name


def _group(cloud: CloudApi, call: Call, name: str) -> Group:
    group = cloud.store_of(ScheduleStore).groups.get((call.region, name))
    if group is None:
        raise _missing(f"Schedule group {name}")
    return group


def _arn(cloud: CloudApi, call: Call, resource: str) -> str:
    return f"arn:{cloud.settings.partition}:scheduler:{call.region}:{call.account}:{resource}"


def create_group(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateScheduleGroup; the name of a group that is being deleted is taken."""
    name, groups = _checked_name(call.params["Name"]), cloud.store_of(ScheduleStore).groups
    if (call.region, name) in groups:
        raise _conflict(f"Schedule group {name} already exists.")
    tags = {tag["Key"]: tag["Value"] for tag in call.params.get("Tags") or []}
    arn = _arn(cloud, call, f"schedule-group/{name}")
    groups[call.region, name] = Group(arn, call.region, cloud.clock.today(), tags)
    return {"ScheduleGroupArn": arn}


def get_group(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetScheduleGroup."""
    group = _group(cloud, call, call.params["Name"])
    return {
        "Arn": group.arn,
        "Name": call.params["Name"],
        "State": group.state,
        "CreationDate": group.created,
        "LastModificationDate": group.created,
    }


def delete_group(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteScheduleGroup: the group and its schedules are deleted after a while."""
    name = call.params["Name"]
    group = _group(cloud, call, name)
    group.state = "DELETING"
    groups = cloud.store_of(ScheduleStore).groups
    cloud.schedule("schedule group deleted", lambda: groups.pop((call.region, name), None))
    return {}


def list_tags(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListTagsForResource."""
    tags = _by_arn(cloud, call).tags
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tag(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer TagResource."""
    tags = {one["Key"]: one["Value"] for one in call.params["Tags"]}
    _by_arn(cloud, call).tags.update(tags)
    return {}


def untag(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UntagResource."""
    tags = _by_arn(cloud, call).tags
    for key in call.params["TagKeys"]:
        tags.pop(key, None)
    return {}


def _by_arn(cloud: CloudApi, call: Call) -> Group:
    arn = call.params["ResourceArn"]
    found = [g for g in cloud.store_of(ScheduleStore).groups.values() if g.arn == arn]
    if not found:
        raise _missing(f"Resource {arn}")
    return found[0]


def create(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateSchedule: everything is checked, also that the role can be assumed."""
    params = call.params
    name = _checked_name(params["Name"])
    group = _group(cloud, call, params.get("GroupName") or "default")
    if group.state != "ACTIVE":
        raise _conflict("The schedule group is being deleted.")
    at = _time_of(cloud, params)
    _check_settings(params)
    parse_target(cloud, params["Target"])
    role = params["Target"]["RoleArn"]
    check_pass_role(cloud, call, role)
    if not can_assume(cloud, role, group=group.arn, account=call.account):
        must = "must allow AWS EventBridge Scheduler to assume the role."
        raise _invalid(f"The execution role you provide {must}")
    if name in group.schedules:
        raise _conflict(f"Schedule {name} already exists.")
    now = cloud.clock.today()
    schedule = group.schedules[name] = Schedule(dict(params), at, now, now)
    cloud.clock.at(at, partial(_fire, cloud, call, group, schedule))
    return {"ScheduleArn": _arn(cloud, call, f"schedule/{params['GroupName']}/{name}")}


def _time_of(cloud: CloudApi, params: dict[str, Any]) -> datetime:
    expression = params["ScheduleExpression"]
    match = AT.fullmatch(expression)
    if match is None or params.get("ScheduleExpressionTimezone", "UTC") != "UTC":
        raise _invalid(f"Invalid Schedule Expression {expression}. (Only at() in UTC is emulated.)")
    try:
        at = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise _invalid(f"Invalid Schedule Expression {expression}.") from None
    if at <= cloud.clock.today():
        raise _invalid(f"Invalid Schedule Expression {expression}. It is in the past.")
    return at


def _check_settings(params: dict[str, Any]) -> None:
    window = params["FlexibleTimeWindow"]
    minutes = window.get("MaximumWindowInMinutes")
    if window["Mode"] not in ("OFF", "FLEXIBLE") or (window["Mode"] == "OFF") is not (
        minutes is None
    ):
        raise _invalid("MaximumWindowInMinutes is set with the mode FLEXIBLE, and with no other.")
    retry = params["Target"].get("RetryPolicy") or {}
    if not 60 <= retry.get("MaximumEventAgeInSeconds", DEFAULT_EVENT_AGE) <= DEFAULT_EVENT_AGE:
        raise _invalid("MaximumEventAgeInSeconds is within 60 and 86400.")
    if not 0 <= retry.get("MaximumRetryAttempts", DEFAULT_ATTEMPTS) <= DEFAULT_ATTEMPTS:
        raise _invalid("MaximumRetryAttempts is within 0 and 185.")
    if params.get("ActionAfterCompletion", "NONE") not in ("NONE", "DELETE"):
        raise _invalid("ActionAfterCompletion is NONE or DELETE.")


def _fire(
    cloud: CloudApi, call: Call, group: Group, schedule: Schedule, *, attempt: int = 1
) -> None:
    """Invoke a schedule that still exists; what fails is tried again for as long as it may be."""
    name = schedule.request["Name"]
    if group.schedules.get(name) is not schedule or group.state != "ACTIVE":
        return
    if schedule.request.get("State", "ENABLED") != "ENABLED":
        return
    target = schedule.request["Target"]
    error = invoke(cloud, call, target, group=group.arn)
    store = cloud.store_of(ScheduleStore)
    store.invocations.append(Invocation(name, cloud.clock.today(), error))
    retry = target.get("RetryPolicy") or {}
    age = retry.get("MaximumEventAgeInSeconds", DEFAULT_EVENT_AGE)
    more = attempt <= retry.get("MaximumRetryAttempts", DEFAULT_ATTEMPTS)
    if error and more and attempt * RETRY_SECONDS < age:
        again: Callable[[], None] = partial(
            _fire, cloud, call, group, schedule, attempt=attempt + 1
        )
        cloud.clock.at(schedule.at + timedelta(seconds=attempt * RETRY_SECONDS), again)
    elif schedule.request.get("ActionAfterCompletion") == "DELETE":
        group.schedules.pop(name, None)


def get(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetSchedule."""
    schedule = _schedule(cloud, call)
    known = {key: value for key, value in schedule.request.items() if key != "ClientToken"}
    dates = {"CreationDate": schedule.created, "LastModificationDate": schedule.modified}
    return {"State": "ENABLED"} | known | dates


def _schedule(cloud: CloudApi, call: Call) -> Schedule:
    group = _group(cloud, call, call.params.get("GroupName") or "default")
    schedule = group.schedules.get(call.params["Name"])
    if schedule is None:
        raise _missing(f"Schedule {call.params['Name']}")
    return schedule


def delete(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteSchedule."""
    _schedule(cloud, call)
    group = _group(cloud, call, call.params.get("GroupName") or "default")
    del group.schedules[call.params["Name"]]
    return {}


PAGE = 100


def list_schedules(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListSchedules, a page of one group."""
    if not call.params.get("GroupName"):
        raise _invalid("Only the schedules of one group are listed here.")
    group = _group(cloud, call, call.params["GroupName"])
    start = int(call.params.get("NextToken") or 0)
    size = int(call.params.get("MaxResults") or PAGE)
    names = sorted(group.schedules)
    page = [_summary(group, name, call.params["GroupName"]) for name in names[start : start + size]]
    more = {"NextToken": str(start + size)} if start + size < len(names) else {}
    return {"Schedules": page, **more}


def _summary(group: Group, name: str, group_name: str) -> dict[str, Any]:
    schedule = group.schedules[name]
    return {
        "Arn": f"{group.arn.replace(':schedule-group/', ':schedule/')}/{name}",
        "Name": name,
        "GroupName": group_name,
        "State": schedule.request.get("State", "ENABLED"),
        "CreationDate": schedule.created,
        "LastModificationDate": schedule.modified,
        "Target": {"Arn": schedule.request["Target"]["Arn"]},
    }


def _not_emulated(cloud: CloudApi, call: Call) -> dict[str, Any]:
    raise AwsError("InvalidAction", f"not emulated: scheduler.{call.action}")


def list_resources(cloud: CloudApi) -> list[Resource]:
    """List groups and schedules; AWS charges for invocations only."""
    found = []
    for (region, name), group in cloud.store_of(ScheduleStore).groups.items():
        tags = dict(group.tags)
        found.append(Resource("scheduler", "schedule group", name, region, group.state, tags=tags))
        found += [
            Resource("scheduler", "schedule", one, region, "ENABLED") for one in group.schedules
        ]
    return found


ANSWERS = {
    ("scheduler", "CreateScheduleGroup"): create_group,
    ("scheduler", "GetScheduleGroup"): get_group,
    ("scheduler", "DeleteScheduleGroup"): delete_group,
    ("scheduler", "ListTagsForResource"): list_tags,
    ("scheduler", "TagResource"): tag,
    ("scheduler", "UntagResource"): untag,
    ("scheduler", "CreateSchedule"): create,
    ("scheduler", "GetSchedule"): get,
    ("scheduler", "DeleteSchedule"): delete,
    ("scheduler", "ListSchedules"): list_schedules,
    ("scheduler", "UpdateSchedule"): _not_emulated,
    ("scheduler", "ListScheduleGroups"): _not_emulated,
}
