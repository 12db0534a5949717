"""StatefulSets: numbered pods, one after the other or all at once, with claims of their own."""

from __future__ import annotations

import copy

from aws_setup.rehearsal.kube.controllers import replicas
from aws_setup.rehearsal.kube.controllers.desk import Desk, digest, is_ready, leaving
from aws_setup.rehearsal.kube.errors import Obj

HASH = "controller-revision-hash"


def reconcile(desk: Desk) -> None:
    """Move StatefulSets on."""
    for one in desk.state.all("statefulsets"):
        if not leaving(one):
            _numbered(desk, one)
            _status(desk, one)


def _numbered(desk: Desk, one: Obj) -> None:
    wanted, meta = one["spec"].get("replicas", 1), one["metadata"]
    own = _revision(one)
    ordered = one["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    for pod in replicas.pods_of(desk, one):
        number = int(pod["metadata"]["name"].rpartition("-")[2])
        if number >= wanted:
            replicas.drop(desk, pod)
    for number in range(wanted):
        name = f"{meta['name']}-{number}"
        there = desk.state.get("pods", name, meta["namespace"])
        pod = there or _pod(desk, one, name, number, own)
        if pod["metadata"]["labels"].get(HASH) != own and not leaving(pod):
            replicas.drop(desk, pod)
            return
        if ordered and not is_ready(pod):
            return


def _revision(one: Obj) -> str:
    return f"{one['metadata']['name']}-{digest(one['spec']['template'])}"


def _pod(desk: Desk, one: Obj, name: str, number: int, own: str) -> Obj:
    volumes = list(one["spec"]["template"]["spec"].get("volumes") or [])
    for template in one["spec"].get("volumeClaimTemplates") or []:
        title = template["metadata"]["name"]
        claim = f"{title}-{name}"
        volumes.append({"name": title, "persistentVolumeClaim": {"claimName": claim}})
        _claim(desk, one, template, claim)
    labels = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(number),
        HASH: own,
    }
    return replicas.make(desk, one, name=name, labels=labels, volumes=volumes, hostname=name)


def _claim(desk: Desk, one: Obj, template: Obj, name: str) -> None:
    namespace = one["metadata"]["namespace"]
    if desk.state.get("persistentvolumeclaims", name, namespace) is None:
        labels = one["spec"]["selector"].get("matchLabels", {})
        desk.state.put(
            "persistentvolumeclaims",
            {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": dict(labels),
                    "finalizers": ["kubernetes.io/pvc-protection"],
                },
                "spec": copy.deepcopy(template["spec"]),
                "status": {"phase": "Pending"},
            },
        )


def _status(desk: Desk, one: Obj) -> None:
    pods, own = replicas.pods_of(desk, one), _revision(one)
    fresh = [pod for pod in pods if pod["metadata"]["labels"].get(HASH) == own]
    ready = replicas.ready(pods)
    done = replicas.ready(fresh) >= one["spec"].get("replicas", 1)
    current = own if done else one["status"].get("currentRevision", own)
    desk.state.set_status(
        "statefulsets",
        one,
        {
            "observedGeneration": one["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": len(fresh),
            "updatedReplicas": len(fresh),
            "currentRevision": current,
            "updateRevision": own,
        },
    )
