"""StatefulSets: numbered pods, one after the other or all at once, with claims of their own."""

from __future__ import annotations

import copy

from aws_setup.rehearsal.kube.controllers import replicas
from aws_setup.rehearsal.kube.controllers.desk import ControllerContext, template_hash, is_ready, is_being_deleted
from aws_setup.rehearsal.kube.errors import KubeObject

STATEFULSET_HASH_LABEL = "controller-revision-hash"


def reconcile_statefulsets(desk: ControllerContext) -> None:
    """Move StatefulSets on."""
    for one in desk.state.all("statefulsets"):
        if not is_being_deleted(one):
            _numbered(desk, one)
            _update_statefulset_status(desk, one)


def _numbered(desk: ControllerContext, one: KubeObject) -> None:
    wanted, meta = one["spec"].get("replicas", 1), one["metadata"]
    own = _revision(one)
    ordered = one["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    for pod in replicas.active_pods(desk, one):
        number = int(pod["metadata"]["name"].rpartition("-")[2])
        if number >= wanted:
            replicas.delete_pod(desk, pod)
    for number in range(wanted):
        name = f"{meta['name']}-{number}"
        there = desk.state.get("pods", name, meta["namespace"])
        pod = there or _new_statefulset_pod(desk, one, name, number, own)
        if pod["metadata"]["labels"].get(STATEFULSET_HASH_LABEL) != own and not is_being_deleted(pod):
            replicas.delete_pod(desk, pod)
            return
        if ordered and not is_ready(pod):
            return


def _revision(one: KubeObject) -> str:
    return f"{one['metadata']['name']}-{template_hash(one['spec']['template'])}"


def _new_statefulset_pod(desk: ControllerContext, one: KubeObject, name: str, number: int, own: str) -> KubeObject:
    volumes = list(one["spec"]["template"]["spec"].get("volumes") or [])
    for template in one["spec"].get("volumeClaimTemplates") or []:
        title = template["metadata"]["name"]
        claim = f"{title}-{name}"
        volumes.append({"name": title, "persistentVolumeClaim": {"claimName": claim}})
        _claim(desk, one, template, claim)
    labels = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(number),
        STATEFULSET_HASH_LABEL: own,
    }
    return replicas.create_pod(desk, one, name=name, labels=labels, volumes=volumes, hostname=name)


def _claim(desk: ControllerContext, one: KubeObject, template: KubeObject, name: str) -> None:
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


def _update_statefulset_status(desk: ControllerContext, one: KubeObject) -> None:
    pods, own = replicas.active_pods(desk, one), _revision(one)
    fresh = [pod for pod in pods if pod["metadata"]["labels"].get(STATEFULSET_HASH_LABEL) == own]
    ready = replicas.count_ready(pods)
    done = replicas.count_ready(fresh) >= one["spec"].get("replicas", 1)
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
