"""The deployment's cluster under another name than the configured one.

EKS clusters are found by name. With another eks_cluster_name a run would create a second cluster,
and leave the first one with its nodes: billed, not paused, and in the way of destroy.
"""

from __future__ import annotations

from collections.abc import Iterator

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.errors import Refused


def refuse_renamed(ctx: Context) -> None:
    """Refuse to go on without the cluster that the deployment has.

    AWS is asked only where the configured cluster does not exist, and the VPC of one may. Who may
    not list clusters is not refused.

    Raises:
        Refused: the deployment has a cluster of another name.
    """
    config, inventory = ctx.config, ctx.inventory
    if inventory.all("eks cluster") or (config.create_vpc and not inventory.all("vpcs")):
        return
    for name in advice(lambda: [*_owned(ctx)], lambda _: []):
        if name == config.eks_cluster_name:
            continue  # Another run has created it since the inventory was read.
        raise Refused(
            f"the deployment's EKS cluster is {name}",
            f"eks_cluster_name is {config.eks_cluster_name}; {name} would not be stopped, changed "
            "or deleted any more, and be billed",
            f"set eks_cluster_name: {name}; for another name, run destroy with this one first",
        )


def _owned(ctx: Context) -> Iterator[str]:
    """Yield the names of the clusters with the deployment's tag."""
    eks = ctx.aws.eks
    for name in map(str, pages(eks, "list_clusters", "clusters")):
        try:
            cluster = eks.describe_cluster(name=name)["cluster"]
        except eks.exceptions.ResourceNotFoundException:
            continue  # It was deleted since it was listed.
        if tag_of(cluster, DEPLOYMENT_TAG) == ctx.config.deployment_name:
            yield name
