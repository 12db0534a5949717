"""The EKS cluster as the second script sees it: waited for, used, and gone with the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import CleanupStep, Context, ExistingResource, Step
from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.errors import Refused
from aws_setup.infrastructure.eks_cluster import EksCluster, failure_of
from aws_setup.kube.connect import cluster_of
from aws_setup.kube.errors import NO_ACCESS, KubeUnreachable


@dataclass(frozen=True)
class ActiveCluster(ExistingResource, EksCluster):
    """The cluster that create_aws_infrastructure.py made: used here, waited for, never changed."""

    needs: tuple[str, ...] = ()
    adopted: bool = True

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the cluster is ACTIVE; the steps after it see it as it is then."""
        ready = super().wait(ctx, found)
        ctx.inventory.all("eks cluster", fresh=True)
        return ready

    def charges(self, config: Config) -> tuple[Any, ...]:
        """Nothing: the first script counts it."""
        return ()


@dataclass(frozen=True)
class SkipIfUnreachable(CleanupStep):
    """A step of destroy for what ends with the cluster anyway: not reached means nothing to do.

    Load balancers and volumes that Kubernetes made are then taken away by the sweep of the VPC.
    """

    inner: Step
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.inner.name

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the step needs, and what goes after it beyond that."""
        return (*self.inner.needs, *self.also)

    def find(self, ctx: Context) -> Found | None:
        """Return the thing; None also when the API server does not answer or does not let in."""
        try:
            return self.inner.find(ctx)
        except (KubeUnreachable, *NO_ACCESS):
            return None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the thing."""
        self.inner.delete(ctx, found)


def require_cluster(ctx: Context) -> None:
    """Refuse to begin without a cluster that may become usable, naming the script that makes it."""
    cluster, name = cluster_of(ctx), ctx.config.eks_cluster_name
    if cluster is None:
        raise Refused(
            f"there is no EKS cluster {name} in {ctx.aws.region}",
            "EKS knows none of this name with these credentials",
            "run python create_aws_infrastructure.py first, or correct eks_cluster_name",
        )
    if cluster["status"] == "FAILED":
        raise Refused.all(failure_of(cluster).problems)
    if cluster["status"] == "DELETING":
        raise Refused(
            f"the EKS cluster {name} is being deleted",
            "its status is DELETING",
            "wait until it is gone, then run python create_aws_infrastructure.py",
        )
