"""Auto Scaling groups: create, describe, update and delete.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteAutoScalingGroup.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from aws_setup.rehearsal.aws.autoscaling import capacity, metrics
from aws_setup.rehearsal.aws.autoscaling.mixed_instances import check_policy, check_template
from aws_setup.rehearsal.aws.autoscaling.store import (
    Group,
    GroupInstance,
    GroupsByRegion,
    add_tags,
    group_of,
    groups_of,
    matches,
    tag_list,
    validation_error,
)
from aws_setup.rehearsal.aws.caller_context import of_every_call
from aws_setup.rehearsal.aws.iam import INTERNAL_CLIENT
from aws_setup.rehearsal.core.permissions import decide
from aws_setup.rehearsal.core.policy_evaluator import Decision, Request
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

MAX_GROUPS_PER_PAGE = 50
"""Groups on a page without MaxRecords; at most 100."""
KEPT = {
    "DefaultCooldown": 300,
    "HealthCheckType": "EC2",
    "HealthCheckGracePeriod": 0,
    "NewInstancesProtectedFromScaleIn": False,
    "TerminationPolicies": ["Default"],
    "DeletionProtection": "none",
}
"""Settings that are stored and returned, with their defaults; DeletionProtection alone has an
effect."""
NOT_COVERED = ("LaunchConfigurationName", "InstanceId")


def create(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateAutoScalingGroup; instances are launched after the usual delay."""
    params, groups = call.params, cloud.store_of(GroupsByRegion)
    name = params["AutoScalingGroupName"]
    if (call.region, name) in groups:
        raise AwsError(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} "
            "already exists",
        )
    if len(groups_of(cloud, call)) >= cloud.settings.quotas.auto_scaling_groups:
        raise AwsError("LimitExceeded", "The limit of Auto Scaling groups has been reached")
    group = Group(
        name=name,
        arn=f"arn:{cloud.settings.partition}:autoscaling:{call.region}:{call.account}:autoScalingGroup:"
        f"{uuid.uuid4()}:autoScalingGroupName/{name}",
        region=call.region,
        created=cloud.clock.today(),
        min_size=params["MinSize"],
        max_size=params["MaxSize"],
        desired=params.get("DesiredCapacity", params["MinSize"]),
        subnets=_subnets(cloud, call),
        template=_template(cloud, call),
        settings={key: params.get(key, default) for key, default in KEPT.items()},
        policy=_policy(call),
    )
    group.check()
    add_tags(group, params.get("Tags", []))
    groups[call.region, name] = group
    capacity.schedule_reconcile(cloud, group)
    return {}


def _subnets(cloud: CloudApi, call: Call) -> list[str]:
    ids = [
        subnet_id for subnet_id in call.params.get("VPCZoneIdentifier", "").split(",") if subnet_id
    ]
    if not ids:
        raise validation_error("At least one Availability Zone or VPC Subnet is required.")
    try:
        cloud.call("ec2", "DescribeSubnets", region=call.region, SubnetIds=ids)
    except AwsError as error:
        raise validation_error(f"The subnet ID '{ids}' does not exist: {error.message}") from error
    return ids


def _policy(call: Call) -> dict[str, Any]:
    requested = call.params.get("MixedInstancesPolicy")
    if requested and call.params.get("LaunchTemplate"):
        raise validation_error(
            "Valid requests must contain either LaunchTemplate or MixedInstancesPolicy"
        )
    return check_policy(requested) if requested else {}


def _template(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Return the launch template of a request or of its policy; its version must exist."""
    for key in NOT_COVERED:
        if call.params.get(key):
            raise validation_error(f"{key} is not emulated: use a launch template")
    policy = _policy(call)
    named = policy["LaunchTemplate"]["LaunchTemplateSpecification"] if policy else None
    requested = named or call.params.get("LaunchTemplate") or {}
    if bool(requested.get("LaunchTemplateId")) == bool(requested.get("LaunchTemplateName")):
        raise validation_error(
            "Valid requests must contain either launchTemplateId or LaunchTemplateName"
        )
    try:
        found = capacity.find_template(cloud, call.region, requested)
    except AwsError as error:
        raise validation_error(
            "You must use a valid fully-formed launch template. " + error.message
        ) from error
    instances = f"arn:aws:ec2:{call.region}:{call.account}:instance/*"
    run = Request("ec2:RunInstances", instances, of_every_call(cloud, call))
    permitted = decide(cloud.settings, run, call.access_key) is Decision.ALLOWED
    if call.client != INTERNAL_CLIENT and not permitted:
        name = found["LaunchTemplateId"]
        text = f"You are not authorized to use launch template: {name}"
        raise AwsError("AccessDenied", text, status=403)
    if policy:
        check_template(found["LaunchTemplateData"])
    if not found["LaunchTemplateData"].get("ImageId"):
        raise validation_error(
            "You must use a valid fully-formed launch template. It has no ImageId."
        )
    return dict(requested) | {
        "LaunchTemplateId": found["LaunchTemplateId"],
        "LaunchTemplateName": found["LaunchTemplateName"],
    }


def describe_group(cloud: CloudApi, group: Group) -> dict[str, Any]:
    """Return a group as DescribeAutoScalingGroups answers it."""
    answer = {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        **_shown_launch(group),
        "MinSize": group.min_size,
        "MaxSize": group.max_size,
        "DesiredCapacity": group.desired,
        "AvailabilityZones": _zones(cloud, group),
        "VPCZoneIdentifier": ",".join(group.subnets),
        "LoadBalancerNames": [],
        "TargetGroupARNs": [],
        "Instances": instances(cloud, group),
        "CreatedTime": group.created,
        "SuspendedProcesses": [
            {"ProcessName": name, "SuspensionReason": why} for name, why in group.suspended.items()
        ],
        "EnabledMetrics": metrics.shown(group.metrics),
        "Tags": tag_list(group),
        "ServiceLinkedRoleARN": f"arn:{cloud.settings.partition}:iam::"
        f"{group.arn.split(':')[4]}:role/aws-service-role/"
        "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
    }
    return answer | group.settings | ({"Status": "Delete in progress"} if group.deleting else {})


def _shown_launch(group: Group) -> dict[str, Any]:
    """Return how the group launches: it has a launch template or a mixed instances policy."""
    if not group.policy:
        return {"LaunchTemplate": group.template}
    named = {**group.policy["LaunchTemplate"], "LaunchTemplateSpecification": group.template}
    return {"MixedInstancesPolicy": {**group.policy, "LaunchTemplate": named}}


def _zones(cloud: CloudApi, group: Group) -> list[str]:
    known = cloud.backend("ec2", group.region).subnets
    return sorted(
        {
            zone
            for zone, subnets_of_zone in known.items()
            if set(subnets_of_zone) & set(group.subnets)
        }
    )


def instances(cloud: CloudApi, group: Group) -> list[dict[str, Any]]:
    """Return the instances of a group: InService once they are running."""
    states = capacity.instance_states(cloud, group)
    return [
        {
            "InstanceId": instance.instance_id,
            "InstanceType": instance.instance_type,
            "AvailabilityZone": instance.zone,
            "LifecycleState": _lifecycle(instance, states.get(instance.instance_id, "terminated")),
            "HealthStatus": "Healthy",
            "LaunchTemplate": instance.template,
            "ProtectedFromScaleIn": instance.protected,
        }
        for instance in (*group.instances.values(), *group.leaving.values())
    ]


def _lifecycle(instance: GroupInstance, state: str) -> str:
    if state == "running" and instance.held:
        return "Pending:Wait"
    if state == "running":
        return "Standby" if instance.standby else "InService"
    return "Pending" if state == "pending" else "Terminating"


def describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeAutoScalingGroups; unknown names are left out."""
    names = call.params.get("AutoScalingGroupNames") or []
    found = [
        group
        for group in groups_of(cloud, call)
        if (not names or group.name in names) and matches(group, call.params.get("Filters") or [])
    ]
    start = int(call.params.get("NextToken") or 0)
    end = start + int(call.params.get("MaxRecords") or MAX_GROUPS_PER_PAGE)
    shown = [describe_group(cloud, group) for group in found[start:end]]
    more = {"NextToken": str(end)} if end < len(found) else {}
    return {"AutoScalingGroups": shown} | more


def update(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UpdateAutoScalingGroup; the desired capacity follows a new minimum or maximum."""
    group, params = group_of(cloud, call), call.params
    if group.deleting:
        raise AwsError("ScalingActivityInProgress", "The group is being deleted")
    min_size, max_size = (
        params.get("MinSize", group.min_size),
        params.get("MaxSize", group.max_size),
    )
    item = params.get("DesiredCapacity")
    item = min(max(group.desired, min_size), max_size) if item is None else item
    subnets = _subnets(cloud, call) if params.get("VPCZoneIdentifier") else group.subnets
    changes = params.get("LaunchTemplate") or params.get("MixedInstancesPolicy")
    template = _template(cloud, call) if changes else group.template
    policy = _policy(call) if changes else group.policy
    before = group.min_size, group.max_size, group.desired
    group.min_size, group.max_size, group.desired = min_size, max_size, item
    try:
        group.check()
    except AwsError:
        group.min_size, group.max_size, group.desired = before
        raise
    group.subnets, group.template, group.policy = subnets, template, policy
    group.settings |= {key: params[key] for key in KEPT if key in params}
    capacity.schedule_reconcile(cloud, group)
    return {}


def set_desired(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer SetDesiredCapacity: between minimum and maximum."""
    group, desired = group_of(cloud, call), call.params["DesiredCapacity"]
    if not group.min_size <= desired <= group.max_size:
        bound = "above max" if desired > group.max_size else "below min"
        raise validation_error(
            f"New SetDesiredCapacity value {desired} is {bound} value for the AutoScalingGroup."
        )
    group.desired = desired
    capacity.schedule_reconcile(cloud, group)
    return {}


def delete(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteAutoScalingGroup: empty groups at once, others only by force."""
    group = group_of(cloud, call)
    if group.deleting:
        raise AwsError(
            "ScalingActivityInProgress",
            "You cannot delete an AutoScalingGroup while there are scaling activities in progress "
            "for that group.",
        )
    protection, force = group.settings.get("DeletionProtection"), call.params.get("ForceDelete")
    if protection == "prevent-all-deletion" or (protection == "prevent-force-deletion" and force):
        # EC2 Auto Scaling user guide, "Configure deletion protection"
        raise validation_error(
            f"The group {group.name} cannot be deleted: its deletion protection is {protection}."
        )
    if group.instances and not force:
        raise AwsError(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot "
            "instance request(s) still in the group.",
        )
    group.deleting = True
    ids = list(capacity.instance_states(cloud, group))
    if not ids:
        _remove_group(cloud, group)
    else:
        cloud.call("ec2", "TerminateInstances", region=group.region, InstanceIds=ids)
        cloud.schedule("instance terminated", lambda: _remove_group(cloud, group))
    return {}


def _remove_group(cloud: CloudApi, group: Group) -> None:
    cloud.store_of(GroupsByRegion).pop((group.region, group.name), None)


def activities(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeScalingActivities of one group or of all, newest first."""
    name = call.params.get("AutoScalingGroupName")
    groups = [item for item in groups_of(cloud, call) if name in (None, item.name)]
    return {"Activities": [activity for group in groups for activity in group.activities]}


def list_resources(cloud: CloudApi) -> Iterable[Resource]:
    """List the groups; their instances are billed, groups are not."""
    for group in cloud.store_of(GroupsByRegion).values():
        tags = {key: value for key, (value, _) in group.tags.items()}
        state = "Delete in progress" if group.deleting else ""
        yield Resource("autoscaling", "group", group.name, group.region, state=state, tags=tags)


ANSWERS = {
    ("autoscaling", "CreateAutoScalingGroup"): create,
    ("autoscaling", "DescribeAutoScalingGroups"): describe,
    ("autoscaling", "UpdateAutoScalingGroup"): update,
    ("autoscaling", "SetDesiredCapacity"): set_desired,
    ("autoscaling", "DeleteAutoScalingGroup"): delete,
    ("autoscaling", "DescribeScalingActivities"): activities,
}
