"""The IAM OIDC provider of the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import wait_visible
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tag_drift import Tagged, TaggedItem, is_own, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list, tags
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.iam_policies import AUDIENCE


@dataclass(frozen=True)
class OidcProvider(Tagged, Step):
    """The cluster's OIDC issuer in IAM, which the roles of service accounts trust."""

    name: str = "oidc provider"
    regional: bool = False
    needs: tuple[str, ...] = ("eks cluster",)
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the provider of this cluster; for destroy, also owned ones of deleted clusters."""
        listed = ctx.aws.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        # IAM lists the issuers of all regions; each has its region in its host name.
        issuers = f":oidc-provider/oidc.eks.{ctx.aws.region}."
        arns = [item["Arn"] for item in listed if issuers in item["Arn"]]
        if ctx.owned_only:
            owned = [arn for arn in arns if self._is_owned(ctx, arn)]
            return Found(owned[0], "available", {"arns": owned}) if owned else None
        issuer = issuer_of(cluster_of(ctx))
        matching = [arn for arn in arns if issuer and arn.endswith(f":oidc-provider/{issuer}")]
        return self._found(ctx, matching[0]) if matching else None

    def _found(self, ctx: Context, arn: str) -> Found | None:
        try:
            provider = ctx.aws.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        except ctx.aws.iam.exceptions.NoSuchEntityException:
            return None
        known = AUDIENCE in provider.get("ClientIDList", [])
        drift = () if known else (Drift("audience", "different", AUDIENCE),)
        held = tags_of(provider)
        own = is_own(held, deployment=ctx.config.deployment_name, step=self.name)
        return Found(arn, "available", {"tags": held} if own else {}, drift)

    def tagged(self, ctx: Context, found: Found) -> list[TaggedItem]:
        """Return the provider with its tags; that of others is used, and not tagged."""
        if "tags" not in found.facts:
            return []
        wanted = tags(ctx.config, self.name, region=ctx.aws.region)
        return [TaggedItem(found.id, found.facts["tags"], wanted, partial(_write_tags, ctx))]

    def _is_owned(self, ctx: Context, arn: str) -> bool:
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
                "the cluster has no OIDC issuer yet",
                "EKS does not report one",
                "run the same command again",
            )
        own = tags(ctx.config, self.name, region=ctx.aws.region)
        try:
            created = ctx.aws.iam.create_open_id_connect_provider(
                Url=url,
                ClientIDList=[AUDIENCE],
                Tags=as_list(own),  # type: ignore[arg-type]
            )
        except ClientError as error:
            if error_code(error) != "EntityAlreadyExists":
                raise
            found = wait_visible(lambda: self.find(ctx), clock=ctx.clock)
            if found is None:
                raise
            return found
        return Found(created["OpenIDConnectProviderArn"], "available")

    def update(self, ctx: Context, found: Found) -> Found:
        """Add the audience of STS."""
        ctx.aws.iam.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=found.id, ClientID=AUDIENCE
        )
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the deployment's providers; deleting one that does not exist succeeds in IAM."""
        for arn in found.facts["arns"]:
            ctx.aws.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def _write_tags(ctx: Context, arns: Sequence[str], written: Mapping[str, str]) -> None:
    pairs: Any = as_list(written)
    for arn in arns:
        ctx.aws.iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=pairs)


def issuer_of(cluster: Mapping[str, Any] | None) -> str:
    """Return a cluster's OIDC issuer without its scheme, '' when it has none (yet)."""
    url = (cluster or {}).get("identity", {}).get("oidc", {}).get("issuer", "")
    return str(url).removeprefix("https://")
