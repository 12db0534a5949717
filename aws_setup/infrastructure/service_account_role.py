"""The IAM roles of service accounts in the cluster, such as that of the EBS CSI driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.config import Config
from aws_setup.infrastructure.iam import ManagedRole
from aws_setup.infrastructure.iam_policies import EBS_POLICIES, web_identity_trust
from aws_setup.infrastructure.role_tags import region_in


@dataclass(frozen=True)
class ServiceAccountRole(ManagedRole):
    """A role that one service account in the namespace kube-system assumes.

    `alternatives` are policies of which the first that exists is attached; `suffix` follows the
    cluster's name in the name of the role.
    """

    name: str
    account: str
    alternatives: tuple[str, ...]
    suffix: str
    needs: tuple[str, ...] = ("oidc provider",)

    def role_name(self, ctx: Context) -> str:
        """Return a name that contains the cluster's."""
        return self.name_for(ctx.config)

    def name_for(self, config: Config) -> str:
        """Return the role's name for a configuration."""
        return f"{config.eks_cluster_name}-{self.suffix}"[:64]

    def trust(self, ctx: Context) -> str:
        """Return the trust policy for the service account of this cluster alone."""
        subject = f"system:serviceaccount:kube-system:{self.account}"
        return web_identity_trust(ctx.of("oidc provider").id, subject=subject)

    def used_in(self, ctx: Context, role: Item) -> str:
        """Return the region of the OIDC issuer of EKS that it trusts."""
        trust = role["AssumeRolePolicyDocument"]
        return region_in(trust, r":oidc-provider/oidc\.eks\.([a-z0-9-]+)\.")

    def policies(self) -> Sequence[Sequence[str]]:
        """Return the alternatives."""
        return [self.alternatives]


EBS_CSI_ROLE = ServiceAccountRole(
    "ebs csi role", "ebs-csi-controller-sa", alternatives=EBS_POLICIES, suffix="ebs-csi"
)
"""The role of the EBS CSI driver."""
