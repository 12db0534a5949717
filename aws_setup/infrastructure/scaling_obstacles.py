"""What keeps an auto-scaling group from launching or terminating until somebody removes it.

AWS shows both only as settings of the group: no activity fails, and a wait would go on to its end.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html
"""

from __future__ import annotations

from aws_setup.aws.inventory import Item
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.scaling_drift import remaining, standbys

AGAIN = "then run the same command again"


def check_launches(step: str, group: Item) -> None:
    """Raise where a group that lacks machines may not launch any.

    Raises:
        SetupError: its process Launch is suspended.
    """
    _check_process(step, group, "Launch", "no machine is launched")


def check_terminations(step: str, group: Item) -> None:
    """Raise where a group that has too many machines may not terminate them.

    Raises:
        SetupError: its process Terminate is suspended, or all that is left is protected or in
            standby.
    """
    _check_process(step, group, "Terminate", "no machine is terminated")
    left, name = remaining(group), group["AutoScalingGroupName"]
    apart = standbys(group)
    if apart and len(apart) == len(group["Instances"]):
        raise SetupError(
            f"{step}: {count_of(len(apart), 'machine is', 'machines are')} kept",
            f"{', '.join(apart)}: in standby, which no size of the group ends",
            "if they may be terminated: `aws autoscaling exit-standby --auto-scaling-group-name "
            f"{name} --instance-ids {' '.join(apart)}`, {AGAIN}",
        )
    kept = [machine["InstanceId"] for machine in left if machine.get("ProtectedFromScaleIn")]
    if kept and len(kept) == len(left) > int(group["DesiredCapacity"]):
        raise SetupError(
            f"{step}: {count_of(len(kept), 'machine is', 'machines are')} kept",
            f"{', '.join(kept)}: protected from scale-in",
            "if they may be terminated: `aws autoscaling set-instance-protection "
            f"--auto-scaling-group-name {name} --no-protected-from-scale-in "
            f"--instance-ids {' '.join(kept)}`, {AGAIN}",
        )


def held_state(group: Item, state: str) -> Pending:
    """Return a state of a group, with the machines that a lifecycle hook holds, and what ends it.

    A hook that somebody has added holds machines for an hour by default.
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html
    """
    states = {it["InstanceId"]: str(it.get("LifecycleState")) for it in group["Instances"]}
    held = [f"{key} is {value}" for key, value in states.items() if value.endswith(":Wait")]
    if not held:
        return Pending(state)
    name = group["AutoScalingGroupName"]
    return Pending(
        f"{state}; a lifecycle hook holds machines: {', '.join(held)}",
        "what the hook waits for has to complete it; or find it with `aws autoscaling "
        f"describe-lifecycle-hooks --auto-scaling-group-name {name}`, delete it with `aws "
        f"autoscaling delete-lifecycle-hook --auto-scaling-group-name {name} "
        f"--lifecycle-hook-name HOOK`, {AGAIN}",
    )


def _check_process(step: str, group: Item, process: str, effect: str) -> None:
    for suspended in group.get("SuspendedProcesses", []):
        if suspended["ProcessName"] == process:
            name = group["AutoScalingGroupName"]
            raise SetupError(
                f"{step}: {effect}",
                f"its process {process} is suspended: {suspended.get('SuspensionReason', '')}",
                "`aws autoscaling resume-processes --auto-scaling-group-name "
                f"{name} --scaling-processes {process}`, {AGAIN}",
            )
