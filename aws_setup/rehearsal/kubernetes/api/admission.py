"""What the server decides itself about a new object: admission, and what it assigns.

https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from __future__ import annotations

import uuid

from aws_setup.rehearsal.kubernetes.api import deletion, quantities
from aws_setup.rehearsal.kubernetes.api.errors import (
    ApiError,
    KubeObject,
    forbidden,
    invalid,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind
from aws_setup.rehearsal.kubernetes.api.service_validation import NODE_PORTS
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore

DEFAULT_CLASS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
"""Annotations of a default StorageClass (kubernetes, pkg/apis/storage/util/helpers.go)."""

PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")
"""Namespaces that cannot be deleted (NamespaceLifecycle)."""

EVICTED_AFTER = 300
"""Seconds for which a pod tolerates a node that is not ready (DefaultTolerationSeconds)."""


def check_namespace_open(state: ObjectStore, kind: ResourceKind, obj: KubeObject) -> None:
    """Reject a new object in a namespace that does not exist or is terminating."""
    if not kind.namespaced:
        return
    namespace = obj["metadata"]["namespace"]
    held = state.require("namespaces", namespace)
    if "deletionTimestamp" not in held["metadata"]:
        return
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = forbidden(kind.qualified, obj["metadata"].get("name", ""), why)
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    raise ApiError(403, "Forbidden", error.message, details=error.details | {"causes": [cause]})


def check_growth(state: ObjectStore, before: KubeObject, after: KubeObject) -> None:
    """Reject a larger claim whose class cannot resize volumes (PersistentVolumeClaimResize)."""
    old, new = (
        quantities.parse(item["spec"]["resources"]["requests"]["storage"])
        for item in (before, after)
    )
    held = state.get("storageclasses", after["spec"].get("storageClassName") or "")
    if new > old and not (held or {}).get("allowVolumeExpansion"):
        why = (
            "only dynamically provisioned pvc can be resized and the storageclass that provisions "
            "the pvc must support resize"
        )
        raise forbidden("persistentvolumeclaims", after["metadata"]["name"], why)


def check_deletion(kind: ResourceKind, name: str) -> None:
    """Reject the deletion of the namespaces that every cluster has; raises ApiError 403."""
    if kind.name == "Namespace" and name in PROTECTED_NAMESPACES:
        raise forbidden("namespaces", name, "this namespace may not be deleted")


def admit(state: ObjectStore, kind: ResourceKind, obj: KubeObject) -> None:
    """Complete a new object as the admission controllers do.

    Raises:
        ApiError: 403, the pod's service account does not exist.
    """
    if kind.name == "Pod":
        _admit_pod(state, obj)
    elif kind.name == "PersistentVolumeClaim":
        _admit_claim(state, obj)


def _admit_pod(state: ObjectStore, pod: KubeObject) -> None:
    spec, meta = pod.setdefault("spec", {}), pod["metadata"]
    account = spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
    spec["serviceAccount"] = account
    if state.get("serviceaccounts", account, meta["namespace"]) is None:
        why = (
            f"error looking up service account {meta['namespace']}/{account}: serviceaccount "
            f'"{account}" not found'
        )
        raise forbidden("pods", meta.get("name", ""), why)
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for condition in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{condition}"
        if not any(item.get("key") in {key, None, ""} for item in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": EVICTED_AFTER,
                }
            )


def _admit_claim(state: ObjectStore, claim: KubeObject) -> None:
    meta = claim["metadata"]
    if deletion.CLAIM_IN_USE not in meta.get("finalizers", []):
        meta["finalizers"] = [*meta.get("finalizers", []), deletion.CLAIM_IN_USE]
    spec = claim.setdefault("spec", {})
    if "storageClassName" not in spec and (name := default_class(state)):
        spec["storageClassName"] = name


def default_class(state: ObjectStore) -> str:
    """Return the newest default StorageClass; empty without one."""
    found = [
        item
        for item in state.all("storageclasses")
        if any((item["metadata"].get("annotations") or {}).get(k) == "true" for k in DEFAULT_CLASS)
    ]
    newest = max(found, key=lambda item: str(item["metadata"]["creationTimestamp"]), default=None)
    return str(newest["metadata"]["name"]) if newest else ""


def assign(
    state: ObjectStore, kind: ResourceKind, obj: KubeObject, before: KubeObject | None
) -> None:
    """Set what the server assigns: addresses and ports of a Service, labels of a Job's pods.

    Raises:
        ApiError: 422, the address or port is in use.
    """
    if kind.name == "Service":
        _assign_address(state, obj, before)
        _assign_ports(state, obj, before)
    elif kind.name == "Job" and before is None:
        _assign_job_labels(obj)


def _assign_address(state: ObjectStore, service: KubeObject, before: KubeObject | None) -> None:
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return
    old = (before or {}).get("spec", {}).get("clusterIP")
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old or state.address()
    elif spec["clusterIP"] not in {"None", old}:
        taken = {item["spec"].get("clusterIP") for item in state.all("services")}
        if spec["clusterIP"] in taken:
            why = "failed to allocate IP: provided IP is already allocated"
            found = wrong("spec.clusterIPs", [spec["clusterIP"]], why)
            raise invalid("Service", service["metadata"].get("name", ""), found)
    spec["clusterIPs"] = [spec["clusterIP"]]


def _assign_ports(state: ObjectStore, service: KubeObject, before: KubeObject | None) -> None:
    spec, meta = service["spec"], service["metadata"]
    ports = spec.get("ports") or []
    if spec["type"] not in {"LoadBalancer", "NodePort"}:
        if before and before["spec"].get("type") != spec["type"]:
            for port in ports:
                port.pop("nodePort", None)
        return
    own = (meta["namespace"], meta.get("name"))
    taken = {
        port.get("nodePort")
        for item in state.all("services")
        if (item["metadata"]["namespace"], item["metadata"]["name"]) != own
        for port in item["spec"].get("ports") or []
    }
    old = {
        (port.get("name"), port.get("port")): port.get("nodePort")
        for port in (before or {}).get("spec", {}).get("ports") or []
    }
    for at, port in enumerate(ports):
        wanted = port.get("nodePort") or old.get((port.get("name"), port.get("port")))
        if wanted in taken and port.get("nodePort"):
            why = "provided port is already allocated"
            found = wrong(f"spec.ports[{at}].nodePort", wanted, why)
            raise invalid("Service", meta.get("name", ""), found)
        port["nodePort"] = wanted or next(number for number in NODE_PORTS if number not in taken)
        taken.add(port["nodePort"])


def _assign_job_labels(job: KubeObject) -> None:
    spec, meta = job["spec"], job["metadata"]
    name = meta.get("name", "")
    if spec.get("manualSelector"):
        return
    if spec.get("selector"):
        why = "`selector` not auto-generated"
        raise invalid("Job.batch", name, wrong("spec.selector", spec["selector"], why))
    meta["uid"] = uid = str(uuid.uuid4())
    names = {"controller-uid": uid, "job-name": name}
    labels = names | {f"batch.kubernetes.io/{key}": value for key, value in names.items()}
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    template["labels"] = (template.get("labels") or {}) | labels
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
