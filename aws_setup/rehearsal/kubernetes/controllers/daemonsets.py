"""DaemonSets: one pod on each node that fits."""

from __future__ import annotations

from collections.abc import Iterator

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers import pod_set
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    is_being_deleted,
    is_ready,
)
from aws_setup.rehearsal.kubernetes.controllers.scheduling import tolerates

DAEMONSET_HASH_LABEL = "controller-revision-hash"


def reconcile_daemonsets(context: ControllerContext) -> None:
    """Reconcile DaemonSets."""
    for daemonset in context.state.all("daemonsets"):
        with context.guard(daemonset):
            if not is_being_deleted(daemonset) and context.acts("daemonsets", daemonset):
                _daemon(context, daemonset)


def _daemon_nodes(
    context: ControllerContext, daemonset: KubeObject, *effects: str
) -> Iterator[str]:
    """Yield the nodes that fit a DaemonSet, cordoned ones too, but for untolerated taints.

    https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations
    """
    spec = daemonset["spec"]["template"]["spec"]
    selector = spec.get("nodeSelector") or {}
    for node in context.state.all("nodes"):
        fits = is_ready(node) and selector.items() <= node["metadata"]["labels"].items()
        if fits and tolerates(spec, node, effects=effects):
            yield str(node["metadata"]["name"])


def _daemon(context: ControllerContext, daemonset: KubeObject) -> None:
    stays = set(_daemon_nodes(context, daemonset, "NoExecute"))
    desired = set(_daemon_nodes(context, daemonset, "NoSchedule", "NoExecute"))
    revision_hash = context.hash_of_template(daemonset)
    for pod in pod_set.active_pods(context, daemonset):
        at = pod["spec"].get("nodeName")
        if at not in stays or pod["metadata"]["labels"].get(DAEMONSET_HASH_LABEL) != revision_hash:
            pod_set.delete_pod(context, pod)
    nodes_with_pod = {
        pod["spec"].get("nodeName") for pod in pod_set.active_pods(context, daemonset)
    }
    for node in sorted(desired - nodes_with_pod):
        pod_set.create_pod(
            context, daemonset, labels={DAEMONSET_HASH_LABEL: revision_hash}, nodeName=node
        )
    pods = pod_set.active_pods(context, daemonset)
    ready = pod_set.count_ready(pods)
    context.state.set_status(
        "daemonsets",
        daemonset,
        {
            "observedGeneration": daemonset["metadata"]["generation"],
            "desiredNumberScheduled": len(desired),
            "currentNumberScheduled": len(pods),
            "updatedNumberScheduled": len(pods),
            "numberReady": ready,
            "numberAvailable": ready,
            "numberMisscheduled": 0,
            "numberUnavailable": len(desired) - ready or None,
        },
    )
