"""Keeps a group at its desired capacity: launches and terminates real instances.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-limits.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from typing import Any

from aws_setup.rehearsal.aws.autoscaling.mixed_instances import next_launches, wrong_market
from aws_setup.rehearsal.aws.autoscaling.store import Group, GroupInstance, GroupsByRegion
from aws_setup.rehearsal.aws.ec2.instances import LaunchFailures
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

RETRY_SECONDS = 60.0
"""Seconds until a failed launch is retried."""

STOPPED_STATES = ("stopping", "stopped")
"""States of instances that a group terminates and replaces, as they are unhealthy.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html
"""

ENDED_STATES = ("shutting-down", "terminated")
"""States of instances that are no part of a group any more."""

COPIED_TEMPLATE_KEYS = (
    "ImageId",
    "InstanceType",
    "KeyName",
    "UserData",
    "EbsOptimized",
    "BlockDeviceMappings",
    "SecurityGroupIds",
    "Monitoring",
    "MetadataOptions",
    "InstanceInitiatedShutdownBehavior",
    "IamInstanceProfile",
)
"""Keys that a launch template and RunInstances share."""


def schedule_reconcile(cloud: CloudApi, group: Group) -> None:
    """Reconcile the group with its desired capacity after the usual delay."""
    cloud.schedule("auto scaling instances", lambda: reconcile_group(cloud, group))


def reconcile_group(cloud: CloudApi, group: Group) -> None:
    """Remove what does not run, then launch or terminate to reach the desired capacity."""
    if group.deleting:
        return
    states = instance_states(cloud, group)
    if "Terminate" not in group.suspended:
        _terminate_stopped(cloud, group, states)
    for key in [key for key in group.instances if states.get(key, "terminated") in ENDED_STATES]:
        del group.instances[key]
    counted = {key: it for key, it in group.instances.items() if not it.standby}
    too_many = max(0, len(counted) - group.desired)
    free = [key for key, instance in counted.items() if not instance.protected]
    if too_many and free and "Terminate" not in group.suspended:
        terminate(cloud, group, free[:too_many])
    if "Launch" in group.suspended:
        return
    try:
        while sum(not it.standby for it in group.instances.values()) < group.desired:
            _launch_one(cloud, group)
        _match_purchase(cloud, group)
    except AwsError as error:
        _failed(cloud, group, error)


def _terminate_stopped(cloud: CloudApi, group: Group, states: dict[str, str]) -> None:
    """Terminate stopped instances, unless the group may not look at their health.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
    """
    stopped = [key for key in group.instances if states.get(key) in STOPPED_STATES]
    if stopped and not {"HealthCheck", "ReplaceUnhealthy"} & set(group.suspended):
        terminate(cloud, group, stopped)


def instance_states(cloud: CloudApi, group: Group) -> dict[str, str]:
    """Return the EC2 state of each instance of the group that EC2 still lists.

    Those that leave the group are among them until they are gone.
    """
    ec2 = cloud.backend("ec2", group.region)
    states = {
        instance.id: instance._state.name
        for reservation in ec2.reservations.values()
        for instance in reservation.instances
    }
    group.leaving = {
        key: instance
        for key, instance in group.leaving.items()
        if states.get(key, "terminated") != "terminated"
    }
    return {key: states[key] for key in (*group.instances, *group.leaving) if key in states}


def terminate(cloud: CloudApi, group: Group, ids: list[str]) -> None:
    """Terminate instances; they leave the group when they are gone.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
    """
    for key in ids:
        group.leaving[key] = group.instances.pop(key)
        add_activity(cloud, group, f"Terminating EC2 instance: {key}", "Successful")
    cloud.call("ec2", "TerminateInstances", region=group.region, InstanceIds=ids)


def _match_purchase(cloud: CloudApi, group: Group) -> None:
    """Replace what a mixed instances policy would not buy, each after its replacement runs.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """
    for key in wrong_market(group):
        _launch_one(cloud, group)
        terminate(cloud, group, [key])


def _launch_one(cloud: CloudApi, group: Group) -> None:
    """Launch one instance in the emptiest zone; raises AwsError when every subnet fails.

    A mixed instances policy's types are tried in their order in each zone.
    """
    data = template_data(cloud, group)
    refusal: AwsError | None = None
    tries = next_launches(group, str(data["LaunchTemplateData"].get("InstanceType", "")))
    for subnet, override in itertools.product(_emptiest_first(cloud, group), tries):
        request = _request(group, data, subnet) | override
        try:
            answer = cloud.call("ec2", "RunInstances", region=group.region, **request)
        except AwsError as error:
            refusal = error
            continue
        instance = answer["Instances"][0]
        _add_reserved_tags(cloud, group, instance["InstanceId"], data)
        group.instances[instance["InstanceId"]] = GroupInstance(
            instance["InstanceId"],
            instance["InstanceType"],
            instance["Placement"]["AvailabilityZone"],
            _shown_template(data),
            spot="InstanceMarketOptions" in override,
            held=next(iter(group.hooks), ""),
        )
        add_activity(
            cloud, group, f"Launching a new EC2 instance: {instance['InstanceId']}", "Successful"
        )
        return
    raise refusal or AwsError("ValidationError", "The group has no subnet")


def _add_reserved_tags(
    cloud: CloudApi, group: Group, instance_id: str, version: dict[str, Any]
) -> None:
    """Add the tags that only AWS may set."""
    shown = _shown_template(version)
    tags = {
        "aws:autoscaling:groupName": group.name,
        "aws:ec2launchtemplate:id": shown["LaunchTemplateId"],
        "aws:ec2launchtemplate:version": shown["Version"],
    }
    cloud.backend("ec2", group.region).create_tags([instance_id], tags)


def _emptiest_first(cloud: CloudApi, group: Group) -> list[str]:
    counts = Counter(instance.zone for instance in group.instances.values())
    answer = cloud.call("ec2", "DescribeSubnets", region=group.region, SubnetIds=group.subnets)[
        "Subnets"
    ]
    zones = {item["SubnetId"]: item["AvailabilityZone"] for item in answer}
    return sorted(group.subnets, key=lambda item: counts[zones[item]])


def template_data(cloud: CloudApi, group: Group) -> dict[str, Any]:
    """Return the launch template version that the group launches with, as described."""
    return find_template(cloud, group.region, group.template)


def find_template(cloud: CloudApi, region: str, requested: dict[str, Any]) -> dict[str, Any]:
    """Return a launch template version; raises EC2's AwsError when it does not exist.

    A template that is named by its id is that one, not a later one of its name.
    """
    key = "LaunchTemplateId" if requested.get("LaunchTemplateId") else "LaunchTemplateName"
    named = {key: requested[key]}
    version = str(requested.get("Version") or "$Default")
    answer = cloud.call(
        "ec2", "DescribeLaunchTemplateVersions", region=region, Versions=[version], **named
    )
    found = answer["LaunchTemplateVersions"]
    if not found:
        raise AwsError("InvalidLaunchTemplateId.VersionNotFound", f"no version {version}")
    return dict(found[0])


def _shown_template(version: dict[str, Any]) -> dict[str, Any]:
    return {
        "LaunchTemplateId": version["LaunchTemplateId"],
        "LaunchTemplateName": version["LaunchTemplateName"],
        "Version": str(version["VersionNumber"]),
    }


def _request(group: Group, version: dict[str, Any], subnet: str) -> dict[str, Any]:
    """Return the RunInstances request for one instance of the group in a subnet."""
    data = version["LaunchTemplateData"]
    request: dict[str, Any] = {key: data[key] for key in COPIED_TEMPLATE_KEYS if data.get(key)}
    request |= {"MinCount": 1, "MaxCount": 1, "TagSpecifications": _tags(group, version)}
    if interfaces := data.get("NetworkInterfaces"):
        first = {"DeviceIndex": 0} | interfaces[0] | {"SubnetId": subnet}
        return request | {"NetworkInterfaces": [first, *interfaces[1:]]}
    return request | {"SubnetId": subnet}


def _tags(group: Group, version: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tags of instance and volumes: the template's and the group's."""
    specifications = version["LaunchTemplateData"].get("TagSpecifications", [])
    by_kind = {
        item["ResourceType"]: {t["Key"]: t["Value"] for t in item["Tags"]}
        for item in specifications
    }
    propagated = {key: value for key, (value, propagate) in group.tags.items() if propagate}
    by_kind["instance"] = by_kind.get("instance", {}) | propagated
    return [
        {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        for kind, tags in by_kind.items()
        if tags
    ]


def add_activity(cloud: CloudApi, group: Group, text: str, status: str, why: str = "") -> None:
    """Add an activity, newest first."""
    now = cloud.clock.today()
    group.activities.insert(
        0,
        {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.name,
            "Description": text,
            "Cause": "a difference between desired and actual capacity",
            "StartTime": now,
            "EndTime": now,
            "StatusCode": status,
            "StatusMessage": why,
            "Progress": 100,
        },
    )


def _failed(cloud: CloudApi, group: Group, error: AwsError) -> None:
    """Record a failed launch and retry later; in a cloud without delays, on the next change."""
    percentage = group.policy.get("InstancesDistribution", {})
    spot = percentage.get("OnDemandPercentageAboveBaseCapacity", 100) < 100
    market = "Spot" if spot else "On-Demand"
    why = (
        f"Could not launch {market} Instances. {error.code} - {error.message} "
        "Launching EC2 instance failed."
    )
    add_activity(
        cloud, group, f"Launching a new EC2 instance.  Status Reason: {why}", "Failed", why
    )
    _schedule_retry(cloud, group)


def _schedule_retry(cloud: CloudApi, group: Group) -> None:
    if cloud.clock.speed and not group.retrying:
        group.retrying = True
        cloud.clock.after(RETRY_SECONDS, lambda: _retry_later(cloud, group))


def _retry_later(cloud: CloudApi, group: Group) -> None:
    group.retrying = False
    reconcile_group(cloud, group)


def _launch_failed(cloud: CloudApi, instance_id: str, why: str) -> None:
    """A machine of a group ended while it started: the group drops it and tries again later."""
    for group in cloud.store_of(GroupsByRegion).values():
        if instance_id not in group.instances or group.deleting:
            continue
        del group.instances[instance_id]
        text = (
            "Instance became unhealthy while waiting for instance to be in InService state. "
            f"Termination Reason: {why}"
        )
        what = f"Launching a new EC2 instance: {instance_id}.  Status Reason: {text}"
        add_activity(cloud, group, what, "Cancelled", text)
        _schedule_retry(cloud, group)


def start(cloud: CloudApi) -> None:
    """Have machines that fail at launch told to their groups."""
    cloud.store_of(LaunchFailures).tell = _launch_failed


def _replace_terminated(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """After instances were stopped or terminated: their groups replace them."""
    ids = set(call.params.get("InstanceIds", []))
    for group in cloud.store_of(GroupsByRegion).values():
        if ids & set(group.instances) and not group.deleting:
            schedule_reconcile(cloud, group)


AFTER = {
    ("ec2", "TerminateInstances"): _replace_terminated,
    ("ec2", "StopInstances"): _replace_terminated,
}
