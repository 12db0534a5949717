"""The EKS cluster: its request, its wait, its drift and its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import DEPLOYMENT_TAG, tags
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError

ROLE_LAG = (
    "does not exist",
    "Error in role params",
    "could not be assumed",
    "doesn't have the Amazon EKS Managed Policies",
    "IAM role's policy must include",
)
"""What CreateCluster says while a new role has not spread yet (facts of AWS's messages)."""

SUBNETS = ("public subnet 1", "public subnet 2", "private subnet 1", "private subnet 2")

ENDPOINTS = ("endpointPublicAccess", "endpointPrivateAccess")
"""Public for the operator, private for the nodes, which the operator's range shuts out."""


@dataclass(frozen=True)
class EksCluster(Step):
    """The EKS cluster; it takes about ten minutes, so it starts as soon as its needs are there."""

    name: str = "eks cluster"
    needs: tuple[str, ...] = (*SUBNETS, "security group", "eks cluster role")
    part: str = "eks"
    slow: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the cluster; one of the same name without our tag is not ours to change."""
        items = ctx.inventory.all("eks cluster")
        return self._found(ctx, items[0]) if items else None

    def _found(self, ctx: Context, cluster: Item) -> Found:
        facts = {
            "endpoint": cluster.get("endpoint"),
            "version": cluster.get("version"),
            "arn": cluster.get("arn"),
        }
        ready = cluster["status"] in ("ACTIVE", "UPDATING")
        drift = self._drift(ctx, cluster)
        since = cluster.get("createdAt")
        return Found(cluster["name"], cluster["status"], facts, drift, ready, since)

    def _drift(self, ctx: Context, cluster: Item) -> tuple[Drift, ...]:
        if tag_of(cluster, DEPLOYMENT_TAG) != ctx.config.deployment_name:
            owner = tag_of(cluster, DEPLOYMENT_TAG) or "somebody else"
            mend = "choose another eks_cluster_name, or set create_eks_cluster: False"
            return (Drift("owner", owner, ctx.config.deployment_name, mend, DriftKey.OWNER),)
        if cluster["status"] != "ACTIVE":
            return ()
        return (*self._version_drift(ctx, cluster), *self._access_drift(ctx, cluster))

    def _version_drift(self, ctx: Context, cluster: Item) -> Sequence[Drift]:
        wanted = ctx.config.kubernetes_version
        if not wanted or wanted == cluster["version"]:
            return ()
        mend = f"set kubernetes_version: {cluster['version']}, or upgrade it in the EKS console"
        return (Drift("Kubernetes version", cluster["version"], wanted, mend),)

    def _access_drift(self, ctx: Context, cluster: Item) -> Sequence[Drift]:
        drift = []
        network = cluster["resourcesVpcConfig"]
        has, wanted = set(network.get("publicAccessCidrs", [])), set(access_cidrs(ctx))
        if wanted and has != wanted:
            drift.append(Drift("public access", _or_none(has), _or_none(wanted)))
        closed = [key for key in ENDPOINTS if not network.get(key)]
        if closed:
            drift.append(Drift("endpoints switched off", ", ".join(closed), "none"))
        logs = enabled_logs(cluster)
        if logs != set(ctx.config.eks_log_types):
            drift.append(Drift("logging", _or_none(logs), _or_none(set(ctx.config.eks_log_types))))
        return drift

    def create(self, ctx: Context) -> Found:
        """Ask for the cluster, again while its new role spreads through IAM (up to 2 minutes)."""
        request = cluster_request(ctx)

        def ask() -> Any:
            try:
                return ctx.aws.eks.create_cluster(**request)["cluster"]
            except ClientError as error:
                message = str(error.response["Error"].get("Message", ""))
                lag = error_code(error) == "InvalidParameterException"
                if lag and any(text in message for text in ROLE_LAG):
                    return Pending(f"IAM: {message}")
                if error_code(error) == "ResourceInUseException":
                    return ctx.aws.eks.describe_cluster(name=request["name"])["cluster"]
                raise

        cluster = wait_until(
            f"EKS accepts cluster {request['name']}",
            ask,
            clock=ctx.clock,
            deadline=120,
            pause=5,
            note=ctx.note,
        )
        return self._found(ctx, cluster)

    def update(self, ctx: Context, found: Found) -> Found:
        """Bring public access and logging up to date; EKS takes one update at a time."""
        cluster = ctx.aws.eks.describe_cluster(name=found.id)["cluster"]
        drifted = {drift.what for drift in self._drift(ctx, dict(cluster))}
        if drifted & {"public access", "endpoints switched off"}:
            network: Any = dict.fromkeys(ENDPOINTS, True)
            if access_cidrs(ctx):
                network["publicAccessCidrs"] = access_cidrs(ctx)
            self._change(ctx, found.id, resourcesVpcConfig=network)
        if "logging" in drifted:
            self._change(ctx, found.id, logging=logging(ctx.config))
        return self.wait(ctx, found)

    def _change(self, ctx: Context, name: str, **change: Any) -> None:
        answer = ctx.aws.eks.update_cluster_config(name=name, **change)
        own = answer["update"]["id"]

        def probe() -> bool | Pending:
            update = ctx.aws.eks.describe_update(name=name, updateId=own)["update"]
            if update["status"] in ("Failed", "Cancelled"):
                reasons = [str(error.get("errorMessage")) for error in update.get("errors", [])]
                raise SetupError(f"the update of cluster {name} failed", "; ".join(reasons))
            return update["status"] == "Successful" or Pending(update["status"])

        wait_until(
            f"cluster {name} is updated",
            probe,
            clock=ctx.clock,
            deadline=1200,
            pause=10,
            note=ctx.note,
        )

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the cluster is ACTIVE; what EKS says of its health when it fails."""
        return wait_until(
            f"EKS cluster {found.id} becomes ACTIVE",
            lambda: self._probe(ctx, found.id),
            clock=ctx.clock,
            deadline=2400,
            pause=20,
            note=ctx.note,
        )

    def _probe(self, ctx: Context, name: str) -> Found | Pending:
        cluster: Any = ctx.aws.eks.describe_cluster(name=name)["cluster"]
        if cluster["status"] == "FAILED":
            raise failure_of(cluster)
        found = self._found(ctx, cluster)
        return found if cluster["status"] == "ACTIVE" else Pending(cluster["status"])

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the cluster and return when EKS no longer knows it."""
        name = found.id
        delete_with_retry(
            ctx,
            f"EKS cluster {name}",
            lambda: ctx.aws.eks.delete_cluster(name=name),
            gone={"ResourceNotFoundException"},
            deadline=1800,
        )

        def gone() -> bool | Pending:
            try:
                state = ctx.aws.eks.describe_cluster(name=name)["cluster"]["status"]
            except ctx.aws.eks.exceptions.ResourceNotFoundException:
                return True
            return Pending(state)

        wait_until(
            f"EKS cluster {name} is deleted",
            gone,
            clock=ctx.clock,
            deadline=1800,
            pause=8,
            note=ctx.note,
        )

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The control plane."""
        return (CostItem(self.part, "eks"),)


def failure_of(cluster: Item) -> SetupError:
    """Return why EKS gave a cluster up, in its own words, with the mend."""
    issues = [str(issue.get("message")) for issue in cluster.get("health", {}).get("issues", [])]
    return SetupError(
        f"EKS cluster {cluster['name']} FAILED",
        "; ".join(issues) or "EKS gives no reason",
        "run create_aws_infrastructure.py destroy --only 'eks cluster', then "
        "create_aws_infrastructure.py create again",
    )


def cluster_request(ctx: Context) -> dict[str, Any]:
    """Return the CreateCluster request.

    The authentication mode is always set: the API's own default, CONFIG_MAP, has no access
    entries. https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
    """
    config = ctx.config
    network: dict[str, Any] = {
        "subnetIds": [ctx.of(name).id for name in SUBNETS],
        "securityGroupIds": [ctx.of("security group").id],
    } | dict.fromkeys(ENDPOINTS, True)
    if access_cidrs(ctx):
        network["publicAccessCidrs"] = access_cidrs(ctx)
    # The name keeps it from being made twice. A token of ours would be the same after a destroy in
    # an adopted VPC, and be answered with the cluster that is gone; botocore's is always new.
    request: dict[str, Any] = {
        "name": config.eks_cluster_name,
        "version": config.kubernetes_version or ctx.defaults.kubernetes_version,
        "roleArn": ctx.of("eks cluster role").id,
        "resourcesVpcConfig": network,
        "accessConfig": {
            "authenticationMode": "API_AND_CONFIG_MAP",
            "bootstrapClusterCreatorAdminPermissions": True,
        },
        "tags": tags(config, "eks cluster", name=config.eks_cluster_name),
    }
    if config.eks_log_types:
        request["logging"] = logging(config)
    return request


def logging(config: Config) -> dict[str, Any]:
    """Return EKS's logging setting: every type, switched on or off."""
    every = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    on = [kind for kind in every if kind in config.eks_log_types]
    off = [kind for kind in every if kind not in config.eks_log_types]
    settings = [{"types": kinds, "enabled": flag} for kinds, flag in ((on, True), (off, False))]
    return {"clusterLogging": [setting for setting in settings if setting["types"]]}


def enabled_logs(cluster: Item) -> set[str]:
    """Return the control-plane logs that are switched on."""
    settings = cluster.get("logging", {}).get("clusterLogging", [])
    return {kind for setting in settings if setting["enabled"] for kind in setting["types"]}


def access_cidrs(ctx: Context) -> list[str]:
    """Return who may reach the public endpoint: as configured, else the operator alone."""
    if ctx.config.eks_public_access_cidrs:
        return sorted(ctx.config.eks_public_access_cidrs)
    return [ctx.defaults.operator_cidr] if ctx.defaults.operator_cidr else []


def _or_none(values: set[str]) -> str:
    return ", ".join(sorted(values)) or "none"
