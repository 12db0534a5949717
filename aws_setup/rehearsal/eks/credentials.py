"""Whether an add-on's service account gets AWS credentials that suffice.

https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
"""

from __future__ import annotations

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.catalogue import POD_IDENTITY_AGENT, AddonInfo
from aws_setup.rehearsal.eks.model import Cluster, Document
from aws_setup.rehearsal.iam import roles

EBS_POLICIES = {
    "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2",
    "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy",
}
"""Either of them lets the EBS CSI driver work (EBS CSI page)."""


def has_aws_credentials(cloud: Cloud, cluster: Cluster, one: AddonInfo, document: Document) -> bool:
    """Say whether the driver is allowed to work, by one of the three ways."""
    return (
        _web_identity(cloud, cluster, one, str(document.get("serviceAccountRoleArn", "")))
        or _pod_identity(cloud, cluster, one)
        or any(
            _allowed(cloud, str(group.document["nodeRole"]))
            for group in cluster.nodegroups.values()
        )
    )


def _allowed(cloud: Cloud, arn: str) -> bool:
    role = roles.visible_role(cloud, arn.rsplit("/", 1)[-1])
    return role is not None and bool(EBS_POLICIES & roles.visible_policies(cloud, role))


def _web_identity(cloud: Cloud, cluster: Cluster, one: AddonInfo, arn: str) -> bool:
    """Check the role's trust, and that IAM knows the cluster's OIDC issuer as a provider."""
    role = roles.visible_role(cloud, arn.rsplit("/", 1)[-1]) if arn else None
    if role is None or not _allowed(cloud, arn):
        return False
    issuer = str(cluster.document["identity"]["oidc"]["issuer"]).removeprefix("https://")
    provider = f"arn:aws:iam::{role.account_id}:oidc-provider/{issuer}"
    if provider not in cloud.backend("iam").open_id_providers:
        return False
    wanted = {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": f"system:serviceaccount:kube-system:{one.service_account}",
    }
    return roles.trusts_web_identity(role, provider=provider, claims=wanted)


def _pod_identity(cloud: Cloud, cluster: Cluster, one: AddonInfo) -> bool:
    """Check the association of the service account; it needs the agent on the nodes."""
    if POD_IDENTITY_AGENT not in cluster.addons:
        return False
    return any(
        held["serviceAccount"] == one.service_account
        and held["namespace"] == "kube-system"
        and _allowed(cloud, held["roleArn"])
        for held in cluster.associations.values()
    )
