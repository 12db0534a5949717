"""Pods that no node can run, because no node is in the zone of their volume: nothing changes that.

https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html
"""

from __future__ import annotations

from aws_setup.aws.context import Context
from aws_setup.eks.node_labels import not_ready
from aws_setup.eks.node_launch_template import ROLE_LABEL, every_node_group
from aws_setup.eks.volume_zones import CORE, volume_zones
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import NODE

ELSEWHERE = "volume node affinity conflict"
"""Part of the scheduler's message: ErrReasonNodeConflict of its plugin VolumeBinding.

https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/plugins/volumebinding/binder.go
"""


def fail_stranded(ctx: Context, pod: str, state: str) -> None:
    """Fail where every node is there and none is in the zone of a pod's volume.

    Args:
        ctx: the run's context.
        pod: the pod, or the job of which it is.
        state: what the scheduler says of it.

    Raises:
        SetupError: no node that can still be launched or become ready will run the pod.
    """
    if ELSEWHERE not in state:
        return
    nodes = kube_client(ctx).list(NODE, labels=f"{ROLE_LABEL}={CORE}")
    (group,) = [spec for spec in every_node_group(ctx.config) if spec.role == CORE]
    if len(nodes) < group.count or not_ready(nodes):
        return
    used, name = volume_zones(ctx), ctx.config.eks_cluster_name
    needed = f"set num_openwhisk_core_vms: {len(used)}, " if len(used) > group.count else ""
    places = f"; the volumes are in {', '.join(used)}" if used else ""
    raise SetupError(
        f"OpenWhisk's {pod} has no node in the zone of its volume",
        f"{state}{places}",
        f"{needed}run `aws eks delete-nodegroup --cluster-name {name} --nodegroup-name "
        f"{group.group}` and, when it is gone, configure again: it makes the nodes where the "
        "volumes are",
    )
