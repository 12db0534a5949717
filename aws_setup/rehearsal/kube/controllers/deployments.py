"""Deployments and their ReplicaSets; a new template brings a new ReplicaSet."""

from __future__ import annotations

import copy

from aws_setup.rehearsal.kube.controllers import replicas
from aws_setup.rehearsal.kube.controllers.desk import Desk, conditions, digest, leaving
from aws_setup.rehearsal.kube.errors import Obj
from aws_setup.rehearsal.kube.state import reference

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def reconcile(desk: Desk) -> None:
    """Move Deployments and ReplicaSets on."""
    for one in desk.state.all("deployments"):
        if not leaving(one):
            _deployment(desk, one)
    for one in desk.state.all("replicasets"):
        if not leaving(one):
            _replica_set(desk, one)


def _deployment(desk: Desk, one: Obj) -> None:
    wanted = one["spec"].get("replicas", 1)
    own = digest(one["spec"]["template"])
    sets = desk.state.owned(one["metadata"]["uid"], "replicasets")
    new = next((held for held in sets if held["metadata"]["labels"][HASH] == own), None)
    old = [held for held in sets if held is not new]
    recreate = (one["spec"].get("strategy") or {}).get("type") == "Recreate"
    if recreate and any(replicas.pods_of(desk, held) for held in old):
        _scale(desk, old, 0)
        return
    if new is None:
        new = _new_set(desk, one, own, revision=len(sets) + 1)
    _scale(desk, [new], wanted)
    if new.get("status", {}).get("readyReplicas", 0) >= wanted:
        _scale(desk, old, 0)
    _status(desk, one, new, old, wanted)


def _new_set(desk: Desk, one: Obj, own: str, *, revision: int) -> Obj:
    template = copy.deepcopy(one["spec"]["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[HASH] = own
    selector = copy.deepcopy(one["spec"]["selector"])
    selector.setdefault("matchLabels", {})[HASH] = own
    meta = one["metadata"]
    return desk.state.put(
        "replicasets",
        {
            "metadata": {
                "name": f"{meta['name']}-{own}",
                "namespace": meta["namespace"],
                "labels": dict(labels),
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [reference(one)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        },
    )


def _scale(desk: Desk, sets: list[Obj], wanted: int) -> None:
    for one in sets:
        if one["spec"]["replicas"] != wanted:
            desk.state.put("replicasets", one | {"spec": one["spec"] | {"replicas": wanted}})


def _status(desk: Desk, one: Obj, new: Obj, old: list[Obj], wanted: int) -> None:
    fresh = replicas.pods_of(desk, new)
    pods = fresh + [pod for held in old for pod in replicas.pods_of(desk, held)]
    ready, meta = replicas.ready(pods), one["metadata"]
    enough = ready >= wanted
    done = replicas.ready(fresh) >= wanted and len(pods) == len(fresh)
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


def _replica_set(desk: Desk, one: Obj) -> None:
    pods, wanted = replicas.pods_of(desk, one), one["spec"].get("replicas", 1)
    for _ in range(wanted - len(pods)):
        replicas.make(desk, one)
    for pod in pods[wanted:]:
        replicas.drop(desk, pod)
    pods = replicas.pods_of(desk, one)
    ready = replicas.ready(pods)
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
