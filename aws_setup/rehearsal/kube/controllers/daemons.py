"""DaemonSets: a pod on every node that fits."""

from __future__ import annotations

from aws_setup.rehearsal.kube.controllers import replicas
from aws_setup.rehearsal.kube.controllers.desk import Desk, digest, is_ready, leaving
from aws_setup.rehearsal.kube.errors import Obj

HASH = "controller-revision-hash"


def reconcile(desk: Desk) -> None:
    """Move DaemonSets on."""
    for one in desk.state.all("daemonsets"):
        if not leaving(one):
            _daemon(desk, one)


def _daemon(desk: Desk, one: Obj) -> None:
    selector = one["spec"]["template"]["spec"].get("nodeSelector") or {}
    wanted = {
        node["metadata"]["name"]
        for node in desk.state.all("nodes")
        if is_ready(node) and selector.items() <= node["metadata"]["labels"].items()
    }
    own = digest(one["spec"]["template"])
    for pod in replicas.pods_of(desk, one):
        at = pod["spec"].get("nodeName")
        if at not in wanted or pod["metadata"]["labels"].get(HASH) != own:
            replicas.drop(desk, pod)
    there = {pod["spec"].get("nodeName") for pod in replicas.pods_of(desk, one)}
    for node in sorted(wanted - there):
        replicas.make(desk, one, labels={HASH: own}, nodeName=node)
    pods = replicas.pods_of(desk, one)
    ready = replicas.ready(pods)
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
