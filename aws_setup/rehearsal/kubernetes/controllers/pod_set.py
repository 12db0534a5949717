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
) -> KubeObject | None:
    """Create a pod from the owner's template; without `name` the name is generated.

    Returns:
        None where a ResourceQuota refuses it: the owner's event says so.
    """
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
    if refusal := _over_quota(context, pod, owner):
        message = f"Error creating: {refusal}"
        context.state.event(owner, reason="FailedCreate", message=message, warning=True)
        return None
    return context.state.put("pods", pod)


def _over_quota(context: ControllerContext, pod: KubeObject, owner: KubeObject) -> str:
    """Return why a ResourceQuota refuses a pod, '' where none does; pods are counted alone.

    A controller tries again with another name; here it is the same, so that it is one event.

    https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
    """
    meta, namespace = owner["metadata"], pod["metadata"]["namespace"]
    name = f"{meta['name']}-{meta['uid'][:5]}"
    for quota in context.state.all("resourcequotas", namespace):
        limit = (quota["spec"].get("hard") or {}).get("pods")
        others = context.state.all("pods", namespace)
        used = sum(it["status"].get("phase") not in {"Succeeded", "Failed"} for it in others)
        if limit is not None and used >= int(limit):
            return (
                f'pods "{name}" is forbidden: exceeded quota: {quota["metadata"]["name"]}, '
                f"requested: pods=1, used: pods={used}, limited: pods={limit}"
            )
    return ""


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
