"""The rows of each kind in `kubectl get`: the cells after the name, wide ones included.

As in the real server's printers (pkg/printers/internalversion/printers.go).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aws_setup.rehearsal.kubernetes.api import table_cells as cells
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject


def born(obj: KubeObject, now: datetime) -> str:
    """Return the column AGE."""
    return cells.age(obj["metadata"].get("creationTimestamp"), now)


def pod_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a pod after its name."""
    status, spec = obj.get("status", {}), obj["spec"]
    held = status.get("containerStatuses") or []
    ready = sum(bool(item.get("ready")) for item in held)
    gates = spec.get("readinessGates") or []
    return (
        f"{ready}/{len(spec['containers'])}",
        cells.pod_reason(obj),
        str(sum(item.get("restartCount", 0) for item in held)),
        born(obj, now),
        status.get("podIP") or cells.NONE,
        spec.get("nodeName") or cells.NONE,
        status.get("nominatedNodeName") or cells.NONE,
        f"0/{len(gates)}" if gates else cells.NONE,
    )


def node_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a node after its name."""
    info = obj["status"].get("nodeInfo") or {}
    return (
        cells.node_status(obj),
        cells.node_roles(obj),
        born(obj, now),
        info.get("kubeletVersion", ""),
        cells.address(obj, "InternalIP"),
        cells.address(obj, "ExternalIP"),
        *(
            info.get(field) or "<unknown>"
            for field in ("osImage", "kernelVersion", "containerRuntimeVersion")
        ),
    )


def service_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a service after its name."""
    spec = obj["spec"]
    return (
        spec.get("type", ""),
        spec.get("clusterIP") or cells.NONE,
        cells.external_address(obj),
        cells.ports(obj),
        born(obj, now),
        cells.labels_text(spec.get("selector")),
    )


def deployment_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a deployment after its name."""
    status, spec = obj["status"], obj["spec"]
    return (
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        born(obj, now),
        *cells.template_images(obj),
        cells.selector_text(spec.get("selector")),
    )


def statefulset_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a statefulset after its name."""
    ready = f"{obj['status'].get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}"
    return (ready, born(obj, now), *cells.template_images(obj))


def replicaset_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a replicaset after its name."""
    status, spec = obj["status"], obj["spec"]
    return (
        spec.get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        born(obj, now),
        *cells.template_images(obj),
        cells.selector_text(spec.get("selector")),
    )


def daemonset_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a daemonset after its name."""
    status, spec = obj["status"], obj["spec"]
    counted = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    selector = (spec["template"].get("spec") or {}).get("nodeSelector")
    return (
        *(status.get(field, 0) for field in counted),
        cells.labels_text(selector),
        born(obj, now),
        *cells.template_images(obj),
        cells.selector_text(spec.get("selector")),
    )


def job_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a job after its name."""
    return (
        cells.job_status(obj),
        cells.completions(obj),
        cells.job_duration(obj, now),
        born(obj, now),
        *cells.template_images(obj),
        cells.selector_text(obj["spec"].get("selector")),
    )


def claim_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a claim after its name."""
    status, spec = obj["status"], obj["spec"]
    bound = bool(spec.get("volumeName"))
    deleted = "deletionTimestamp" in obj["metadata"]
    return (
        "Terminating" if deleted else status.get("phase", ""),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        cells.access_modes(status if bound else {}),
        spec.get("storageClassName", ""),
        "<unset>",
        born(obj, now),
        spec.get("volumeMode", "Filesystem"),
    )


def volume_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a volume after its name."""
    status, spec = obj["status"], obj["spec"]
    claim = spec.get("claimRef") or {}
    deleted = "deletionTimestamp" in obj["metadata"]
    return (
        (spec.get("capacity") or {}).get("storage", ""),
        cells.access_modes(spec),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if deleted else status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        "<unset>",
        status.get("reason", ""),
        born(obj, now),
        spec.get("volumeMode", "Filesystem"),
    )


def storage_class_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a storage class after its name."""
    return (
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        born(obj, now),
    )


def event_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a event after its name."""
    about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    return (
        cells.age(obj.get("lastTimestamp") or obj.get("eventTime"), now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        source.get("component", ""),
        str(obj.get("message", "")).strip(),
        cells.age(obj.get("firstTimestamp") or obj.get("eventTime"), now),
        str(obj.get("count", 1)),
        obj["metadata"]["name"],
    )


def budget_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a budget after its name."""
    spec = obj.get("spec") or {}
    allowed = (obj.get("status") or {}).get("disruptionsAllowed", 0)
    least, most = (str(spec.get(key, "N/A")) for key in ("minAvailable", "maxUnavailable"))
    return least, most, allowed, born(obj, now)


def binding_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a binding after its name."""
    reference, subjects = obj["roleRef"], obj.get("subjects") or []

    def named(kind: str) -> str:
        found = [item for item in subjects if item["kind"] == kind]
        texts = (
            f"{item['namespace']}/{item['name']}" if kind == "ServiceAccount" else item["name"]
            for item in found
        )
        return ", ".join(texts)

    role = f"{reference['kind']}/{reference['name']}"
    return role, born(obj, now), named("User"), named("Group"), named("ServiceAccount")


def ingress_row(obj: KubeObject, now: datetime) -> tuple[Any, ...]:
    """Return the cells of a ingress after its name."""
    spec = obj["spec"]
    hosts = ",".join(rule.get("host") or "*" for rule in spec.get("rules") or []) or "*"
    held = (obj["status"].get("loadBalancer") or {}).get("ingress") or []
    where = ",".join(item.get("ip") or item.get("hostname", "") for item in held)
    ports = "80, 443" if spec.get("tls") else "80"
    return spec.get("ingressClassName", cells.NONE), hosts, where, ports, born(obj, now)
