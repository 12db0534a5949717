"""The served kinds, and the discovery documents."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class ResourceKind:
    """One kind of object: its group and version, subresources and kubectl's short names."""

    group_version: str
    plural: str
    name: str
    namespaced: bool = True
    subresources: tuple[str, ...] = ()
    short: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The version without the group: `v1`."""
        return self.group_version.rpartition("/")[2]

    @property
    def key(self) -> str:
        """The kind's name in the schema: `apps/v1/Deployment`."""
        return f"{self.group_version}/{self.name}"

    @property
    def qualified_name(self) -> str:
        """The kind with its group, as in messages: `Job.batch`."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def group(self) -> str:
        """The API group; empty for the core one."""
        return self.group_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """The plural with its group, as in messages: `jobs.batch`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_STATUS = ("status",)
_SCALED = ("status", "scale")
_POD = ("status", "log", "eviction", "exec", "attach", "portforward")
_RBAC = "rbac.authorization.k8s.io/v1"

ALL = (
    ResourceKind("v1", "namespaces", "Namespace", False, ("status", "finalize"), ("ns",)),
    ResourceKind("v1", "nodes", "Node", False, _STATUS, ("no",)),
    ResourceKind("v1", "persistentvolumes", "PersistentVolume", False, _STATUS, ("pv",)),
    ResourceKind("v1", "configmaps", "ConfigMap", short=("cm",)),
    ResourceKind("v1", "secrets", "Secret"),
    ResourceKind("v1", "serviceaccounts", "ServiceAccount", True, ("token",), ("sa",)),
    ResourceKind("v1", "services", "Service", True, _STATUS, ("svc",)),
    ResourceKind("v1", "endpoints", "Endpoints", short=("ep",)),
    ResourceKind("v1", "pods", "Pod", True, _POD, ("po",)),
    ResourceKind("v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, _STATUS, ("pvc",)),
    ResourceKind("v1", "events", "Event", short=("ev",)),
    ResourceKind("v1", "limitranges", "LimitRange"),
    ResourceKind("v1", "resourcequotas", "ResourceQuota", True, _STATUS),
    ResourceKind("apps/v1", "deployments", "Deployment", True, _SCALED, ("deploy",)),
    ResourceKind("apps/v1", "statefulsets", "StatefulSet", True, _SCALED, ("sts",)),
    ResourceKind("apps/v1", "replicasets", "ReplicaSet", True, _SCALED, ("rs",)),
    ResourceKind("apps/v1", "daemonsets", "DaemonSet", True, _STATUS, ("ds",)),
    ResourceKind("batch/v1", "jobs", "Job", True, _STATUS),
    ResourceKind("batch/v1", "cronjobs", "CronJob", True, _STATUS, ("cj",)),
    ResourceKind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", short=("netpol",)),
    ResourceKind("networking.k8s.io/v1", "ingresses", "Ingress", True, _STATUS, ("ing",)),
    ResourceKind(_RBAC, "roles", "Role"),
    ResourceKind(_RBAC, "rolebindings", "RoleBinding"),
    ResourceKind(_RBAC, "clusterroles", "ClusterRole", False),
    ResourceKind(_RBAC, "clusterrolebindings", "ClusterRoleBinding", False),
    ResourceKind(
        "policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", True, _STATUS, ("pdb",)
    ),
    ResourceKind("storage.k8s.io/v1", "storageclasses", "StorageClass", False, (), ("sc",)),
    ResourceKind("storage.k8s.io/v1", "csidrivers", "CSIDriver", False),
    ResourceKind("storage.k8s.io/v1", "csinodes", "CSINode", False),
    ResourceKind("coordination.k8s.io/v1", "leases", "Lease"),
)

KINDS: dict[str, ResourceKind] = {item.plural: item for item in ALL}
"""All kinds by plural; each plural is in one group, but for the events' second one."""

EVENTS = ResourceKind("events.k8s.io/v1", "events", "Event", short=("ev",))
"""The same events in the form of the group that is for them."""

SERVED = (*ALL, EVENTS)
GROUP_VERSIONS: tuple[str, ...] = tuple(dict.fromkeys(item.group_version for item in SERVED))

AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io/v1", "authentication.k8s.io/v1"
REVIEWS = {
    f"{AUTHORIZATION}/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    f"{AUTHORIZATION}/selfsubjectrulesreviews": "SelfSubjectRulesReview",
    f"{AUTHENTICATION}/selfsubjectreviews": "SelfSubjectReview",
}
"""Kinds that are answered and not stored, by group, version and plural."""


def find(group_version: str, plural: str) -> ResourceKind | None:
    """Return the kind of a plural in a group and version; None when it is not served."""
    kind = KINDS.get(plural)
    if kind is not None and kind.group_version == group_version:
        return kind
    same = (EVENTS.group_version, EVENTS.plural)
    return EVENTS if (group_version, plural) == same else None


def groups() -> KubeObject:
    """Return the answer to /apis."""
    names = [
        group_version
        for group_version in (*GROUP_VERSIONS, AUTHORIZATION, AUTHENTICATION)
        if "/" in group_version
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in names]}


def _group(group_version: str) -> KubeObject:
    group, _, version = group_version.partition("/")
    served = {"groupVersion": group_version, "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def group(name: str) -> KubeObject | None:
    """Return the answer to /apis/GROUP; None when it is not served."""
    for group_version in (*GROUP_VERSIONS, AUTHORIZATION, AUTHENTICATION):
        if group_version.partition("/")[0] == name and "/" in group_version:
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group_version)
    return None


def resources(group_version: str) -> KubeObject | None:
    """Return the list of resources of a group and version; None when it is not served."""
    found = [row for kind in SERVED if kind.group_version == group_version for row in _rows(kind)]
    for path, name in REVIEWS.items():
        served, _, plural = path.rpartition("/")
        if served == group_version:
            row = {"name": plural, "singularName": name.lower(), "namespaced": False}
            found.append(row | {"kind": name, "verbs": ["create"]})
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": found,
    }


SUBRESOURCE_VERBS = {
    "log": ["get"],
    "eviction": ["create"],
    "token": ["create"],
    "finalize": ["update"],
    "exec": ["create", "get"],
    "attach": ["create", "get"],
    "portforward": ["create", "get"],
}
"""Verbs of the subresources that are no part of the object; the others are read and written."""

SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "eviction": ("policy", "v1", "Eviction"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
    "exec": ("", "", "PodExecOptions"),
    "attach": ("", "", "PodAttachOptions"),
    "portforward": ("", "", "PodPortForwardOptions"),
}


def _rows(kind: ResourceKind) -> list[KubeObject]:
    row: KubeObject = {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": [verb for verb in VERBS if kind.name != "Namespace" or verb != "deletecollection"],
    }
    if kind.short:
        row["shortNames"] = list(kind.short)
    if kind.plural in CATEGORY_ALL:
        row["categories"] = ["all"]
    return [row, *(_subresource_row(kind, sub) for sub in kind.subresources)]


def _subresource_row(kind: ResourceKind, sub: str) -> KubeObject:
    group, version, name = SUBRESOURCE_KINDS.get(sub, ("", "", kind.name))
    row: KubeObject = {
        "name": f"{kind.plural}/{sub}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": name,
        "verbs": SUBRESOURCE_VERBS.get(sub, ["get", "patch", "update"]),
    }
    return row | ({"group": group, "version": version} if version else {})


CATEGORY_ALL = {
    "pods",
    "services",
    "deployments",
    "statefulsets",
    "replicasets",
    "daemonsets",
    "jobs",
    "cronjobs",
}
"""Plurals that `kubectl get all` prints."""
