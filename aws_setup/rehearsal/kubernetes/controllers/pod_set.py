"""The pods of an owner, created from its template."""

from __future__ import annotations

import secrets

from aws_setup.rehearsal.kubernetes.api import deletion
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.state import owner_reference
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    is_being_deleted,
    is_ready,
)


def create_pod(
    context: ControllerContext,
    owner: KubeObject,
    *,
    name: str = "",
    labels: dict[str, str] | None = None,
    **spec: object,
) -> KubeObject:
    """Create a pod from the owner's template; without `name` the name is generated."""
    template = copy_json(owner["spec"]["template"])
    meta = template.get("metadata") or {}
    owner_meta = owner["metadata"]
    pod: KubeObject = {
        "metadata": {
            "name": name or f"{owner_meta['name']}-{secrets.token_hex(3)[:5]}",
            "namespace": owner_meta["namespace"],
            "labels": (meta.get("labels") or {}) | (labels or {}),
            "annotations": meta.get("annotations") or {},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template["spec"] | spec,
        "status": {"phase": "Pending"},
    }
    return context.state.put("pods", pod)


def active_pods(context: ControllerContext, owner: KubeObject) -> list[KubeObject]:
    """Return an owner's pods that have not ended and are not being deleted."""
    return [
        pod
        for pod in context.state.owned(owner["metadata"]["uid"], "pods")
        if not is_being_deleted(pod) and pod["status"].get("phase") not in {"Succeeded", "Failed"}
    ]


def delete_pod(context: ControllerContext, pod: KubeObject) -> None:
    """Delete a pod with its grace period."""
    deletion.delete_object(context.state, "pods", pod)


def count_ready(pods: list[KubeObject]) -> int:
    """Return how many pods are ready."""
    return sum(is_ready(pod) for pod in pods)
