"""IAM of the cluster: the nodes' role, the OIDC provider, the EBS CSI driver's role."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list, tags
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.autoscaling import group_name
from aws_setup.infrastructure.iam import delete_role, trust_policy
from aws_setup.kube.connect import cluster_of

MANAGED = "arn:aws:iam::aws:policy/"
NODE_POLICIES = (
    MANAGED + "AmazonEKSWorkerNodePolicy",
    MANAGED + "AmazonEKS_CNI_Policy",
    MANAGED + "AmazonEC2ContainerRegistryReadOnly",
)
"""https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html"""

EBS_POLICIES = (
    MANAGED + "AmazonEBSCSIDriverPolicyV2",
    MANAGED + "service-role/AmazonEBSCSIDriverPolicy",
)
"""The recommended policy, and the older one where the first does not exist.

https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html
"""

NO_ENTRY = ("ResourceNotFoundException", "InvalidRequestException")
"""There is no such entry, or the cluster's mode has none at all."""

EBS_ACCOUNT = "system:serviceaccount:kube-system:ebs-csi-controller-sa"
AUDIENCE = "sts.amazonaws.com"


def web_identity_trust(provider_arn: str, *, subject: str) -> str:
    """Return the trust policy that lets one service account of a cluster assume a role.

    https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    """
    issuer = provider_arn.split(":oidc-provider/", 1)[1]
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer}:aud": AUDIENCE, f"{issuer}:sub": subject}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class ManagedRole(Step):
    """A role with a trust policy and managed policies; both are put back when they drift."""

    part = "eks"

    @abstractmethod
    def role_name(self, ctx: Context) -> str:
        """Return the role's name."""

    @abstractmethod
    def trust(self, ctx: Context) -> str:
        """Return the trust policy, as JSON text."""

    @abstractmethod
    def policies(self) -> Sequence[Sequence[str]]:
        """Return the policies to attach: of each group the first that exists."""

    def find(self, ctx: Context) -> Found | None:
        """Return the role; one of the same name without our tag is not ours to change."""
        name = self.role_name(ctx)
        try:
            role: Any = ctx.aws.iam.get_role(RoleName=name)["Role"]
        except ctx.aws.iam.exceptions.NoSuchEntityException:
            return None
        return Found(role["Arn"], "available", {"role_name": name}, self._drift(ctx, role))

    def _drift(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        if tag_of(role, DEPLOYMENT_TAG) != ctx.config.deployment_name:
            owner = tag_of(role, DEPLOYMENT_TAG) or "somebody else"
            mend = f"delete the role {role['RoleName']}, or choose another name for it"
            return (Drift("owner", owner, ctx.config.deployment_name, mend, DriftKey.OWNER),)
        drift = []
        if any(not set(group) & self._attached(ctx) for group in self.policies()):
            drift.append(Drift("policies", "incomplete", "as AWS asks for"))
        if not self._trusts(ctx, role):
            drift.append(Drift("trust policy", "another", "this cluster's"))
        return tuple(drift)

    def _trusts(self, ctx: Context, role: Item) -> bool:
        if any(need not in ctx.found for need in self.needs):
            return True
        return bool(role["AssumeRolePolicyDocument"] == json.loads(self.trust(ctx)))

    def _attached(self, ctx: Context) -> set[str]:
        listed = ctx.aws.iam.list_attached_role_policies(RoleName=self.role_name(ctx))
        return {policy["PolicyArn"] for policy in listed["AttachedPolicies"]}

    def create(self, ctx: Context) -> Found:
        """Make the role and attach its policies."""
        iam, name = ctx.aws.iam, self.role_name(ctx)
        try:
            iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=self.trust(ctx),
                Description=f"{self.name} of the EKS cluster of LambdaFS",
                Tags=as_list(tags(ctx.config, self.name)),  # type: ignore[arg-type]
            )
        except ClientError as error:
            if error_code(error) != "EntityAlreadyExists":
                raise
        found = wait_visible(lambda: self.find(ctx), clock=ctx.clock)
        if found is None or any(drift.fix for drift in found.drift):
            raise SetupError(
                f"the IAM role {name} is somebody else's",
                "it appeared while this run was under way",
                "run the same command again",
            )
        return self.update(ctx, found)

    def update(self, ctx: Context, found: Found) -> Found:
        """Attach what is missing and put the trust policy right."""
        iam, name = ctx.aws.iam, self.role_name(ctx)
        attached = self._attached(ctx)
        for group in self.policies():
            if not set(group) & attached:
                attach_first(ctx, name, group)
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=self.trust(ctx))
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Detach every policy and delete the role."""
        delete_role(ctx, self.role_name(ctx))


def attach_first(ctx: Context, role: str, policies: Sequence[str]) -> None:
    """Attach the first of several managed policies that exists in this partition.

    Raises:
        SetupError: none of them exists.
    """
    for arn in policies:
        try:
            ctx.aws.iam.attach_role_policy(RoleName=role, PolicyArn=arn)
        except ctx.aws.iam.exceptions.NoSuchEntityException as error:
            if "policy" not in str(error.response["Error"].get("Message", "")).lower():
                raise  # It is the role that IAM does not show yet.
            ctx.note(f"there is no policy {arn}")
            continue
        return
    raise SetupError(
        f"no policy for {role} exists",
        f"AWS knows none of {', '.join(policies)}",
        "see docs/configure.md for the policy's text",
    )


@dataclass(frozen=True)
class NodeRole(ManagedRole):
    """The role of the nodes; EC2 assumes it."""

    name: str = "node role"

    def role_name(self, ctx: Context) -> str:
        """The configured name."""
        default = type(ctx.config).model_fields["eks_node_role_name"].default
        given = ctx.config.eks_node_role_name
        return group_name(ctx.config, given, "-") if given == default else given

    def trust(self, ctx: Context) -> str:
        """EC2 assumes it."""
        return trust_policy("ec2.amazonaws.com")

    def policies(self) -> Sequence[Sequence[str]]:
        """What a node needs, the network plug-in included."""
        return [[policy] for policy in NODE_POLICIES]

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the role, and the access entry that EKS made for its nodes.

        The entry outlives the nodes and holds the role's unique id: nodes of a later role of the
        same name could not join.
        """
        if cluster_of(ctx):
            try:
                ctx.aws.eks.delete_access_entry(
                    clusterName=ctx.config.eks_cluster_name, principalArn=found.id
                )
            except ClientError as error:
                if error_code(error) not in NO_ENTRY:
                    raise
        super().delete(ctx, found)


@dataclass(frozen=True)
class OidcProvider(Step):
    """IAM's knowledge of the cluster's OIDC issuer, on which service accounts' roles stand."""

    name: str = "oidc provider"
    needs: tuple[str, ...] = ("eks cluster",)
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the provider of this cluster; when removing, ours, also of clusters long gone."""
        listed = ctx.aws.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        eks = [one["Arn"] for one in listed if ":oidc-provider/oidc.eks." in one["Arn"]]
        if ctx.owned_only:
            ours = [arn for arn in eks if self._ours(ctx, arn)]
            return Found(ours[0], "available", {"arns": ours}) if ours else None
        issuer = issuer_of(cluster_of(ctx))
        mine = [arn for arn in eks if issuer and arn.endswith(f":oidc-provider/{issuer}")]
        return self._found(ctx, mine[0]) if mine else None

    def _found(self, ctx: Context, arn: str) -> Found | None:
        try:
            provider = ctx.aws.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        except ctx.aws.iam.exceptions.NoSuchEntityException:
            return None
        known = AUDIENCE in provider.get("ClientIDList", [])
        drift = () if known else (Drift("audience", "another", AUDIENCE),)
        return Found(arn, "available", {}, drift)

    def _ours(self, ctx: Context, arn: str) -> bool:
        try:
            found = ctx.aws.iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)
        except ctx.aws.iam.exceptions.NoSuchEntityException:
            return False
        return tag_of(found, DEPLOYMENT_TAG) == ctx.config.deployment_name

    def create(self, ctx: Context) -> Found:
        """Register the cluster's issuer; IAM fetches the thumbprint itself."""
        cluster = cluster_of(ctx, fresh=True) or {}
        url = str(cluster.get("identity", {}).get("oidc", {}).get("issuer", ""))
        if not url:
            raise SetupError(
                "the cluster has no OIDC issuer yet", "EKS does not name one", "run it again"
            )
        try:
            made = ctx.aws.iam.create_open_id_connect_provider(
                Url=url,
                ClientIDList=[AUDIENCE],
                Tags=as_list(tags(ctx.config, self.name)),  # type: ignore[arg-type]
            )
        except ClientError as error:
            if error_code(error) != "EntityAlreadyExists":
                raise
            found = wait_visible(lambda: self.find(ctx), clock=ctx.clock)
            if found is None:
                raise
            return found
        return Found(made["OpenIDConnectProviderArn"], "available")

    def update(self, ctx: Context, found: Found) -> Found:
        """Let the provider serve STS."""
        ctx.aws.iam.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=found.id, ClientID=AUDIENCE
        )
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the deployment's providers; IAM takes one that is gone already as deleted."""
        for arn in found.facts["arns"]:
            ctx.aws.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def issuer_of(cluster: Mapping[str, Any] | None) -> str:
    """Return a cluster's OIDC issuer without its scheme, '' when it has none (yet)."""
    url = (cluster or {}).get("identity", {}).get("oidc", {}).get("issuer", "")
    return str(url).removeprefix("https://")


@dataclass(frozen=True)
class EbsRole(ManagedRole):
    """The role of the EBS CSI driver; its service account assumes it."""

    name: str = "ebs csi role"
    needs: tuple[str, ...] = ("oidc provider",)

    def role_name(self, ctx: Context) -> str:
        """A name of this cluster's own."""
        return f"{ctx.config.eks_cluster_name}-ebs-csi"[:64]

    def trust(self, ctx: Context) -> str:
        """The driver's service account in this cluster, and nobody else."""
        return web_identity_trust(ctx.of("oidc provider").id, subject=EBS_ACCOUNT)

    def policies(self) -> Sequence[Sequence[str]]:
        """The driver's policy."""
        return [EBS_POLICIES]
