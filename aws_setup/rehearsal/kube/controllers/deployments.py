"""Deployments and their ReplicaSets; a new template brings a new ReplicaSet."""

from __future__ import annotations

import copy

from aws_setup.rehearsal.kube.controllers import replicas
from aws_setup.rehearsal.kube.controllers.desk import ControllerContext, conditions, template_hash, is_being_deleted
from aws_setup.rehearsal.kube.errors import KubeObject
from aws_setup.rehearsal.kube.state import owner_reference

DEPLOYMENT_HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def reconcile_deployments(desk: ControllerContext) -> None:
    """Move Deployments and ReplicaSets on."""
    for one in desk.state.all("deployments"):
        if not is_being_deleted(one):
            _deployment(desk, one)
    for one in desk.state.all("replicasets"):
        if not is_being_deleted(one):
            _replica_set(desk, one)


def _deployment(desk: ControllerContext, one: KubeObject) -> None:
    wanted = one["spec"].get("replicas", 1)
    own = template_hash(one["spec"]["template"])
    sets = desk.state.owned(one["metadata"]["uid"], "replicasets")
    new = next((held for held in sets if held["metadata"]["labels"][DEPLOYMENT_HASH_LABEL] == own), None)
    old = [held for held in sets if held is not new]
    recreate = (one["spec"].get("strategy") or {}).get("type") == "Recreate"
    if recreate and any(replicas.active_pods(desk, held) for held in old):
        _scale(desk, old, 0)
        return
    if new is None:
        new = _new_set(desk, one, own, revision=len(sets) + 1)
    _scale(desk, [new], wanted)
    if new.get("status", {}).get("readyReplicas", 0) >= wanted:
        _scale(desk, old, 0)
    _update_deployment_status(desk, one, new, old, wanted)


def _new_set(desk: ControllerContext, one: KubeObject, own: str, *, revision: int) -> KubeObject:
    template = copy.deepcopy(one["spec"]["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[DEPLOYMENT_HASH_LABEL] = own
    selector = copy.deepcopy(one["spec"]["selector"])
    selector.setdefault("matchLabels", {})[DEPLOYMENT_HASH_LABEL] = own
    meta = one["metadata"]
    return desk.state.put(
        "replicasets",
        {
            "metadata": {
                "name": f"{meta['name']}-{own}",
                "namespace": meta["namespace"],
                "labels": dict(labels),
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [owner_reference(one)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        },
    )


def _scale(desk: ControllerContext, sets: list[KubeObject], wanted: int) -> None:
    for one in sets:
        if one["spec"]["replicas"] != wanted:
            desk.state.put("replicasets", one | {"spec": one["spec"] | {"replicas": wanted}})


def _update_deployment_status(desk: ControllerContext, one: KubeObject, new: KubeObject, old: list[KubeObject], wanted: int) -> None:
    fresh = replicas.active_pods(desk, new)
    pods = fresh + [pod for held in old for pod in replicas.active_pods(desk, held)]
    ready, meta = replicas.count_ready(pods), one["metadata"]
    enough = ready >= wanted
    done = replicas.count_ready(fresh) >= wanted and len(pods) == len(fresh)
    found = conditions(
        one,
        desk.state.now(),
        Available=(enough, "MinimumReplicas" + ("Available" if enough else "Unavailable"), ""),
        Progressing=(True, "NewReplicaSetAvailable" if done else "ReplicaSetUpdated", ""),
    )
    desk.state.set_status(
        "deployments",
        one,
        {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(fresh),
            "readyReplicas": ready or None,
            "availableReplicas": ready or None,
            "unavailableReplicas": max(0, wanted - ready) or None,
            "conditions": found,
        },
    )


def _replica_set(desk: ControllerContext, one: KubeObject) -> None:
    pods, wanted = replicas.active_pods(desk, one), one["spec"].get("replicas", 1)
    for _ in range(wanted - len(pods)):
        replicas.create_pod(desk, one)
    for pod in pods[wanted:]:
        replicas.delete_pod(desk, pod)
    pods = replicas.active_pods(desk, one)
    ready = replicas.count_ready(pods)
    desk.state.set_status(
        "replicasets",
        one,
        {
            "observedGeneration": one["metadata"]["generation"],
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        },
    )
