"""The columns of each kind in `kubectl get`.

As in the real server's printers (pkg/printers/internalversion/printers.go).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_setup.rehearsal.kubernetes.api import table_cells as cells
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.table_rows import (
    binding_row,
    born,
    budget_row,
    claim_row,
    daemonset_row,
    deployment_row,
    event_row,
    ingress_row,
    job_row,
    node_row,
    pod_row,
    replicaset_row,
    service_row,
    statefulset_row,
    storage_class_row,
    volume_row,
)


@dataclass(frozen=True)
class Columns:
    """A kind's columns: `name` for numbers and texts, `name*` for those of `-o wide` only.

    `cells` returns the cells of an object at a time.
    """

    names: tuple[str, ...]
    cells: Callable[[KubeObject, datetime], tuple[Any, ...]]


_PLACE = ("Containers*", "Images*")
COLUMNS: dict[str, Columns] = {
    "pods": Columns(
        (
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "IP*",
            "Node*",
            "Nominated Node*",
            "Readiness Gates*",
        ),
        pod_row,
    ),
    "nodes": Columns(
        (
            "Status",
            "Roles",
            "Age",
            "Version",
            "Internal-IP*",
            "External-IP*",
            "OS-Image*",
            "Kernel-Version*",
            "Container-Runtime*",
        ),
        node_row,
    ),
    "services": Columns(
        ("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector*"), service_row
    ),
    "deployments": Columns(
        ("Ready", "Up-to-date", "Available", "Age", *_PLACE, "Selector*"), deployment_row
    ),
    "statefulsets": Columns(("Ready", "Age", *_PLACE), statefulset_row),
    "replicasets": Columns(
        ("Desired", "Current", "Ready", "Age", *_PLACE, "Selector*"), replicaset_row
    ),
    "daemonsets": Columns(
        (
            "Desired",
            "Current",
            "Ready",
            "Up-to-date",
            "Available",
            "Node Selector",
            "Age",
            *_PLACE,
            "Selector*",
        ),
        daemonset_row,
    ),
    "jobs": Columns(("Status", "Completions", "Duration", "Age", *_PLACE, "Selector*"), job_row),
    "persistentvolumeclaims": Columns(
        (
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "VolumeMode*",
        ),
        claim_row,
    ),
    "persistentvolumes": Columns(
        (
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            "VolumeMode*",
        ),
        volume_row,
    ),
    "storageclasses": Columns(
        ("Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"),
        storage_class_row,
    ),
    "namespaces": Columns(
        ("Status", "Age"), lambda obj, now: (obj["status"].get("phase", ""), born(obj, now))
    ),
    "configmaps": Columns(
        ("Data", "Age"),
        lambda obj, now: (
            len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
            born(obj, now),
        ),
    ),
    "secrets": Columns(
        ("Type", "Data", "Age"),
        lambda obj, now: (obj.get("type", ""), len(obj.get("data") or {}), born(obj, now)),
    ),
    "serviceaccounts": Columns(
        ("Secrets", "Age"), lambda obj, now: (len(obj.get("secrets") or []), born(obj, now))
    ),
    "poddisruptionbudgets": Columns(
        ("Min Available", "Max Unavailable", "Allowed Disruptions", "Age"), budget_row
    ),
    "networkpolicies": Columns(
        ("Pod-Selector", "Age"),
        lambda obj, now: (cells.selector_text(obj["spec"].get("podSelector")), born(obj, now)),
    ),
    "rolebindings": Columns(("Role", "Age", "Users*", "Groups*", "ServiceAccounts*"), binding_row),
    "clusterrolebindings": Columns(
        ("Role", "Age", "Users*", "Groups*", "ServiceAccounts*"), binding_row
    ),
    "roles": Columns(("Created At",), lambda obj, now: (obj["metadata"].get("creationTimestamp"),)),
    "clusterroles": Columns(
        ("Created At",), lambda obj, now: (obj["metadata"].get("creationTimestamp"),)
    ),
    "ingresses": Columns(("Class", "Hosts", "Address", "Ports", "Age"), ingress_row),
    "leases": Columns(
        ("Holder", "Age"),
        lambda obj, now: ((obj.get("spec") or {}).get("holderIdentity", ""), born(obj, now)),
    ),
}
EVENT_COLUMNS = Columns(
    (
        "Last Seen",
        "Type",
        "Reason",
        "Object",
        "Subobject*",
        "Source*",
        "Message",
        "First Seen*",
        "Count*",
        "Name*",
    ),
    event_row,
)
OTHER = Columns(("Age",), lambda obj, now: (born(obj, now),))
