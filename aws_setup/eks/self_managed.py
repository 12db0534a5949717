"""The objects of the add-ons in the cluster: which exist, and what their owner has set.

EKS overwrites the settings of an add-on that somebody installed without it when it takes that over,
so they are shown in the plan and a copy of them is kept first.
https://docs.aws.amazon.com/eks/latest/userguide/managing-vpc-cni.html
https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-field-management.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.engine.plan import shorten
from aws_setup.engine.safe_text import one_line
from aws_setup.engine.step import Drift
from aws_setup.engine.wait import Pending
from aws_setup.kube.connect import kube_client
from aws_setup.kube.errors import NO_ACCESS
from aws_setup.kube.objects import (
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    SERVICE_ACCOUNT,
    Json,
    ResourceType,
)

NAMESPACE = "kube-system"

OBJECTS: Mapping[str, tuple[tuple[str, ResourceType, str], ...]] = {
    "vpc-cni": (
        ("DaemonSet", DAEMON_SET, "aws-node"),
        ("ConfigMap", CONFIG_MAP, "amazon-vpc-cni"),
    ),
    "kube-proxy": (
        ("DaemonSet", DAEMON_SET, "kube-proxy"),
        ("ConfigMap", CONFIG_MAP, "kube-proxy-config"),
    ),
    "coredns": (
        ("Deployment", DEPLOYMENT, "coredns"),
        ("ConfigMap", CONFIG_MAP, "coredns"),
    ),
    "aws-ebs-csi-driver": (
        ("Deployment", DEPLOYMENT, "ebs-csi-controller"),
        ("DaemonSet", DAEMON_SET, "ebs-csi-node"),
    ),
}
"""Kind, type and name of the objects of each add-on; without the first it is not installed."""

EKS_MANAGERS = ("eks", "kube-controller-manager", "kubelet")
"""Field managers whose values are no user's."""

MOST_SETTINGS = 4
"""Settings that the plan shows; the copy has all."""

LONGEST = 60
"""Characters of a setting that the plan shows."""


def installed_objects(ctx: Context, addon: str) -> list[Json]:
    """Return the objects of an add-on that are in the cluster, none when it is not installed.

    Raises:
        KubeError: the API server refused, or did not answer.
    """
    client = kube_client(ctx)
    found: list[Json] = []
    for kind, resource, name in OBJECTS.get(addon, ()):
        held = client.get(resource, name, NAMESPACE)
        if held is None and not found:
            return []
        if held is not None:
            found.append({"apiVersion": resource.version, "kind": kind} | held)
    return found


def object_drift(ctx: Context, addon: str) -> tuple[Drift, ...]:
    """Return the objects of an add-on of EKS's that were deleted, or scaled to nothing.

    EKS makes none again by itself, and does by an update, also to the same version: it applies its
    manifest. The number of replicas is the user's.
    https://aws.amazon.com/blogs/containers/amazon-eks-add-ons-preserve-customer-edits/
    https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-field-management.html

    Raises:
        KubeError: the API server refused, or did not answer.
    """
    accounts = (("ServiceAccount", SERVICE_ACCOUNT, name) for name in ACCOUNTS.get(addon, ()))
    client, found = kube_client(ctx), []
    for kind, resource, name in (*OBJECTS.get(addon, ()), *accounts):
        listed = client.list(resource, NAMESPACE)
        held = next((it for it in listed if it["metadata"]["name"] == name), None)
        if held is None and name not in OF_SOME_VERSIONS:
            found.append(Drift(f"{kind} {name}", "missing", "as EKS installs it"))
        elif held and kind == "Deployment" and held.get("spec", {}).get("replicas") == 0:
            fix = f"run `kubectl -n {NAMESPACE} scale deployment {name} --replicas 2`"
            found.append(Drift(f"{kind} {name}", "scaled to 0 pods", "2", fix))
    return tuple(found)


ACCOUNTS: Mapping[str, tuple[str, ...]] = {
    "vpc-cni": ("aws-node",),
    "kube-proxy": ("kube-proxy",),
    "coredns": ("coredns",),
    "aws-ebs-csi-driver": ("ebs-csi-controller-sa", "ebs-csi-node-sa"),
}
"""The service accounts of each add-on's pods: without them no pod of it starts."""

OF_SOME_VERSIONS = ("amazon-vpc-cni",)
"""Objects that not each version of their add-on has."""


def keep_settings(ctx: Context, addon: str) -> None:
    """Keep a copy of what is installed, before EKS overwrites it.

    The step "cluster access" may grant the access that this takes at the same time.
    """

    def probe() -> list[list[Json]] | Pending:
        try:
            return [installed_objects(ctx, addon)]
        except NO_ACCESS:
            return Pending("your access to the cluster has not taken effect yet")

    what = f"the installed {addon} can be read"
    (objects,) = ctx.wait_until(what, probe, deadline=180, pause=2)
    if objects:
        items = [_without_status(item) for item in objects]
        ctx.keep(f"{addon} add-on", {"apiVersion": "v1", "kind": "List", "items": items})


def _without_status(item: Json) -> Json:
    """Return an object as `kubectl apply` takes it."""
    dropped = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")
    metadata = {key: value for key, value in item["metadata"].items() if key not in dropped}
    return {key: value for key, value in item.items() if key != "status"} | {"metadata": metadata}


def describe_settings(objects: Sequence[Json]) -> str:
    """Return in one line what the owner of an add-on has set: environment, arguments, images."""
    settings = [text for item in objects for text in _settings(item)]
    names = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in objects)
    shown = shorten([one_line(text)[:LONGEST] for text in settings], most=MOST_SETTINGS)
    return f"{names} with {shown}" if shown else f"{names} as EKS installs it"


def _settings(item: Json) -> Iterator[str]:
    if item["kind"] == "ConfigMap":
        for key, value in (item.get("data") or {}).items():
            if _is_users(item, "f:data", f"f:{key}"):
                yield f"{key}={value}"
        return
    pod = item["spec"]["template"]["spec"]
    for container in pod.get("containers") or []:
        path = (*_POD, "f:containers", _key(container))
        for entry in container.get("env") or []:
            if _is_users(item, *path, "f:env", _key(entry)):
                yield f"{entry['name']}={entry.get('value', '(from a reference)')}"
        if container.get("args") and _is_users(item, *path, "f:args"):
            yield f"args {' '.join(map(str, container['args']))}"
        if _is_users(item, *path, "f:image"):
            yield f"image {container.get('image')}"


_POD = ("f:spec", "f:template", "f:spec")


def _key(item: Mapping[str, Any]) -> str:
    """Return how field managers name an item of a list: by its name."""
    return f'k:{{"name":"{item["name"]}"}}'


def _is_users(item: Json, *path: str) -> bool:
    """Say whether somebody else than EKS has set a field; yes where nobody is known."""
    entries = item["metadata"].get("managedFields") or []
    owners = [entry.get("manager", "") for entry in entries if _has(entry.get("fieldsV1"), path)]
    return not owners or any(owner not in EKS_MANAGERS for owner in owners)


def _has(fields: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(fields, Mapping) or part not in fields:
            return False
        fields = fields[part]
    return True
