"""The security group of VMs: without it nothing reaches them; other groups of theirs are kept.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/changing-security-group.html: the groups of an
instance are changed while it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.engine.step import Drift

STEP = "security group"


def group_drift(ctx: Context, active: Sequence[Item]) -> list[Drift]:
    """Return the drift of the VMs from which somebody has taken the deployment's group."""
    outside = _outside(ctx, active)
    if not outside:
        return []
    has = "; ".join(f"{it['InstanceId']}: {', '.join(_groups(it))}" for it in outside)
    return [Drift("security groups", has, f"{ctx.of(STEP).id} as well")]


def restore_groups(ctx: Context, active: Sequence[Item]) -> None:
    """Add the deployment's group to the VMs that are not in it."""
    for item in _outside(ctx, active):
        groups = [*_groups(item), ctx.of(STEP).id]
        ctx.aws.ec2.modify_instance_attribute(InstanceId=item["InstanceId"], Groups=groups)


def _outside(ctx: Context, active: Sequence[Item]) -> list[Item]:
    found = ctx.found.get(STEP)
    if found is None:
        return []
    return [it for it in active if it.get("SecurityGroups") and found.id not in _groups(it)]


def _groups(instance: Item) -> list[str]:
    return [group["GroupId"] for group in instance["SecurityGroups"]]
