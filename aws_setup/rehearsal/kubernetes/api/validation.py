"""Validation of each kind's own fields; what the schema alone cannot say.

https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from aws_setup.rehearsal.kubernetes.api import metadata, pod_validation, quantities
from aws_setup.rehearsal.kubernetes.api.errors import (
    FieldError,
    KubeObject,
    invalid,
    required,
    too_long,
    unsupported,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind
from aws_setup.rehearsal.kubernetes.api.pod_validation import check_selector
from aws_setup.rehearsal.kubernetes.api.service_validation import check_service
from aws_setup.rehearsal.kubernetes.api.workload_validation import (
    check_cronjob,
    check_job,
    check_statefulset,
    check_workload,
)

SECRET_BYTES = 1024 * 1024
REQUIRED_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
"""Keys that a Secret of a type must have."""

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")


def validate(kind: ResourceKind, obj: KubeObject) -> None:
    """Check an object with its defaults; raises ApiError 422 with every cause."""
    found = metadata.check_metadata(kind, obj["metadata"])
    if check := CHECKS.get(kind.name):
        found += check(obj)
    if found:
        raise invalid(kind.qualified_name, obj["metadata"].get("name", ""), *found)


def _secret(obj: KubeObject) -> list[FieldError]:
    data, kind = obj.get("data") or {}, obj.get("type", "Opaque")
    found = _check_data(data)
    if sum(len(base64.b64decode(value)) for value in data.values()) > SECRET_BYTES:
        found.append(too_long("data", SECRET_BYTES))
    found += [required(f"data[{key}]") for key in REQUIRED_KEYS.get(kind, ()) if key not in data]
    if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        found += [required(f"data[{key}]") for key in ("username", "password")]
    if kind == "kubernetes.io/service-account-token":
        key = "kubernetes.io/service-account.name"
        if not (obj["metadata"].get("annotations") or {}).get(key):
            found.append(required(f"metadata.annotations[{key}]"))
    return found


def _check_data(data: KubeObject, field: str = "data") -> list[FieldError]:
    found = [(key, metadata.data_key(key)) for key in data]
    return [wrong(f"{field}[{key}]", key, why) for key, why in found if why]


def _config_map(obj: KubeObject) -> list[FieldError]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    found = _check_data(data) + _check_data(binary, "binaryData")
    for key in data.keys() & binary.keys():
        found.append(wrong(f"data[{key}]", key, "duplicate of key present in binaryData"))
    size = sum(len(value.encode()) for value in data.values())
    if size + sum(len(base64.b64decode(value)) for value in binary.values()) > SECRET_BYTES:
        found.append(too_long("", SECRET_BYTES))
    return found


def _storage_class(obj: KubeObject) -> list[FieldError]:
    found: list[FieldError] = []
    provisioner = obj.get("provisioner", "")
    if not provisioner:
        found.append(required("provisioner"))
    elif why := metadata.qualified_name(provisioner.lower()):
        found.append(wrong("provisioner", provisioner, why))
    for field, allowed in (
        ("reclaimPolicy", ("Delete", "Retain")),
        ("volumeBindingMode", BINDING_MODES),
    ):
        if obj.get(field) not in allowed:
            found.append(unsupported(field, obj.get(field), allowed))
    return found


def _claim(obj: KubeObject) -> list[FieldError]:
    return check_claim_spec(obj.get("spec") or {}, "spec")


def check_claim_spec(spec: KubeObject, path: str) -> list[FieldError]:
    """Return the problems of a claim's spec."""
    found: list[FieldError] = []
    modes = spec.get("accessModes") or []
    if not modes:
        why = "at least 1 access mode is required"
        found.append(required(f"{path}.accessModes", why))
    for mode in modes:
        if mode not in ACCESS_MODES:
            found.append(unsupported(f"{path}.accessModes", mode, ACCESS_MODES))
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        found.append(required(f"{path}.resources[storage]"))
    elif quantities.parse(storage) <= 0:
        why = "must be greater than zero"
        found.append(wrong(f"{path}.resources[storage]", storage, why))
    name = spec.get("storageClassName")
    if name and (why := metadata.subdomain(name)):
        found.append(wrong(f"{path}.storageClassName", name, why))
    if spec.get("volumeMode", "Filesystem") not in {"Block", "Filesystem"}:
        allowed = ("Block", "Filesystem")
        found.append(unsupported(f"{path}.volumeMode", spec["volumeMode"], allowed))
    return found


def _volume(obj: KubeObject) -> list[FieldError]:
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    if not spec.get("accessModes"):
        found.append(required("spec.accessModes"))
    if not spec.get("capacity"):
        found.append(required("spec.capacity"))
    if not any(isinstance(spec.get(key), dict) for key in ("csi", "hostPath", "nfs", "local")):
        found.append(required("spec", "must specify a volume type"))
    return found


def _role(obj: KubeObject) -> list[FieldError]:
    found: list[FieldError] = []
    for at, rule in enumerate(obj.get("rules") or []):
        path = f"rules[{at}]"
        if not rule.get("verbs"):
            found.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            why = "resource rules must supply at least one api group"
            found.append(required(f"{path}.apiGroups", why))
        if not rule.get("resources"):
            why = "resource rules must supply at least one resource"
            found.append(required(f"{path}.resources", why))
    return found


def _binding(obj: KubeObject) -> list[FieldError]:
    reference = obj.get("roleRef") or {}
    found: list[FieldError] = []
    if reference.get("kind") not in {"Role", "ClusterRole"}:
        allowed = ("Role", "ClusterRole")
        found.append(unsupported("roleRef.kind", reference.get("kind", ""), allowed))
    if not reference.get("name"):
        found.append(required("roleRef.name"))
    kinds = ("Group", "ServiceAccount", "User")
    for at, subject in enumerate(obj.get("subjects") or []):
        path = f"subjects[{at}]"
        if not subject.get("name"):
            found.append(required(f"{path}.name"))
        if subject.get("kind") not in kinds:
            found.append(unsupported(f"{path}.kind", subject.get("kind", ""), kinds))
        elif subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            found.append(required(f"{path}.namespace"))
    return found


def _ingress(obj: KubeObject) -> list[FieldError]:
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    if not spec.get("rules") and not spec.get("defaultBackend"):
        why = "either `defaultBackend` or `rules` must be specified"
        found.append(wrong("spec", spec, why))
    for at, rule in enumerate(spec.get("rules") or []):
        for number, item in enumerate((rule.get("http") or {}).get("paths") or []):
            path = f"spec.rules[{at}].http.paths[{number}]"
            if not item.get("pathType"):
                found.append(required(f"{path}.pathType", "pathType must be specified"))
            if not (item.get("backend") or {}).keys() & {"service", "resource"}:
                found.append(required(f"{path}.backend", "must specify a service or a resource"))
    return found


def _network_policy(obj: KubeObject) -> list[FieldError]:
    spec = obj.get("spec") or {}
    allowed = ("Egress", "Ingress")
    return check_selector(spec.get("podSelector") or {}, "spec.podSelector") + [
        unsupported("spec.policyTypes", item, allowed)
        for item in spec.get("policyTypes") or []
        if item not in allowed
    ]


def _disruption_budget(obj: KubeObject) -> list[FieldError]:
    spec = obj.get("spec") or {}
    found = check_selector(spec.get("selector") or {}, "spec.selector")
    if "minAvailable" in spec and "maxUnavailable" in spec:
        why = "minAvailable and maxUnavailable cannot be both set"
        found.append(wrong("spec", spec, why))
    return found


def _event(obj: KubeObject) -> list[FieldError]:
    about = (obj.get("involvedObject") or {}).get("namespace", "")
    namespace = obj["metadata"].get("namespace")
    if about == namespace or (not about and namespace == "default"):
        return []
    return [wrong("involvedObject.namespace", about, "does not match event.namespace")]


def _lease(obj: KubeObject) -> list[FieldError]:
    seconds = (obj.get("spec") or {}).get("leaseDurationSeconds", 1)
    if seconds > 0:
        return []
    return [wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0")]


def _pod(obj: KubeObject) -> list[FieldError]:
    return pod_validation.check_pod_spec(obj.get("spec") or {}, "spec")


CHECKS: dict[str, Callable[[KubeObject], list[FieldError]]] = {
    "Secret": _secret,
    "ConfigMap": _config_map,
    "Deployment": check_workload,
    "StatefulSet": check_statefulset,
    "DaemonSet": check_workload,
    "ReplicaSet": check_workload,
    "Job": check_job,
    "CronJob": check_cronjob,
    "Pod": _pod,
    "Service": check_service,
    "StorageClass": _storage_class,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "Role": _role,
    "ClusterRole": _role,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "Ingress": _ingress,
    "NetworkPolicy": _network_policy,
    "PodDisruptionBudget": _disruption_budget,
    "Event": _event,
    "Lease": _lease,
}
"""The check of each kind's own fields."""
