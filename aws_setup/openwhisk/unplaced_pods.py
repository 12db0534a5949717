"""Pods that no node can run until somebody acts: each poll would find the same.

No node is in the zone of their volume, or those that fit were cordoned or tainted, or are machines
that the cluster has forgotten.
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aws_setup.aws.context import Context
from aws_setup.eks.lost_nodes import lost_nodes, short_groups
from aws_setup.eks.node_labels import not_ready
from aws_setup.eks.node_launch_template import every_node_group, node_group_specs
from aws_setup.eks.volume_zones import CORE, volume_zones
from aws_setup.errors import SetupError
from aws_setup.infrastructure.eks_deletions import describe_node_group
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import NODE, Json
from aws_setup.kube.placement import ZONE_LABEL, is_selected, tolerates
from aws_setup.openwhisk.release_objects import (
    Object,
    is_replaced,
    name_of,
    release_status,
    unready_reason,
)

ELSEWHERE = "volume node affinity conflict"
"""Part of the scheduler's message: ErrReasonNodeConflict of its plugin VolumeBinding.

https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/plugins/volumebinding/binder.go
"""

_REJECTED = re.compile(r"(\d+)/(\d+) nodes are available: (.*?)(?:\. |\.?$)", re.DOTALL)
"""The scheduler's message; after its first sentence comes what it says of preemption.

https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/types.go (FitError)
"""

_LASTING = re.compile(
    r"(\d+) node\(s\) (?:were unschedulable|had untolerated taint|didn't match Pod's node affinity)"
)
"""Reasons that no other pod's end removes, each with its number of nodes.

https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/plugins/nodeunschedulable/node_unschedulable.go
https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go
https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/plugins/nodeaffinity/node_affinity.go
"""

_OF_KUBERNETES = re.compile(r"(^|\.)(kubernetes|k8s)\.io/|/agent-not-ready$")
"""Keys of taints that Kubernetes, or a driver that starts, sets and removes by itself.

https://kubernetes.io/docs/reference/labels-annotations-taints/
https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/install.md
"""

STANDING = frozenset({"ACTIVE", "DEGRADED"})
"""States of a node group in which EKS neither adds, replaces nor deletes nodes by itself.

https://docs.aws.amazon.com/eks/latest/APIReference/API_Nodegroup.html
"""

BETWEEN_LOOKS = 60.0
"""Seconds between two looks at the nodes while pods wait for one."""


@dataclass
class UnplacedPods:
    """Fails a wait for pods that no node will run; it looks once a minute."""

    ctx: Context
    looked: float | None = field(default=None, init=False)

    def check(self, what: str) -> None:
        """Look for what keeps pods from every node; `what` the run waits for is shown.

        Raises:
            SetupError: no node that can still be launched or become ready will run a pod.
        """
        now = self.ctx.clock.now()
        if self.looked is not None and now - self.looked < BETWEEN_LOOKS:
            return
        self.looked = now
        waiting = list(_waiting(self.ctx))
        if not waiting:
            return
        nodes = kube_client(self.ctx).list(NODE)
        for lost in lost_nodes(self.ctx, nodes):
            raise SetupError(f"OpenWhisk's {what} has no node", lost.cause, lost.fix)
        if short_groups(self.ctx, nodes) or _are_replaced(self.ctx):
            return
        for pod in waiting:
            _fail_elsewhere(self.ctx, pod, nodes)
            _fail_barred(pod, nodes)


def _waiting(ctx: Context) -> Iterator[Object]:
    """Yield the release's pods that the scheduler could not place."""
    for pod in release_status(ctx).pods:
        if _REJECTED.search(unready_reason(pod)) and not is_replaced(pod):
            yield pod


def _are_replaced(ctx: Context) -> bool:
    """Return whether EKS replaces nodes: it cordons the old ones, and deletes them.

    https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html
    """
    groups = [describe_node_group(ctx, spec.group) for spec in node_group_specs(ctx.config)]
    return any(group is not None and group["status"] not in STANDING for group in groups)


def _fail_elsewhere(ctx: Context, pod: Object, nodes: Sequence[Json]) -> None:
    """Fail where no node is in the zone of the pod's volume, nor one that becomes ready."""
    reason = unready_reason(pod)
    if ELSEWHERE not in reason:
        return
    used, name = volume_zones(ctx), ctx.config.eks_cluster_name
    if not_ready([node for node in nodes if not used or _zone(node) in used]):
        return
    (group,) = [spec for spec in every_node_group(ctx.config) if spec.role == CORE]
    needed = f"set num_openwhisk_core_vms: {len(used)}, " if len(used) > group.count else ""
    places = f"; the volumes are in {', '.join(used)}" if used else ""
    raise SetupError(
        f"OpenWhisk's pod {name_of(pod)} has no node in the zone of its volume",
        f"{reason}{places}",
        f"{needed}run `aws eks delete-nodegroup --cluster-name {name} --nodegroup-name "
        f"{group.group}` and, when it is gone, configure again: it makes the nodes where the "
        "volumes are",
    )


def _zone(node: Json) -> str:
    return str((node["metadata"].get("labels") or {}).get(ZONE_LABEL, ""))


def _fail_barred(pod: Object, nodes: Sequence[Json]) -> None:
    """Fail where each node is of another kind, cordoned or tainted."""
    fitting = [node for node in nodes if is_selected(node, pod["spec"])]
    barred, reason = dict(_barred(fitting, pod)), unready_reason(pod)
    rejected = _REJECTED.search(reason)
    if not barred or not rejected or not_ready(fitting):
        return
    if sum(int(count) for count in _LASTING.findall(rejected[3])) < int(rejected[2]):
        return
    commands = "; ".join(f"`{command}`" for command in barred.values())
    raise SetupError(
        f"OpenWhisk's pod {name_of(pod)} has no node",
        f"{reason}; {', '.join(barred)}",
        f"let pods start there again: {commands}; then run configure again",
    )


def _barred(nodes: Sequence[Json], pod: Object) -> Iterator[tuple[str, str]]:
    """Yield what somebody has set that keeps a pod from nodes, with the command that ends it."""
    for node in nodes:
        name, spec = name_of(node), node.get("spec", {})
        if spec.get("unschedulable"):
            yield f"node {name} is cordoned", f"kubectl uncordon {name}"
        for taint in spec.get("taints") or []:
            key, effect = str(taint["key"]), str(taint["effect"])
            if effect == "PreferNoSchedule" or tolerates(taint, pod["spec"]):
                continue
            if not _OF_KUBERNETES.search(key):
                yield f"node {name} has the taint {key}", f"kubectl taint nodes {name} {key}-"
