"""Whether a workload is ready: its newest generation and revision, not what runs from before.

A controller works after the API server has accepted a change: until then its status describes the
old object. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Object = Mapping[str, Any]


def unready(kind: str, item: Object) -> str:
    """Return why an object is not ready as it is specified now, '' when it is.

    Args:
        kind: its kind; the items of a list do not carry it.
        item: the object.
    """
    status = item.get("status") or {}
    generation = int(item["metadata"].get("generation") or 0)
    observed = int(status.get("observedGeneration") or 0)
    # A Job's status has no observedGeneration: what it runs cannot change.
    if kind != "Job" and observed < generation:
        return "its controller has not seen the change yet"
    return CHECKS[kind](item.get("spec") or {}, status)


def _replicas(spec: Object) -> int:
    replicas = spec.get("replicas")
    return 1 if replicas is None else int(replicas)


def _count(status: Object, key: str) -> int:
    return int(status.get(key) or 0)


def _deployment(spec: Object, status: Object) -> str:
    desired, updated = _replicas(spec), _count(status, "updatedReplicas")
    old = _count(status, "replicas") - updated
    return (
        _fewer(_count(status, "readyReplicas"), desired, "ready")
        or _fewer(updated, desired, "updated")
        or (f"{old} of the old revision still run" if old > 0 else "")
    )


def _stateful_set(spec: Object, status: Object) -> str:
    desired = _replicas(spec)
    strategy = spec.get("updateStrategy") or {}
    first = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    ready = _fewer(_count(status, "readyReplicas"), desired, "ready")
    if ready or strategy.get("type") == "OnDelete":
        return ready
    newest = status.get("updateRevision")
    old = not first and newest and status.get("currentRevision") != newest
    return _fewer(_count(status, "updatedReplicas"), max(0, desired - first), "updated") or (
        "pods of the old revision still run" if old else ""
    )


def _daemon_set(spec: Object, status: Object) -> str:
    desired = _count(status, "desiredNumberScheduled")
    ready = _fewer(_count(status, "numberReady"), desired, "ready")
    if ready or (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return ready
    return _fewer(_count(status, "updatedNumberScheduled"), desired, "updated")


def _job(spec: Object, status: Object) -> str:
    conditions = {item.get("type"): item for item in status.get("conditions") or []}
    failed = conditions.get("Failed", {})
    if failed.get("status") == "True":
        return f"failed: {failed.get('message') or failed.get('reason') or ''}"
    if conditions.get("Complete", {}).get("status") == "True":
        return ""
    wanted = int(spec.get("completions") or 1)
    return "" if _count(status, "succeeded") >= wanted else "running"


def _fewer(count: int, desired: int, state: str) -> str:
    return "" if count >= desired else f"{count} of {desired} {state}"


CHECKS: Mapping[str, Callable[[Object, Object], str]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
}
"""What makes each kind ready, from its spec and its status."""
