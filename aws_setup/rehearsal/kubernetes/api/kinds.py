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
    def group(self) -> str:
        """The API group; empty for the core one."""
        return self.group_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """The plural with its group, as in messages: `jobs.batch`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_STATUS = ("status",)
_SCALED = ("status", "scale")
_RBAC = "rbac.authorization.k8s.io/v1"

_ALL = (
    ResourceKind("v1", "namespaces", "Namespace", False, ("status", "finalize"), ("ns",)),
    ResourceKind("v1", "nodes", "Node", False, _STATUS, ("no",)),
    ResourceKind("v1", "persistentvolumes", "PersistentVolume", False, _STATUS, ("pv",)),
    ResourceKind("v1", "configmaps", "ConfigMap", short=("cm",)),
    ResourceKind("v1", "secrets", "Secret"),
    ResourceKind("v1", "serviceaccounts", "ServiceAccount", short=("sa",)),
    ResourceKind("v1", "services", "Service", True, _STATUS, ("svc",)),
    ResourceKind("v1", "endpoints", "Endpoints", short=("ep",)),
    ResourceKind("v1", "pods", "Pod", True, ("status", "log", "eviction"), ("po",)),
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

KINDS: dict[str, ResourceKind] = {item.plural: item for item in _ALL}
"""All kinds by plural; each plural is in one group."""

GROUP_VERSIONS: tuple[str, ...] = tuple(dict.fromkeys(item.group_version for item in _ALL))

REVIEWS = "authorization.k8s.io/v1"
"""Group of the access reviews, which are answered and not stored."""


def groups() -> KubeObject:
    """Return the answer to /apis."""
    names = [group_version for group_version in (*GROUP_VERSIONS, REVIEWS) if "/" in group_version]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in names]}


def _group(group_version: str) -> KubeObject:
    group, _, version = group_version.partition("/")
    served = {"groupVersion": group_version, "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def group(name: str) -> KubeObject | None:
    """Return the answer to /apis/GROUP; None when it is not served."""
    for group_version in (*GROUP_VERSIONS, REVIEWS):
        if group_version.partition("/")[0] == name and "/" in group_version:
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group_version)
    return None


def resources(group_version: str) -> KubeObject | None:
    """Return the list of resources of a group and version; None when it is not served."""
    found = [row for kind in _ALL if kind.group_version == group_version for row in _rows(kind)]
    if group_version == REVIEWS:
        found = [
            {
                "name": "selfsubjectaccessreviews",
                "singularName": "selfsubjectaccessreview",
                "namespaced": False,
                "kind": "SelfSubjectAccessReview",
                "verbs": ["create"],
            }
        ]
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": found,
    }


def _rows(kind: ResourceKind) -> list[KubeObject]:
    row: KubeObject = {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": list(VERBS),
        "shortNames": list(kind.short),
    }
    verbs = {"log": ["get"], "eviction": ["create"], "finalize": ["update"]}
    subs = [
        {
            "name": f"{kind.plural}/{sub}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": "Scale" if sub == "scale" else kind.name,
            "verbs": verbs.get(sub, ["get", "patch", "update"]),
        }
        for sub in kind.subresources
    ]
    return [row, *subs]
