"""Pods made from a template for an owner."""

from __future__ import annotations

import copy
import secrets

from aws_setup.rehearsal.kube import deletion
from aws_setup.rehearsal.kube.controllers.desk import Desk, is_ready, leaving
from aws_setup.rehearsal.kube.errors import Obj
from aws_setup.rehearsal.kube.state import reference


def make(
    desk: Desk, owner: Obj, *, name: str = "", labels: dict[str, str] | None = None, **spec: object
) -> Obj:
    """Make a pod from the owner's template; without a name it gets one of its own."""
    template = copy.deepcopy(owner["spec"]["template"])
    meta = template.get("metadata") or {}
    owner_meta = owner["metadata"]
    pod: Obj = {
        "metadata": {
            "name": name or f"{owner_meta['name']}-{secrets.token_hex(3)[:5]}",
            "namespace": owner_meta["namespace"],
            "labels": (meta.get("labels") or {}) | (labels or {}),
            "annotations": meta.get("annotations") or {},
            "ownerReferences": [reference(owner)],
        },
        "spec": template["spec"] | spec,
        "status": {"phase": "Pending"},
    }
    return desk.state.put("pods", pod)


def pods_of(desk: Desk, owner: Obj) -> list[Obj]:
    """Return an owner's pods that are neither ended nor on their way out."""
    return [
        one
        for one in desk.state.owned(owner["metadata"]["uid"], "pods")
        if not leaving(one) and one["status"].get("phase") not in {"Succeeded", "Failed"}
    ]


def drop(desk: Desk, pod: Obj) -> None:
    """Delete a pod, with its grace."""
    deletion.delete(desk.state, "pods", pod)


def ready(pods: list[Obj]) -> int:
    """Return how many pods are ready."""
    return sum(is_ready(one) for one in pods)
