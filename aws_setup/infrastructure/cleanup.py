"""What Kubernetes and EKS created for this deployment, and destroy must delete.

Kubernetes creates volumes and load balancers with their target and security groups; EKS creates
network interfaces and a security group. Most carry no tag of this deployment, but they are in its
VPC or name its cluster. While the cluster exists, its controllers delete load balancers and volumes
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import CleanupStep, Context, Step
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, cluster_tag
from aws_setup.engine.plan import dependants
from aws_setup.engine.step import Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cluster_parts import has_cluster_tag, is_part, volumes
from aws_setup.infrastructure.eks_deletions import NODE_GROUP_ATTEMPTS, node_group_deletion
from aws_setup.infrastructure.load_balancers import (
    LoadBalancer,
    delete_load_balancers,
    delete_owned,
    owned_load_balancers,
)
from aws_setup.infrastructure.target_groups import (
    delete_target_groups,
    groups_in_vpc,
    groups_of_balancers,
)
from aws_setup.infrastructure.vpc_contents import delete_guardduty, refuse_unowned
from aws_setup.infrastructure.vpc_interfaces import delete_interfaces

PVC_NAME_TAG = "kubernetes.io/created-for/pvc/name"
PVC_NAMESPACE_TAG = "kubernetes.io/created-for/pvc/namespace"
"""Tag keys of a volume that the EBS CSI driver created for a PersistentVolumeClaim."""


EKS_CLUSTER = "eks cluster"
"""Name of the step of the cluster, which is above this module."""

UNATTACHED = "available"
"""State of a volume that no machine uses."""


@dataclass(frozen=True)
class NodeGroupCleanup(CleanupStep):
    """Node groups of the cluster that no step manages; EKS deletes no cluster that has any.

    `known` names those that other steps delete.
    """

    name: str = "other node groups"
    part: str = "others"
    needs: tuple[str, ...] = ("eks cluster",)
    known: tuple[str, ...] = ()

    def find(self, ctx: Context) -> Found | None:
        """Return the other node groups; None also when this deployment does not own the cluster."""
        items = ctx.inventory.all("eks cluster")
        if not items or tag_of(items[0], DEPLOYMENT_TAG) != ctx.config.deployment_name:
            return None
        groups = [group for group in _node_groups(ctx) if group not in self.known]
        return Found(", ".join(groups), "listed") if groups else None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete them all at once and return when none exists any more."""
        deletions = [node_group_deletion(ctx, group) for group in _node_groups(ctx)]
        for deletion in deletions:
            deletion.request(ctx)
        for deletion in deletions:
            deletion.finish(ctx, attempts=NODE_GROUP_ATTEMPTS)


def _node_groups(ctx: Context) -> list[str]:
    eks = ctx.aws.eks
    try:
        return pages(eks, "list_nodegroups", "nodegroups", clusterName=ctx.config.eks_cluster_name)
    except eks.exceptions.ResourceNotFoundException:
        return []


@dataclass(frozen=True)
class VpcCleanup(CleanupStep):
    """Load balancers, interfaces and security groups in the deployment's VPC; cluster volumes.

    What is in the VPC and is neither the deployment's nor its cluster's is named and kept.
    In a VPC that the deployment does not own, and with `vpc_stays`, it is only what has the tags of
    its cluster.
    """

    vpc_stays: bool = False
    name: str = "left by Kubernetes"
    part: str = "others"
    needs: tuple[str, ...] = (
        "vpc",
        "public subnet 1",
        "public subnet 2",
        "private subnet 1",
        "private subnet 2",
        "security group",
        "internet gateway",
    )

    def find(self, ctx: Context) -> Found | None:
        """Return what will be searched for; None when there is no owned VPC and nothing of it."""
        if self._vpcs(ctx):
            return Found("load balancers, interfaces, security groups, volumes, if any")
        if cluster_of(ctx) is None:
            return None
        ids = [*_names(owned_load_balancers(ctx)), *_claim_volumes(ctx)]
        return Found(", ".join(ids), "what Kubernetes does not delete") if ids else None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete load balancers and what they used; refuse at once where others use the VPC."""
        vpcs = self._vpcs(ctx)
        for vpc in vpcs:
            kept = delete_load_balancers(ctx, vpc["VpcId"])
            delete_target_groups(ctx, groups_in_vpc(ctx, vpc["VpcId"]))
            delete_interfaces(ctx, vpc["VpcId"], kept_balancers=kept)
            _delete_groups(ctx, vpc["VpcId"])
            delete_guardduty(ctx, vpc["VpcId"])
        errors = [] if vpcs else _delete_balancers(ctx)
        disks = [str(volume["VolumeId"]) for volume in volumes(ctx, UNATTACHED)]
        for volume_id in _claim_volumes(ctx, UNATTACHED) if self.vpc_stays else disks:
            _delete_volume(ctx, volume_id)
        for vpc in vpcs:
            refuse_unowned(ctx, vpc["VpcId"])
        if errors:
            raise errors[0]

    def _vpcs(self, ctx: Context) -> Sequence[Item]:
        """Return the VPC of the deployment, if it is going to be deleted."""
        return [] if self.vpc_stays else ctx.inventory.of_step("vpcs", "vpc")


def network_last(steps: Sequence[Step]) -> list[Step]:
    """Return the steps for deletion: the network goes after the search for what others have in it.

    Its gateways and routes serve those, too, and cannot be had back as they were. Without others
    it goes beside the cluster, which takes less time. Not for --only: to delete a gateway alone
    must not delete the cluster.
    """
    if not any(isinstance(step, VpcCleanup) for step in steps):
        return list(steps)
    before = dependants(steps, [VpcCleanup.name])
    network = [it.name for it in steps if it.part == "network" and it.name not in before]
    return [
        replace(it, needs=(*it.needs, *network)) if isinstance(it, VpcCleanup) else it
        for it in steps
    ]


def with_cluster_parts(
    table: Sequence[Step], chosen: Collection[str]
) -> tuple[list[Step], set[str]]:
    """Return a table and its chosen steps with the cleanup of what the chosen cluster has made.

    With the cluster end the programs that would delete its load balancers and volumes: afterwards
    nothing says any more whose they are.
    """
    names = set(chosen)
    if EKS_CLUSTER not in names or VpcCleanup.name in names:
        return list(table), names
    steps = [replace(it, vpc_stays=True) if isinstance(it, VpcCleanup) else it for it in table]
    return steps, names | {VpcCleanup.name}


@dataclass(frozen=True)
class OrphanCleanup(CleanupStep):
    """Load balancers, their security groups and volumes of a cluster that no longer exists."""

    name: str = "left by the cluster"
    needs: tuple[str, ...] = ("server certificate",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return what remains; None also while the cluster exists."""
        if cluster_of(ctx) is not None:
            return None
        names = _names(owned_load_balancers(ctx))
        ids = [*names, *_elb_groups(ctx), *_claim_volumes(ctx, UNATTACHED)]
        return Found(", ".join(ids), "its cluster is gone") if ids else None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the volumes, then the load balancers and what they used."""
        for volume_id in _claim_volumes(ctx, UNATTACHED):
            _delete_volume(ctx, volume_id)
        if errors := _delete_balancers(ctx):
            raise errors[0]


def left_by_cluster(ctx: Context) -> tuple[list[LoadBalancer], list[Item], Sequence[str]]:
    """Return the load balancers, claims' volumes and security groups of a cluster that is gone."""
    disks = [it for it in volumes(ctx, UNATTACHED) if tag_of(it, PVC_NAME_TAG)]
    return owned_load_balancers(ctx), disks, _elb_groups(ctx)


def _names(balancers: Sequence[LoadBalancer]) -> list[str]:
    return [balancer.name for balancer in balancers]


def _delete_balancers(ctx: Context) -> list[SetupError]:
    """Delete load balancers in a VPC of others, then their target groups and security groups.

    What belongs to them is asked for before: afterwards nothing says whose it was. Returns the
    errors of load balancers that are protected; what belongs to those stays.
    """
    balancers = owned_load_balancers(ctx)
    targets = groups_of_balancers(ctx, balancers)
    groups = {*_elb_groups(ctx), *_groups_of(ctx, balancers)}
    errors = delete_owned(ctx, balancers)
    if errors:
        protected = owned_load_balancers(ctx)
        used = groups_of_balancers(ctx, protected)
        targets = [arn for arn in targets if arn not in used]
        groups -= {group for balancer in protected for group in balancer.groups}
    delete_target_groups(ctx, targets)
    for group_id in sorted(groups):
        _delete_group(ctx, group_id)
    return errors


def _groups_of(ctx: Context, balancers: Sequence[LoadBalancer]) -> Sequence[str]:
    """Return the ids of the security groups that Kubernetes made for load balancers."""
    ids = sorted({group for balancer in balancers for group in balancer.groups})
    if not ids:
        return []
    filters = [{"Name": "group-id", "Values": ids}]
    listed = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
    return [str(item["GroupId"]) for item in listed if _created_by_kubernetes(ctx, item)]


def _claim_volumes(ctx: Context, *states: str) -> Sequence[str]:
    """Return the ids of the volumes of the cluster's PersistentVolumeClaims."""
    return [str(item["VolumeId"]) for item in volumes(ctx, *states) if tag_of(item, PVC_NAME_TAG)]


def _elb_groups(ctx: Context) -> Sequence[str]:
    """Return the ids of the security groups of the load balancers that are this deployment's.

    Kubernetes gives a load balancer's group the tags that the Service names for the load balancer:
    buildELBSecurityGroupList in github.com/kubernetes/cloud-provider-aws
    (pkg/providers/v1/aws.go). Without them it is another one's: the name of a cluster says
    nothing about who had it.
    """
    deployment = ctx.config.deployment_name
    filters = [
        {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [deployment]},
        {"Name": f"tag:{cluster_tag(ctx.config)}", "Values": ["owned"]},
        {"Name": "group-name", "Values": ["k8s-elb-*"]},
    ]
    listed = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
    return [str(item["GroupId"]) for item in listed]


def _delete_groups(ctx: Context, vpc_id: str) -> None:
    """Delete the security groups of EKS and of load balancers, cross-references first."""
    groups = [
        group
        for group in pages(
            ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=_in(vpc_id)
        )
        if group["GroupName"] != "default"
    ]
    surplus = [group for group in groups if _created_by_kubernetes(ctx, group)]
    ids = {group["GroupId"] for group in surplus}
    for group in groups:
        _revoke_references(ctx, group, ids)
    for group in surplus:
        _delete_group(ctx, group["GroupId"])


def _created_by_kubernetes(ctx: Context, group: dict[str, Any]) -> bool:
    """Whether the cluster made a group; a name proves nothing: another cluster's may begin alike.

    EKS and Kubernetes tag their groups when they create them.
    """
    return has_cluster_tag(ctx, group) and is_part(ctx, group)


def _revoke_references(ctx: Context, group: dict[str, Any], ids: set[str]) -> None:
    """Revoke the rules of a group that name one of the groups `ids`, in both directions."""
    for rules, revoke in (
        ("IpPermissions", "revoke_security_group_ingress"),
        ("IpPermissionsEgress", "revoke_security_group_egress"),
    ):
        for rule in group[rules]:
            pairs = [
                {"GroupId": pair["GroupId"]}
                for pair in rule.get("UserIdGroupPairs", [])
                if pair["GroupId"] in ids
            ]
            if pairs:
                ports = {key: rule[key] for key in ("FromPort", "ToPort") if key in rule}
                permission = {"IpProtocol": rule["IpProtocol"], **ports, "UserIdGroupPairs": pairs}
                _revoke(ctx, group["GroupId"], revoke, permission)


def _revoke(ctx: Context, group_id: str, operation: str, permission: dict[str, Any]) -> None:
    call: Callable[..., Any] = getattr(ctx.aws.ec2, operation)
    delete_with_retry(
        ctx,
        f"a rule of {group_id}",
        lambda: call(GroupId=group_id, IpPermissions=[permission]),
        gone={"InvalidPermission.NotFound", "InvalidGroup.NotFound"},
    )


def _delete_group(ctx: Context, group_id: str) -> None:
    _delete(
        ctx,
        f"security group {group_id}",
        {"InvalidGroup.NotFound"},
        "delete_security_group",
        GroupId=group_id,
    )


def _delete_volume(ctx: Context, volume_id: str) -> None:
    what = f"volume {volume_id}"
    _delete(ctx, what, {"InvalidVolume.NotFound"}, "delete_volume", VolumeId=volume_id)


def _delete(ctx: Context, what: str, gone: set[str], operation: str, **arguments: str) -> None:
    ctx.note(f"deleting {what}")
    call: Callable[..., Any] = getattr(ctx.aws.ec2, operation)
    delete_with_retry(ctx, what, lambda: call(**arguments), gone=gone)


def _in(vpc_id: str) -> list[dict[str, Any]]:
    return [{"Name": "vpc-id", "Values": [vpc_id]}]
