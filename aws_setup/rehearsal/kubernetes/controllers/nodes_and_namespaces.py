"""Nodes, which are ready after a delay, and the default objects of namespaces."""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api.authentication import certificate_authority
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    conditions,
    is_being_deleted,
)

NODE_INFO = {
    "architecture": "amd64",
    "bootID": "",
    "containerRuntimeVersion": "containerd://2.1.4",
    "kernelVersion": "6.12.46-66.121.amzn2023.x86_64",
    "kubeProxyVersion": "",
    "machineID": "",
    "operatingSystem": "linux",
    "osImage": "Amazon Linux 2023.9.20251105",
    "systemUUID": "",
}
"""What the kubelet of an Amazon Linux node says about itself; every field is required."""


def node(
    name: str,
    *,
    labels: dict[str, str],
    zone: str,
    taints: list[KubeObject],
    version: str = "",
    **spec: str,
) -> KubeObject:
    """Return a node object as the kubelet of a version registers it."""
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": zone,
            }
            | labels,
        },
        "spec": spec | ({"taints": taints} if taints else {}),
        "status": {
            "capacity": {"cpu": "8", "memory": "64Gi", "pods": "110"},
            "allocatable": {"cpu": "7910m", "memory": "60Gi", "pods": "110"},
            "nodeInfo": NODE_INFO | {"kubeletVersion": version},
        },
    }


def reconcile_nodes(context: ControllerContext) -> None:
    """Set the condition Ready of every node."""
    for item in context.state.all("nodes"):
        with context.guard(item):
            fault = context.faults.node(item["metadata"]["name"])
            ready = context.due(item, "node ready") and not fault
            reason = "KubeletReady" if ready else "KubeletNotReady"
            message = "kubelet is posting ready status" if ready else fault or "starting"
            found = conditions(item, context.state.now(), Ready=(ready, reason, message))
            context.state.set_status("nodes", item, {"conditions": found})


def reconcile_namespaces(context: ControllerContext) -> None:
    """Create the default objects of every namespace."""
    state = context.state
    for namespace in state.all("namespaces"):
        name = namespace["metadata"]["name"]
        if is_being_deleted(namespace):
            continue
        if ("serviceaccounts", name, "default") not in state.objects:
            state.put("serviceaccounts", {"metadata": {"name": "default", "namespace": name}})
        if ("configmaps", name, "kube-root-ca.crt") not in state.objects:
            meta = {"name": "kube-root-ca.crt", "namespace": name}
            state.put(
                "configmaps", {"metadata": meta, "data": {"ca.crt": certificate_authority().pem}}
            )
