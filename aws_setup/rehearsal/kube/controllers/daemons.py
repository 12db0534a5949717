"""DaemonSets: a pod on every node that fits."""

from __future__ import annotations

from aws_setup.rehearsal.kube.controllers import replicas
from aws_setup.rehearsal.kube.controllers.desk import ControllerContext, template_hash, is_ready, is_being_deleted
from aws_setup.rehearsal.kube.errors import KubeObject

DAEMONSET_HASH_LABEL = "controller-revision-hash"


def reconcile_daemonsets(desk: ControllerContext) -> None:
    """Move DaemonSets on."""
    for one in desk.state.all("daemonsets"):
        if not is_being_deleted(one):
            _daemon(desk, one)


def _daemon(desk: ControllerContext, one: KubeObject) -> None:
    selector = one["spec"]["template"]["spec"].get("nodeSelector") or {}
    wanted = {
        node["metadata"]["name"]
        for node in desk.state.all("nodes")
        if is_ready(node) and selector.items() <= node["metadata"]["labels"].items()
    }
    own = template_hash(one["spec"]["template"])
    for pod in replicas.active_pods(desk, one):
        at = pod["spec"].get("nodeName")
        if at not in wanted or pod["metadata"]["labels"].get(DAEMONSET_HASH_LABEL) != own:
            replicas.delete_pod(desk, pod)
    there = {pod["spec"].get("nodeName") for pod in replicas.active_pods(desk, one)}
    for node in sorted(wanted - there):
        replicas.create_pod(desk, one, labels={DAEMONSET_HASH_LABEL: own}, nodeName=node)
    pods = replicas.active_pods(desk, one)
    ready = replicas.count_ready(pods)
    desk.state.set_status(
        "daemonsets",
        one,
        {
            "observedGeneration": one["metadata"]["generation"],
            "desiredNumberScheduled": len(wanted),
            "currentNumberScheduled": len(pods),
            "updatedNumberScheduled": len(pods),
            "numberReady": ready,
            "numberAvailable": ready,
            "numberMisscheduled": 0,
            "numberUnavailable": len(wanted) - ready or None,
        },
    )
