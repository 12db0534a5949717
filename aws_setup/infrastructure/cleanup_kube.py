"""What Kubernetes made outside of the cluster, once the cluster is gone: nobody else removes it.

While the cluster lives, its own controllers take load balancers and volumes away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import CleanupStep, Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.engine.step import Found
from aws_setup.infrastructure.cleanup import cluster_volumes
from aws_setup.kube.connect import cluster_of

TAGS_PER_CALL = 20
"""Load balancers whose tags one call tells (DescribeTags of Elastic Load Balancing, 2012-06-01)."""

PVC_NAME_TAG = "kubernetes.io/created-for/pvc/name"


@dataclass(frozen=True)
class OrphanCleanup(CleanupStep):
    """Load balancers, their security groups and volumes of a cluster that is gone."""

    name: str = "left by the cluster"
    needs: tuple[str, ...] = ("server certificate",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return what is there; None also while the cluster lives."""
        if cluster_of(ctx) is not None:
            return None
        ids = [*_balancers(ctx), *_groups(ctx), *_volumes(ctx)]
        return Found(", ".join(ids), "its cluster is gone") if ids else None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the load balancers, then what they used, and the volumes."""
        ec2 = ctx.aws.ec2
        for name in _balancers(ctx):
            ctx.note(f"deleting load balancer {name}")
            ctx.aws.elb.delete_load_balancer(LoadBalancerName=name)
        for own in _volumes(ctx):
            ctx.note(f"deleting volume {own}")
            delete_with_retry(
                ctx,
                f"volume {own}",
                lambda own=own: ec2.delete_volume(VolumeId=own),  # type: ignore[misc]
                gone={"InvalidVolume.NotFound"},
            )
        for own in _groups(ctx):
            ctx.note(f"deleting security group {own}")
            delete_with_retry(
                ctx,
                f"security group {own}",
                lambda own=own: ec2.delete_security_group(GroupId=own),  # type: ignore[misc]
                gone={"InvalidGroup.NotFound"},
            )


def _balancers(ctx: Context) -> Sequence[str]:
    """Return the names of the Classic ELBs that carry the deployment's and the cluster's tag."""
    elb, mine = ctx.aws.elb, _owned(ctx)
    listed = pages(elb, "describe_load_balancers", "LoadBalancerDescriptions")
    names = [str(one["LoadBalancerName"]) for one in listed]
    found = []
    for start in range(0, len(names), TAGS_PER_CALL):
        told = elb.describe_tags(LoadBalancerNames=names[start : start + TAGS_PER_CALL])
        for one in told["TagDescriptions"]:
            ours = tag_of(_tags(one), DEPLOYMENT_TAG) == ctx.config.deployment_name
            if ours and tag_of(_tags(one), mine) == "owned":
                found.append(str(one["LoadBalancerName"]))
    return found


def _tags(described: Any) -> dict[str, Any]:
    return {"Tags": described.get("Tags", [])}


def _groups(ctx: Context) -> Sequence[str]:
    """Return the security groups that Kubernetes made for the cluster's load balancers."""
    filters = [
        {"Name": f"tag:{_owned(ctx)}", "Values": ["owned"]},
        {"Name": "group-name", "Values": ["k8s-elb-*"]},
    ]
    listed = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
    return [str(one["GroupId"]) for one in listed]


def _volumes(ctx: Context) -> Sequence[str]:
    """Return the volumes of the cluster's claims."""
    return [str(one["VolumeId"]) for one in cluster_volumes(ctx) if tag_of(one, PVC_NAME_TAG)]


def _owned(ctx: Context) -> str:
    return f"kubernetes.io/cluster/{ctx.config.eks_cluster_name}"
