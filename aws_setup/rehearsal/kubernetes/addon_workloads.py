"""The objects of EKS's add-ons in kube-system, as EKS installs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.server import KubeApiServer

ROLE = "eks.amazonaws.com/role-arn"

DEFAULT_ADDONS = ("vpc-cni", "kube-proxy", "coredns")
"""What CreateCluster installs unless bootstrapSelfManagedAddons is false.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
"""


@dataclass(frozen=True)
class AddonObject:
    """A workload of an add-on, or a ConfigMap with `data`."""

    plural: str
    name: str
    account: str = ""
    env: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)


ADDON_OBJECTS: dict[str, tuple[AddonObject, ...]] = {
    "vpc-cni": (
        AddonObject(
            "daemonsets",
            "aws-node",
            "aws-node",
            env={"AWS_VPC_K8S_CNI_LOGLEVEL": "DEBUG", "WARM_ENI_TARGET": "1"},
        ),
        AddonObject(
            "configmaps", "amazon-vpc-cni", data={"enable-network-policy-controller": "false"}
        ),
    ),
    "kube-proxy": (
        AddonObject("daemonsets", "kube-proxy", "kube-proxy"),
        AddonObject("configmaps", "kube-proxy-config", data={"config": "mode: iptables\n"}),
    ),
    "coredns": (
        AddonObject("deployments", "coredns", "coredns"),
        AddonObject("configmaps", "coredns", data={"Corefile": ".:53 {\n    errors\n}\n"}),
    ),
    "aws-ebs-csi-driver": (
        AddonObject("deployments", "ebs-csi-controller", "ebs-csi-controller-sa"),
        AddonObject("daemonsets", "ebs-csi-node", "ebs-csi-node-sa"),
    ),
}
"""The objects of each add-on in kube-system."""


def install_addon(
    api: KubeApiServer, addon: str, *, role: str = "", overwrite: bool = False
) -> None:
    """Create an add-on's objects; with `overwrite` those that exist get EKS's settings."""
    for item in ADDON_OBJECTS.get(addon, ()):
        if item.account:
            _service_account(api, item.account, role)
        held = api.state.get(item.plural, item.name, "kube-system")
        if held is None:
            api.state.put(item.plural, _object(item))
        elif overwrite:
            settings = {"spec", "data"} & _object(item).keys()
            api.state.put(item.plural, held | {key: _object(item)[key] for key in settings})


def remove_addon(api: KubeApiServer, addon: str) -> None:
    """Delete an add-on's objects."""
    for item in ADDON_OBJECTS.get(addon, ()):
        held = api.state.get(item.plural, item.name, "kube-system")
        if held is not None:
            api.state.remove(item.plural, held)


def _service_account(api: KubeApiServer, account: str, role: str) -> None:
    if api.state.get("serviceaccounts", account, "kube-system") is not None:
        return
    meta: KubeObject = {"name": account, "namespace": "kube-system"}
    if role and not account.endswith("node-sa"):
        meta["annotations"] = {ROLE: role}
    api.state.put("serviceaccounts", {"metadata": meta})


def _object(item: AddonObject) -> KubeObject:
    meta: KubeObject = {"name": item.name, "namespace": "kube-system"}
    if not item.account:
        return {"metadata": meta, "data": dict(item.data)}
    # The driver's chart labels its controller with `app`, by which it is restarted.
    labels = {"app": item.name, "app.kubernetes.io/name": item.name}
    container: KubeObject = {
        "name": item.name,
        "image": f"602401143452.dkr.ecr/eks/{item.name}",
        "env": [{"name": key, "value": value} for key, value in item.env.items()],
    }
    spec = {"serviceAccountName": item.account, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    replicas = {"replicas": 2} if item.plural == "deployments" else {}
    return {
        "metadata": meta | {"labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template} | replicas,
        "status": {},
    }
