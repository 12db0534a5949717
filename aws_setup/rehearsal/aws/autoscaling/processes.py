"""What keeps Auto Scaling from launching or terminating: suspended processes, protected machines.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws.autoscaling.capacity import schedule_reconcile
from aws_setup.rehearsal.aws.autoscaling.store import group_of, validation_error
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
    group, ids = group_of(cloud, call), call.params["InstanceIds"]
    for instance_id in ids:
        if instance_id not in group.instances:
            raise validation_error(
                f"The instance {instance_id} is not part of Auto Scaling group {group.name}."
            )
        group.instances[instance_id].protected = bool(call.params["ProtectedFromScaleIn"])
    schedule_reconcile(cloud, group)
    return {}


ANSWERS = {
    ("autoscaling", "SuspendProcesses"): suspend,
    ("autoscaling", "ResumeProcesses"): resume,
    ("autoscaling", "SetInstanceProtection"): protect,
}
