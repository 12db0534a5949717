"""What keeps Auto Scaling from launching or terminating: suspended processes, some machines.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws.autoscaling.capacity import schedule_reconcile
from aws_setup.rehearsal.aws.autoscaling.store import (
    Group,
    GroupInstance,
    group_of,
    validation_error,
)
from aws_setup.rehearsal.core.types import Call, CloudApi

PROCESSES = (
    *("Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance"),
    *("HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions"),
)


def _requested(call: Call) -> list[str]:
    """Return the processes of a request; without any, both actions mean all."""
    named = call.params.get("ScalingProcesses") or list(PROCESSES)
    if unknown := sorted(set(named).difference(PROCESSES)):
        raise validation_error(f"Unknown processes {unknown}: they are {', '.join(PROCESSES)}")
    return list(named)


def suspend(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer SuspendProcesses."""
    group, named = group_of(cloud, call), _requested(call)
    reason = f"User suspended at {cloud.clock.today():%Y-%m-%dT%H:%M:%SZ}"
    group.suspended |= dict.fromkeys(named, reason)
    return {}


def resume(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ResumeProcesses; what waited for them is done."""
    group = group_of(cloud, call)
    for name in _requested(call):
        group.suspended.pop(name, None)
    schedule_reconcile(cloud, group)
    return {}


def protect(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer SetInstanceProtection."""
    group = group_of(cloud, call)
    for instance in _instances(group, call):
        instance.protected = bool(call.params["ProtectedFromScaleIn"])
    schedule_reconcile(cloud, group)
    return {}


def _instances(group: Group, call: Call) -> list[GroupInstance]:
    """Return the instances that a call names; each must be one of the group."""
    ids = call.params.get("InstanceIds") or []
    for instance_id in ids:
        if instance_id not in group.instances:
            raise validation_error(
                f"The instance {instance_id} is not part of Auto Scaling group {group.name}."
            )
    return [group.instances[instance_id] for instance_id in ids]


def enter_standby(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer EnterStandby; without a smaller capacity another instance is launched instead."""
    group = group_of(cloud, call)
    chosen = _instances(group, call)
    _decrement(group, call, len(chosen))
    for instance in chosen:
        instance.standby = True
    schedule_reconcile(cloud, group)
    return {"Activities": []}


def exit_standby(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ExitStandby: the instances count again, and the capacity grows by them."""
    group = group_of(cloud, call)
    chosen = [it for it in _instances(group, call) if it.standby]
    if group.desired + len(chosen) > group.max_size:
        raise validation_error(f"The capacity would exceed the maximum, {group.max_size}")
    for instance in chosen:
        instance.standby = False
    group.desired += len(chosen)
    return {"Activities": []}


def detach(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DetachInstances: they run on, and belong to no group."""
    group = group_of(cloud, call)
    chosen = _instances(group, call)
    _decrement(group, call, len(chosen))
    ids = [instance.instance_id for instance in chosen]
    for instance_id in ids:
        del group.instances[instance_id]
    cloud.backend("ec2", group.region).delete_tags(ids, {"aws:autoscaling:groupName": None})
    schedule_reconcile(cloud, group)
    return {"Activities": []}


def _decrement(group: Group, call: Call, count: int) -> None:
    """Make the capacity smaller by some instances, where the call says so."""
    if not call.params["ShouldDecrementDesiredCapacity"]:
        return
    if group.desired - count < group.min_size:
        raise validation_error(f"The capacity would be below the minimum, {group.min_size}")
    group.desired -= count


ANSWERS = {
    ("autoscaling", "SuspendProcesses"): suspend,
    ("autoscaling", "ResumeProcesses"): resume,
    ("autoscaling", "SetInstanceProtection"): protect,
    ("autoscaling", "EnterStandby"): enter_standby,
    ("autoscaling", "ExitStandby"): exit_standby,
    ("autoscaling", "DetachInstances"): detach,
}
