"""The EKS add-ons of every cluster, as data."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.infrastructure.service_account_role import EBS_CSI_ROLE, ServiceAccountRole


@dataclass(frozen=True)
class AddonSpec:
    """An add-on of every cluster.

    An add-on `on_nodes` is requested beside the node groups and waited for after them: it is
    DEGRADED until its pods have a node (https://github.com/maddevsio/aws-eks-base/issues/112 shows
    it of coredns; of the EBS CSI driver it is inferred). No node is Ready without the other
    add-ons: vpc-cni says when (https://github.com/aws/amazon-vpc-cni-k8s/issues/2808), and its pod
    is Ready only with kube-proxy
    (https://aws.amazon.com/premiumsupport/knowledge-center/eks-cni-plugin-troubleshooting/).
    `role` is the role of its service account.
    """

    name: str
    on_nodes: bool = False
    role: ServiceAccountRole | None = None

    @property
    def step(self) -> str:
        """The name of its step."""
        return f"{self.name} add-on"

    @property
    def actions(self) -> tuple[str, ...]:
        """The IAM actions that creating it takes."""
        return ("eks:CreateAddon", "eks:TagResource", *(("iam:PassRole",) if self.role else ()))


ADDONS = (
    AddonSpec("vpc-cni"),
    AddonSpec("kube-proxy"),
    AddonSpec("coredns", on_nodes=True),
    AddonSpec(
        "aws-ebs-csi-driver",
        on_nodes=True,
        role=EBS_CSI_ROLE,
    ),
)
"""https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html"""
