"""The names of all steps and checks, for the shell's completion of --only.

The tables of steps import the libraries for AWS, SSH and Kubernetes, which take a second: too long
for a key press. `python -m tests.regenerate_docs` writes them from the tables of the
default configuration, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping

INFRASTRUCTURE = (
    "vpc", "public subnet 1", "public subnet 2", "private subnet 1", "private subnet 2",
    "reserved addresses", "internet gateway", "elastic ip", "nat gateway", "public route table",
    "public route", "private route table", "private route", "public subnet 1 routing",
    "public subnet 2 routing", "private subnet 1 routing", "private subnet 2 routing",
    "security group", "eks cluster role", "eks cluster", "node ingress", "ndb manager",
    "ndb data nodes 1", "ndb data nodes 2", "zookeeper", "lambda-fs client", "hopsfs client",
    "launch template lambda_fs_clients", "launch template hopsfs_clients",
    "launch template hopsfs_namenodes", "auto-scaling group lambda_fs_clients_ags",
    "auto-scaling group hopsfs_clients_ags", "auto-scaling group hopsfs_namenodes_ags",
    "deadline role", "deadline", "ssh", "zookeeper ensemble", "zookeeper znodes",
    "ndb management server", "ndb storage", "mysqld", "ssh between machines",
    "client configuration", "ndb tables", "lambda-fs format", "hopsfs format",
)  # fmt: skip
"""The steps of create_aws_infrastructure.py."""

INFRASTRUCTURE_REMOVAL = (
    "copied amis", "vpc", "public subnet 1", "public subnet 2", "private subnet 1",
    "private subnet 2", "reserved addresses", "internet gateway", "elastic ip", "nat gateway",
    "public route table", "public route", "private route table", "private route",
    "public subnet 1 routing", "public subnet 2 routing", "private subnet 1 routing",
    "private subnet 2 routing", "security group", "eks cluster role", "eks cluster", "node ingress",
    "ndb manager", "ndb data nodes 1", "ndb data nodes 2", "zookeeper", "lambda-fs client",
    "hopsfs client", "launch template lambda_fs_clients", "launch template hopsfs_clients",
    "launch template hopsfs_namenodes", "auto-scaling group lambda_fs_clients_ags",
    "auto-scaling group hopsfs_clients_ags", "auto-scaling group hopsfs_namenodes_ags",
    "deadline role", "deadline", "vpc-cni add-on", "kube-proxy add-on", "node role",
    "core-nodes template", "invoker-nodes template", "core-nodes", "invoker-nodes",
    "coredns add-on", "oidc provider", "ebs csi role", "aws-ebs-csi-driver add-on",
    "cluster access", "kubeconfig", "gp3 storage class", "storage probe", "openwhisk keys",
    "openwhisk public address", "server certificate", "nginx secret", "openwhisk release",
    "hand-over file", "namenode record", "left by the cluster", "left by Kubernetes",
    "other node groups", "known hosts", "database password",
)  # fmt: skip
"""The steps of its destroy."""

CLUSTER = (
    "eks cluster", "node ingress", "vpc-cni add-on", "kube-proxy add-on", "node role",
    "core-nodes template", "invoker-nodes template", "core-nodes", "invoker-nodes",
    "coredns add-on", "oidc provider", "ebs csi role", "aws-ebs-csi-driver add-on",
    "add-on upgrades", "cluster access", "aws-auth", "kubeconfig", "node labels",
    "ebs csi service account", "gp3 storage class", "storage probe", "openwhisk keys",
    "openwhisk address", "openwhisk public address", "server certificate", "nginx secret",
    "openwhisk release", "openwhisk ready", "openwhisk api", "hand-over file",
    "client configuration", "deadline role", "deadline",
)  # fmt: skip
"""The steps of configure_eks_cluster.py."""

CLUSTER_REMOVAL = (
    "eks cluster", "node ingress", "vpc-cni add-on", "kube-proxy add-on", "node role",
    "core-nodes template", "invoker-nodes template", "core-nodes", "invoker-nodes",
    "coredns add-on", "oidc provider", "ebs csi role", "aws-ebs-csi-driver add-on",
    "cluster access", "kubeconfig", "gp3 storage class", "storage probe", "openwhisk keys",
    "openwhisk public address", "server certificate", "nginx secret", "openwhisk release",
    "hand-over file", "namenode record", "left by the cluster", "deadline role", "deadline",
)  # fmt: skip
"""The steps of its destroy."""

CHECKS = (
    "machines", "clocks", "disks", "ZooKeeper ensemble", "NDB data nodes", "nodes", "OpenWhisk",
    "client", "client configuration", "client to ZooKeeper", "znodes", "client to NDB manager",
    "client to mysqld", "client to followers", "database login", "tables", "file system",
    "client to OpenWhisk", "certificate", "healthy invokers", "NameNode actions", "NameNodes alike",
    "row in the database", "pod on a node", "node to NDB manager", "node to NDB data nodes",
    "node to mysqld", "node to ZooKeeper", "node to client", "NameNodes answer", "BasicTest",
)  # fmt: skip
"""The checks of verify."""

ONLY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "create_aws_infrastructure.py": {"verify": CHECKS, "destroy": INFRASTRUCTURE_REMOVAL},
    "configure_eks_cluster.py": {"destroy": CLUSTER_REMOVAL},
}
"""Script -> verb -> what --only takes; STEPS has the other verbs'."""

STEPS: Mapping[str, tuple[str, ...]] = {
    "create_aws_infrastructure.py": INFRASTRUCTURE,
    "configure_eks_cluster.py": CLUSTER,
}
"""Script -> the names of its table."""


def only_names(script: str, verb: str) -> tuple[str, ...]:
    """Return the names that --only takes; none for a script whose names are not known before."""
    return ONLY.get(script, {}).get(verb) or STEPS.get(script, ())
