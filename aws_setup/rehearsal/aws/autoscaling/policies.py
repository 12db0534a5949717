"""Scaling policies, scheduled actions and lifecycle hooks of Auto Scaling groups.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScalingPolicy.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScheduledUpdateGroupAction.html
Policies and actions are kept and shown alone: the rehearsal has no metrics, and no schedule changes
a group. A hook of launches holds what is launched until it is deleted.
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws.autoscaling.store import (
    Group,
    group_of,
    groups_of,
    validation_error,
)
from aws_setup.rehearsal.core.types import Call, CloudApi


def _arn(group: Group, kind: str, name: str) -> str:
    place = group.arn.replace(":autoScalingGroup:", f":{kind}:", 1)
    return f"{place}:{kind[0].lower()}{kind[1:]}Name/{name}"


def _named_groups(cloud: CloudApi, call: Call) -> list[Group]:
    name = call.params.get("AutoScalingGroupName")
    return [group for group in groups_of(cloud, call) if name in (None, group.name)]


def put_policy(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer PutScalingPolicy; a policy of the same name is replaced."""
    group, name = group_of(cloud, call), call.params["PolicyName"]
    kept = {"PolicyType": "SimpleScaling", "Enabled": True, "Alarms": []} | call.params
    group.scaling_policies[name] = kept | {"PolicyARN": _arn(group, "scalingPolicy", name)}
    return {"PolicyARN": group.scaling_policies[name]["PolicyARN"], "Alarms": []}


def describe_policies(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribePolicies of one group or of all."""
    groups = _named_groups(cloud, call)
    return {"ScalingPolicies": [it for group in groups for it in group.scaling_policies.values()]}


def delete_policy(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeletePolicy."""
    group, name = group_of(cloud, call), call.params["PolicyName"]
    if group.scaling_policies.pop(name, None) is None:
        raise validation_error(f"PolicyName not found - No policy found with name: {name}")
    return {}


def put_action(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer PutScheduledUpdateGroupAction; an action of the same name is replaced."""
    group, name = group_of(cloud, call), call.params["ScheduledActionName"]
    arn = _arn(group, "scheduledUpdateGroupAction", name)
    group.scheduled_actions[name] = call.params | {"ScheduledActionARN": arn}
    return {}


def describe_actions(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeScheduledActions of one group or of all."""
    groups = _named_groups(cloud, call)
    found = [it for group in groups for it in group.scheduled_actions.values()]
    return {"ScheduledUpdateGroupActions": found}


def delete_action(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteScheduledAction."""
    group, name = group_of(cloud, call), call.params["ScheduledActionName"]
    if group.scheduled_actions.pop(name, None) is None:
        raise validation_error(f"Scheduled action name not found: {name}")
    return {}


def put_hook(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer PutLifecycleHook for launches; one of the same name is replaced."""
    group = group_of(cloud, call)
    if call.params["LifecycleTransition"] != "autoscaling:EC2_INSTANCE_LAUNCHING":
        raise validation_error("hooks of terminations are not emulated")
    group.hooks[call.params["LifecycleHookName"]] = {"HeartbeatTimeout": 3600} | call.params
    return {}


def describe_hooks(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeLifecycleHooks."""
    return {"LifecycleHooks": list(group_of(cloud, call).hooks.values())}


def delete_hook(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteLifecycleHook: what it holds goes on."""
    group, name = group_of(cloud, call), call.params["LifecycleHookName"]
    if group.hooks.pop(name, None) is None:
        raise validation_error(f"No Lifecycle Hook found with name {name}")
    for instance in group.instances.values():
        instance.held = "" if instance.held == name else instance.held
    return {}


ANSWERS = {
    ("autoscaling", "PutLifecycleHook"): put_hook,
    ("autoscaling", "DescribeLifecycleHooks"): describe_hooks,
    ("autoscaling", "DeleteLifecycleHook"): delete_hook,
    ("autoscaling", "PutScalingPolicy"): put_policy,
    ("autoscaling", "DescribePolicies"): describe_policies,
    ("autoscaling", "DeletePolicy"): delete_policy,
    ("autoscaling", "PutScheduledUpdateGroupAction"): put_action,
    ("autoscaling", "DescribeScheduledActions"): describe_actions,
    ("autoscaling", "DeleteScheduledAction"): delete_action,
}
