"""The IAM roles of service accounts in the cluster, such as that of the EBS CSI driver."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.tags import limited_name
from aws_setup.config import Config
from aws_setup.infrastructure.iam import ManagedRole
from aws_setup.infrastructure.iam_policies import EBS_POLICIES, web_identity_trust
from aws_setup.infrastructure.role_tags import region_in, role_is_own

LONGEST = 64
"""Characters of a role's name.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


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
    named_by = "eks_cluster_name"

    def role_name(self, ctx: Context) -> str:
        """Return a name that contains the cluster's; that of an existing role stays."""
        name, *former = self.names_for(ctx.config)
        iam = ctx.aws.iam
        for cut in former:
            with suppress(iam.exceptions.NoSuchEntityException):
                if role_is_own(ctx, iam.get_role(RoleName=cut)["Role"], self.name):
                    return cut
        return name

    def names_for(self, config: Config) -> tuple[str, ...]:
        """Return the role's name for a configuration, and a different one that it had earlier.

        A long one was cut, so that clusters with the same first characters had one name.
        """
        cluster, end = config.eks_cluster_name, f"-{self.suffix}"
        cut = (cluster + end)[:LONGEST]
        return tuple(dict.fromkeys((limited_name(cluster, end, longest=LONGEST), cut)))

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
