"""What an EKS cluster and an OpenWhisk release bring along in any rehearsal."""

from __future__ import annotations

from aws_setup.rehearsal.kube.controllers.desk import SecretDependency, PodDependency
from aws_setup.rehearsal.kube.errors import KubeObject

OPENWHISK_WAITS = (
    PodDependency("kafka", on="zookeeper"),
    PodDependency("init-couchdb", on="couchdb"),
    PodDependency("controller", on="couchdb"),
    PodDependency("controller", on="kafka"),
    PodDependency("invoker", on="controller"),
    PodDependency("install-packages", on="invoker"),
)
"""Which part of OpenWhisk does not come up before which other."""

OPENWHISK_NEEDS = (
    SecretDependency(
        "gen-certs",
        secret="nginx",
        log="problems making Certificate Request: string too long:maxsize=64",
    ),
)
"""Without the Secret <release>-nginx the chart makes a certificate, and fails on an ELB's name."""

GP2_STORAGE_CLASS: KubeObject = {
    "metadata": {"name": "gp2"},
    "provisioner": "kubernetes.io/aws-ebs",
    "parameters": {"type": "gp2", "fsType": "ext4"},
    "volumeBindingMode": "WaitForFirstConsumer",
}
"""The StorageClass that EKS makes; since Kubernetes 1.30 it is not the default."""

ADDON_WORKLOADS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "vpc-cni": (("daemonsets", "aws-node", "aws-node"),),
    "kube-proxy": (("daemonsets", "kube-proxy", "kube-proxy"),),
    "coredns": (("deployments", "coredns", "coredns"),),
    "aws-ebs-csi-driver": (
        ("deployments", "ebs-csi-controller", "ebs-csi-controller-sa"),
        ("daemonsets", "ebs-csi-node", "ebs-csi-node-sa"),
    ),
}
"""The workloads of each add-on in kube-system: kind, name, service account."""


def addon_workload(plural: str, name: str, account: str) -> KubeObject:
    """Return a workload of an add-on."""
    # The driver's own chart names its controller by `app`, and so do those who restart it.
    labels = {"app": name, "app.kubernetes.io/name": name}
    spec = {
        "serviceAccountName": account,
        "containers": [{"name": name, "image": f"602401143452.dkr.ecr/eks/{name}"}],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    replicas = {"replicas": 2} if plural == "deployments" else {}
    return {
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template} | replicas,
        "status": {},
    }
