"""The fields that may not change, by kind.

https://kubernetes.io/docs/concepts/ (each kind's page names them); texts as in 1.36's answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kubernetes.api import defaults, metadata, quantities
from aws_setup.rehearsal.kubernetes.api.errors import (
    FieldError,
    KubeObject,
    invalid,
    not_allowed,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind

IMMUTABLE = "field is immutable"
FROZEN: dict[str, tuple[str, ...]] = {
    "Job": ("spec.template", "spec.selector", "spec.completionMode"),
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "Secret": ("type",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "PersistentVolume": ("spec.csi", "spec.hostPath", "spec.nfs", "spec.local", "spec.volumeMode"),
}
"""Fields by kind that keep their first value."""

STORAGE_CLASS_FIELDS = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
SET_MAY_CHANGE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
"""Fields of a StatefulSet's spec that may change after creation (StatefulSet validation)."""

POD_MAY_CHANGE = (
    "spec.containers[*].image",
    "spec.initContainers[*].image",
    "spec.activeDeadlineSeconds",
    "spec.tolerations (only additions to existing tolerations)",
    "spec.terminationGracePeriodSeconds (allow it to be set to 1 if it was previously negative)",
)


def check_changes(kind: ResourceKind, before: KubeObject, after: KubeObject) -> None:
    """Check that what may not change has not changed; raises ApiError 422 with every cause."""
    if before.get("spec") == after.get("spec") and kind.name not in UNCHANGED_SPEC:
        found = []
    else:
        # Objects that controllers and EKS write lack some defaults, which are no changes.
        before = copy_json(before)
        defaults.set_defaults(kind, before)
        found = [
            wrong(path, _value_at(after, path), IMMUTABLE)
            for path in FROZEN.get(kind.name, ())
            if _value_at(before, path) != _value_at(after, path)
        ]
        if check := CHECKS.get(kind.name):
            found += check(before, after)
    found += metadata.check_changed_metadata(before["metadata"], after["metadata"])
    if found:
        raise invalid(kind.qualified_name, before["metadata"]["name"], *found)


def _value_at(obj: KubeObject, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _statefulset(before: KubeObject, after: KubeObject) -> list[FieldError]:
    def fixed(obj: KubeObject) -> KubeObject:
        return {key: value for key, value in obj["spec"].items() if key not in SET_MAY_CHANGE}

    if fixed(before) == fixed(after):
        return []
    allowed = ", ".join(f"'{item}'" for item in SET_MAY_CHANGE[:-1])
    why = f"updates to statefulset spec for fields other than {allowed} and 'minReadySeconds'"
    return [not_allowed("spec", f"{why} are forbidden")]


def _claim(before: KubeObject, after: KubeObject) -> list[FieldError]:
    old, new = before["spec"], after["spec"]
    bound = before.get("status", {}).get("phase") == "Bound"

    def fixed(spec: KubeObject) -> KubeObject:
        may_change = {"resources", "volumeAttributesClassName"} if bound else set()
        # The class of a claim without one, and its volume, are set once.
        once = {key for key in ("storageClassName", "volumeName") if key not in old}
        return {key: value for key, value in spec.items() if key not in may_change | once}

    if fixed(old) != fixed(new):
        why = (
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        )
        return [not_allowed("spec", why)]
    smaller = _size(new) < _size(old)
    if smaller:
        why = "field can not be less than status.capacity"
        return [not_allowed("spec.resources.requests.storage", why)]
    return []


def _size(spec: KubeObject) -> Any:
    requests = (spec.get("resources") or {}).get("requests") or {}
    return quantities.parse(str(requests.get("storage", "0")))


def _job(before: KubeObject, after: KubeObject) -> list[FieldError]:
    old, new = before["spec"], after["spec"]
    elastic = new.get("completionMode") == "Indexed" and new.get("completions") == new.get(
        "parallelism"
    )
    found = []
    if old.get("completions") != new.get("completions") and not elastic:
        found.append(wrong("spec.completions", new.get("completions"), IMMUTABLE))
    return found


def _service(before: KubeObject, after: KubeObject) -> list[FieldError]:
    old, new = before["spec"], after["spec"]
    # kubernetes/kubernetes, ValidateServiceUpdate: while the type stays.
    balanced = old.get("type") == new.get("type") == "LoadBalancer"
    if balanced and old.get("loadBalancerClass") != new.get("loadBalancerClass"):
        why = "may not change once set"
        return [wrong("spec.loadBalancerClass", new.get("loadBalancerClass"), why)]
    if "ExternalName" in {old.get("type"), new.get("type")} or not old.get("clusterIP"):
        return []
    if old["clusterIP"] == new.get("clusterIP"):
        return []
    return [wrong("spec.clusterIPs[0]", [new.get("clusterIP")], "may not change once set")]


def _storage_class(before: KubeObject, after: KubeObject) -> list[FieldError]:
    why = "updates to {} are forbidden."
    return [
        not_allowed(field, why.format(field))
        for field in STORAGE_CLASS_FIELDS
        if before.get(field) != after.get(field)
    ]


def _pod(before: KubeObject, after: KubeObject) -> list[FieldError]:
    old, new = copy_json(before["spec"]), copy_json(after["spec"])
    for group in ("containers", "initContainers"):
        for one, other in zip(old.get(group) or [], new.get(group) or [], strict=False):
            one["image"] = other.get("image")
    deadline, old_deadline = (
        new.pop("activeDeadlineSeconds", None),
        old.pop("activeDeadlineSeconds", None),
    )
    if old_deadline is not None and (deadline is None or deadline > old_deadline):
        why = "must be less than or equal to previous value"
        return [wrong("spec.activeDeadlineSeconds", deadline, why)]
    kept = old.pop("tolerations", None) or []
    tolerations = new.pop("tolerations", None) or []
    if any(item not in tolerations for item in kept):
        why = "existing toleration can not be modified except its tolerationSeconds"
        return [not_allowed("spec.tolerations", why)]
    if old == new:
        return []
    allowed = ",".join(f"`{item}`" for item in POD_MAY_CHANGE)
    return [not_allowed("spec", f"pod updates may not change fields other than {allowed}")]


def _data(before: KubeObject, after: KubeObject) -> list[FieldError]:
    if not before.get("immutable"):
        return []
    found = []
    if not after.get("immutable"):
        found.append(not_allowed("immutable", "field is immutable when `immutable` is set"))
    for field in ("data", "binaryData"):
        if (before.get(field) or {}) != (after.get(field) or {}):
            found.append(not_allowed(field, "field is immutable when `immutable` is set"))
    return found


CHECKS: dict[str, Callable[[KubeObject, KubeObject], list[FieldError]]] = {
    "StatefulSet": _statefulset,
    "PersistentVolumeClaim": _claim,
    "Job": _job,
    "Service": _service,
    "StorageClass": _storage_class,
    "Pod": _pod,
    "Secret": _data,
    "ConfigMap": _data,
}
UNCHANGED_SPEC = {"Secret", "ConfigMap", "StorageClass", "RoleBinding", "ClusterRoleBinding"}
"""Kinds that are compared although they have no spec."""
