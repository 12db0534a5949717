"""The existing EKS cluster that configure_eks_cluster.py uses, and its steps without a cluster."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.cluster import active_cluster, cluster_of
from aws_setup.aws.context import CleanupStep, Context, ExistingResource, Step
from aws_setup.aws.errors import AWS_ERRORS
from aws_setup.aws.inventory import Item
from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.errors import Problem, Refused, SetupError
from aws_setup.infrastructure.eks_cluster import EksCluster, failure_of, warn_of_issues
from aws_setup.infrastructure.subnet_routes import EVERYWHERE
from aws_setup.kube.connect import kube_client, why_unusable
from aws_setup.kube.errors import KubeError


@dataclass(frozen=True)
class ActiveCluster(ExistingResource, EksCluster):
    """The cluster of create_aws_infrastructure.py: used and waited for, never changed."""

    needs: tuple[str, ...] = ()
    adopted: bool = True

    def unlock(self, ctx: Context, *, applying: bool = False) -> None:
        """Connect by the user's kubeconfig, whose program may ask for an MFA code.

        A connection that fails is an error of the steps that need it.
        """
        if not applying and (ctx.config.kubeconfig_path or ctx.config.kube_context):
            with suppress(SetupError, *AWS_ERRORS):
                kube_client(ctx)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the cluster is ACTIVE; the inventory is refreshed for the steps after it."""
        ready = super().wait(ctx, found)
        ctx.inventory.all("eks cluster", fresh=True)
        return ready

    def charges(self, config: Config) -> tuple[Any, ...]:
        """Return nothing: the first script includes its cost."""
        return ()


@dataclass(frozen=True)
class SkipIfUnreachable(CleanupStep):
    """A step of destroy for a resource that is deleted with the cluster: skipped when unreachable.

    The cleanup of the VPC then deletes the load balancers and volumes that Kubernetes created.
    Node groups, `beside`, are deleted at the same time: EKS deletes a cluster only after them
    (https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html), and that takes
    longest. Load balancers do not need them, because their controller runs in the control plane.
    """

    inner: Step
    also: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    within: str = EksCluster.name

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.inner.name

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The needs of the step, and what else must be deleted after it."""
        return (*self.inner.predecessors, *self.also)

    @property
    def ends_with(self) -> str:  # type: ignore[override]
        """The step whose deletion deletes this resource, too."""
        return self.inner.ends_with

    @property
    def local(self) -> bool:  # type: ignore[override]
        """Whether it is a file on this computer."""
        return self.inner.local

    def find(self, ctx: Context) -> Found | None:
        """Return the resource; None also when the API server does not answer or denies access."""
        ending = replace(ctx, cluster_ends=True)
        try:
            return self.inner.find(ending)
        except SetupError as error:
            if not self._is_tolerable(ending, error):
                raise
            return None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the resource, or leave it to the end of the cluster."""
        ending = replace(ctx, cluster_ends=True)
        try:
            self.inner.delete(ending, found)
        except SetupError as error:
            if not self._is_tolerable(ending, error):
                raise

    def _is_tolerable(self, ctx: Context, error: SetupError) -> bool:
        """Whether an error comes from a cluster that cannot be used; the user is told so once."""
        if not (self.ends_with or isinstance(error, KubeError)):
            return False
        cause = why_unusable(ctx, again=True) if active_cluster(ctx) else ""
        if not cause and isinstance(error, KubeError):
            cause = f"{error.problems[0].what}: {error.problems[0].why}"
        if cause:
            name = ctx.config.eks_cluster_name
            ctx.warn(Problem(f"what is inside EKS cluster {name} is left to its deletion", cause))
        return bool(cause)


def require_cluster(ctx: Context) -> None:
    """Refuse to run without a cluster that is, or may become, usable."""
    cluster, name = cluster_of(ctx), ctx.config.eks_cluster_name
    if cluster is None:
        raise Refused(
            f"no EKS cluster {name} exists in {ctx.aws.region}",
            "EKS lists no cluster of this name for these credentials",
            "run python create_aws_infrastructure.py first, or correct eks_cluster_name",
        )
    warn_of_issues(ctx, cluster)
    if problem := endpoint_problem(cluster):
        ctx.warn(problem)
    if cluster["status"] == "FAILED":
        raise Refused.all(failure_of(cluster).problems)
    if cluster["status"] == "DELETING":
        raise Refused(
            f"the EKS cluster {name} is being deleted",
            "its status is DELETING",
            "wait until it is deleted, then run python create_aws_infrastructure.py",
        )


def endpoint_problem(cluster: Item) -> Problem | None:
    """Return what keeps this computer, or nodes, from a cluster's endpoint as it is set.

    https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
    """
    network, name = cluster.get("resourcesVpcConfig", {}), cluster["name"]
    command = f"aws eks update-cluster-config --name {name} --resources-vpc-config"
    if not network.get("endpointPublicAccess", True):
        return Problem(
            f"the endpoint of EKS cluster {name} is private",
            f"it answers in VPC {network.get('vpcId')} only, and through a VPN or peering into it",
            f"run this from there, or run `{command} endpointPublicAccess=true,"
            "publicAccessCidrs=YOUR_ADDRESS/32`",
        )
    ranges = sorted(network.get("publicAccessCidrs") or [EVERYWHERE])
    if network.get("endpointPrivateAccess", True) or EVERYWHERE in ranges:
        return None
    return Problem(
        f"the private endpoint of EKS cluster {name} is off",
        f"its public one lets in {', '.join(ranges)}: nodes join only if the addresses of their "
        "NAT gateways are among these",
        f"run `{command} endpointPrivateAccess=true`",
    )
