"""How many nodes a node group has: an update of its size may end before they are launched.

UpdateNodegroupConfig sets the sizes of EKS's auto-scaling group, and that group launches; why it
cannot is in its scaling activities.
https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.reasons import hint_of_reason
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.scaling_activities import FAILED_LOOKS, launch_failure
from aws_setup.infrastructure.scaling_drift import in_service


@dataclass
class NodeCount:
    """Counts the nodes of one group while a run waits for them."""

    ctx: Context
    failed: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def missing(self, group: Item) -> str:
        """Return how many nodes there are instead of those that there should be; '' for enough.

        Raises:
            SetupError: AWS's last activities launched none; the cause is their reason.
        """
        names = _scaling_groups(group)
        desired = int(group["scalingConfig"]["desiredSize"])
        if not names or not desired:
            return ""
        answer = self.ctx.aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=names)
        nodes = sum(len(in_service(each)) for each in answer["AutoScalingGroups"])
        if nodes >= desired:
            return ""
        has = f"{nodes} of {count_of(desired, 'node')}"
        reason = next(filter(None, (launch_failure(self.ctx, name) for name in names)), "")
        if reason and next(self.failed) >= FAILED_LOOKS:
            raise SetupError(f"{group['nodegroupName']}: {has}", reason, hint_of_reason(reason))
        return f"{has}: {reason}" if reason else has


def _scaling_groups(group: Item) -> Sequence[str]:
    named = (group.get("resources") or {}).get("autoScalingGroups") or []
    return [str(each["name"]) for each in named]
