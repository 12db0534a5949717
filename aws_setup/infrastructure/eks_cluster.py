"""The EKS cluster: its request, its drift and its states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.reasons import fix_then, health_issues
from aws_setup.aws.session import error_code
from aws_setup.aws.tag_drift import Tagged, TaggedItem, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG, tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import Problem, SetupError
from aws_setup.infrastructure.blockers import blocked, users_of_cluster
from aws_setup.infrastructure.cluster_drift import (
    ENDPOINTS,
    access_change,
    access_cidrs,
    access_drift,
    log_change,
    role_drift,
    version_drift,
)
from aws_setup.infrastructure.control_plane_logs import enabled_logs, log_drift, logging
from aws_setup.infrastructure.eks_deletions import EksDeletion
from aws_setup.infrastructure.eks_updates import UPDATING, send_update, wait_updated
from aws_setup.infrastructure.kept_data import warn_of_kept_data
from aws_setup.infrastructure.kubernetes_support import warn_of_known_end
from aws_setup.infrastructure.moved_network import CLUSTER_SUBNETS, cluster_change, cluster_drift
from aws_setup.infrastructure.renamed_cluster import refuse_renamed
from aws_setup.infrastructure.vpc_interfaces import delete_cni_interfaces

ROLE_LAG = (
    "does not exist",
    "Error in role params",
    "could not be assumed",
    "doesn't have the Amazon EKS Managed Policies",
    "IAM role's policy must include",
)
"""Parts of CreateCluster's messages while a new role is not visible to EKS yet."""

ZONES_WITHOUT_EKS = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})
"""Ids of zones in which EKS creates no control plane.
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html"""


@dataclass(frozen=True)
class EksCluster(Tagged, Step):
    """The EKS cluster; its creation takes about ten minutes, so it starts as early as possible."""

    name: str = "eks cluster"
    needs: tuple[str, ...] = (*CLUSTER_SUBNETS, "security group", "eks cluster role")
    part: str = "eks"
    follows: tuple[str, ...] = ()
    slow: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the cluster; one of the same name without this deployment's tag is a conflict.

        Raises:
            Refused: the deployment has a cluster of another name.
        """
        refuse_renamed(ctx)
        items = ctx.inventory.all("eks cluster")
        return self._found(ctx, items[0]) if items else None

    def _found(self, ctx: Context, cluster: Item) -> Found:
        warn_of_issues(ctx, cluster)
        warn_of_known_end(ctx, cluster)
        network = cluster["resourcesVpcConfig"]
        facts = {
            "endpoint": cluster.get("endpoint"),
            "version": cluster.get("version"),
            "arn": cluster.get("arn"),
            "vpc": network["vpcId"],
            "security_group": network.get("clusterSecurityGroupId"),
        }
        ready = cluster["status"] in ("ACTIVE", "UPDATING")
        drift = self._drift(ctx, cluster)
        since = cluster.get("createdAt")
        return Found(cluster["name"], cluster["status"], facts, drift, ready, since)

    def _drift(self, ctx: Context, cluster: Item) -> tuple[Drift, ...]:
        if not self._is_ours(ctx, cluster):
            owner, name = tag_of(cluster, DEPLOYMENT_TAG), ctx.config.deployment_name
            fix = "choose another eks_cluster_name, or set create_eks_cluster: False"
            fix = fix if owner else f"{restore_tag(cluster['arn'], name)}; else {fix}"
            return (Drift("owner", owner or "no deployment", name, fix, DriftKey.OWNER),)
        moved = () if self.adopted else cluster_drift(ctx, cluster)
        if cluster["status"] == UPDATING:
            # By an earlier run, perhaps, and perhaps to what is wanted: `update` waits and looks.
            return (*access_drift(ctx, cluster), *log_drift(ctx, cluster), *moved)
        if cluster["status"] != "ACTIVE":
            return ()
        return (
            *(() if self.adopted else role_drift(ctx, cluster)),
            *version_drift(ctx, cluster),
            *access_drift(ctx, cluster),
            *log_drift(ctx, cluster),
            *moved,
        )

    def _is_ours(self, ctx: Context, cluster: Item) -> bool:
        """Whether it has the owner's tag, or lost it: made by this step in the deployment's VPC."""
        vpc, owner = ctx.found.get("vpc"), tag_of(cluster, DEPLOYMENT_TAG)
        lost = not owner and tag_of(cluster, STEP_TAG) == self.name and not ctx.owned_only
        in_vpc = vpc is not None and cluster["resourcesVpcConfig"].get("vpcId") == vpc.id
        return owner == ctx.config.deployment_name or (lost and in_vpc)

    def tagged(self, ctx: Context, found: Found) -> list[TaggedItem]:
        """Return the cluster with its tags."""
        wanted = tags(ctx.config, self.name, name=ctx.config.eks_cluster_name)
        return [
            TaggedItem(str(item["arn"]), tags_of(item), wanted, partial(write_eks_tags, ctx))
            for item in ctx.inventory.all("eks cluster")
        ]

    def create(self, ctx: Context) -> Found:
        """Request the cluster, again while its new role is not visible to EKS (up to 2 minutes)."""
        request = cluster_request(ctx)

        def request_cluster() -> Any:
            try:
                return ctx.aws.eks.create_cluster(**request)["cluster"]
            except ClientError as error:
                message = str(error.response["Error"].get("Message", ""))
                invalid = error_code(error) == "InvalidParameterException"
                if invalid and any(text in message for text in ROLE_LAG):
                    return Pending(f"IAM: {message}")
                if error_code(error) == "ResourceInUseException":
                    return ctx.aws.eks.describe_cluster(name=request["name"])["cluster"]
                raise

        cluster = ctx.wait_until(
            f"EKS accepts cluster {request['name']}", request_cluster, deadline=120, pause=3
        )
        return self._found(ctx, cluster)

    def update(self, ctx: Context, found: Found) -> Found:
        """Update public access, logging and subnets; EKS accepts one update at a time."""
        for change in (access_change, log_change, cluster_change):
            self.change(ctx, found.id, change)
        return self.wait(ctx, found)

    def change(
        self, ctx: Context, name: str, change: Callable[[Context, Item], Mapping[str, Any]]
    ) -> None:
        """Update the cluster's configuration and return when the update has ended.

        `change` returns what UpdateClusterConfig sets in a cluster; nothing where it has that.

        Raises:
            SetupError: the update failed; with EKS's reasons.
        """

        def send() -> str | Pending:
            cluster: Any = ctx.aws.eks.describe_cluster(name=name)["cluster"]
            if cluster["status"] == UPDATING:
                return Pending(UPDATING)
            wanted = change(ctx, cluster)
            if not wanted:
                return ""
            return str(ctx.aws.eks.update_cluster_config(name=name, **wanted)["update"]["id"])

        what, usual = f"cluster {name}", MEDIANS["cluster update"]
        update_id = send_update(ctx, what, send, deadline=1200)
        if update_id:
            wait_updated(ctx, what, update_id, deadline=1200, usual=usual)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the cluster is ACTIVE; raises SetupError with EKS's reasons if it fails."""
        return ctx.wait_until(
            f"EKS cluster {found.id} becomes ACTIVE",
            lambda: self._probe(ctx, found.id),
            deadline=2400,
            pause=20,
            usual=MEDIANS["cluster active"],
            since=found.since,
        )

    def _probe(self, ctx: Context, name: str) -> Found | Pending:
        cluster: Any = ctx.aws.eks.describe_cluster(name=name)["cluster"]
        if cluster["status"] == "FAILED":
            raise failure_of(cluster)
        found = self._found(ctx, cluster)
        return found if cluster["status"] == "ACTIVE" else Pending(cluster["status"])

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the cluster and return when EKS no longer knows it; warn of the data it leaves."""
        name, logs = found.id, set[str]()

        def delete() -> None:
            cluster: Any = ctx.aws.eks.delete_cluster(name=name)["cluster"]
            logs.update(enabled_logs(cluster))

        def describe() -> Item | None:
            try:
                return dict(ctx.aws.eks.describe_cluster(name=name)["cluster"])
            except ctx.aws.eks.exceptions.ResourceNotFoundException:
                return None

        EksDeletion(
            f"EKS cluster {name}",
            delete,
            describe,
            failed=("ACTIVE", "FAILED"),
            refused=blocked(ctx, users_of_cluster, name, what=f"EKS cluster {name}"),
            deadline=1800,
            accepted=1800,
            pause=8,
            usual=MEDIANS["cluster deleted"],
        ).run(ctx)
        if not ctx.config.create_vpc:
            delete_cni_interfaces(ctx)
        warn_of_kept_data(ctx, logged=bool(logs))

    def details(self, ctx: Context) -> str:
        """Return the Kubernetes version, where it is known."""
        version = ctx.config.kubernetes_version or ctx.defaults.kubernetes_version
        found = ctx.found.get(self.name)
        version = str(found.facts.get("version") or "") if found else version
        return f"Kubernetes {version}" if version else ""

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The control plane."""
        return (CostItem(self.part, "eks"),)


def write_eks_tags(ctx: Context, arns: Sequence[str], written: Mapping[str, str]) -> None:
    """Write tags of resources of EKS."""
    for arn in arns:
        ctx.aws.eks.tag_resource(resourceArn=arn, tags=dict(written))


def warn_of_issues(ctx: Context, cluster: Item) -> None:
    """Warn of the health issues of a cluster that exists; a destroy deletes it all the same.

    EKS keeps a cluster ACTIVE whose subnets, key or role are gone: it breaks later.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_ClusterIssue.html
    """
    why = "; ".join(health_issues(cluster))
    if why and cluster["status"] in ("ACTIVE", "UPDATING") and not ctx.owned_only:
        what = f"EKS cluster {cluster['name']} is {cluster['status']} and has health issues"
        ctx.warn(Problem(what, why, "restore what EKS names, before nodes or an update need it"))


def restore_tag(arn: str, deployment: str) -> str:
    """Return how a resource of EKS that has lost its tags becomes the deployment's again."""
    return (
        f"if it is this deployment's, run `aws eks tag-resource --resource-arn {arn} --tags "
        f"{DEPLOYMENT_TAG}={deployment}`"
    )


def failure_of(cluster: Item) -> SetupError:
    """Return the error of a FAILED cluster, with EKS's health issues as its cause."""
    why = "; ".join(health_issues(cluster))
    return SetupError(
        f"EKS cluster {cluster['name']} is FAILED",
        why or "EKS gives no reason",
        fix_then(
            why,
            'run `python create_aws_infrastructure.py destroy --only "eks cluster"` and '
            "`python create_aws_infrastructure.py create`",
        ),
    )


def cluster_request(ctx: Context) -> dict[str, Any]:
    """Return the CreateCluster request.

    The authentication mode is always set: the API's own default, CONFIG_MAP, has no access
    entries. https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
    """
    config = ctx.config
    network: dict[str, Any] = {
        "subnetIds": [ctx.of(name).id for name in CLUSTER_SUBNETS],
        "securityGroupIds": [ctx.of("security group").id],
    } | dict.fromkeys(ENDPOINTS, True)
    if access_cidrs(ctx):
        network["publicAccessCidrs"] = access_cidrs(ctx)
    # The name prevents a second cluster. A token made from the VPC would be the same after a
    # destroy in an adopted VPC, and AWS would answer with the deleted cluster; botocore's is new.
    request: dict[str, Any] = {
        "name": config.eks_cluster_name,
        "version": config.kubernetes_version or ctx.defaults.kubernetes_version,
        "roleArn": ctx.of("eks cluster role").id,
        "resourcesVpcConfig": network,
        # configure installs vpc-cni, coredns and kube-proxy, managed by EKS, before any node.
        # https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
        "bootstrapSelfManagedAddons": False,
        "accessConfig": {
            "authenticationMode": "API_AND_CONFIG_MAP",
            "bootstrapClusterCreatorAdminPermissions": True,
        },
        "tags": tags(config, "eks cluster", name=config.eks_cluster_name),
    }
    if config.eks_log_types:
        request["logging"] = logging(config)
    return request
