"""What others made inside this deployment, and destroy has to take away: in the cluster, the VPC.

Kubernetes makes load balancers, their security groups and volumes; EKS makes network interfaces
and a security group. They carry no tag of ours, but they stand in our VPC or name our cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import CleanupStep, Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.engine.step import Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError


@dataclass(frozen=True)
class NodeGroupCleanup(CleanupStep):
    """Node groups of the cluster that no step of ours knows; EKS refuses to delete it before.

    `known` names those that our steps delete.
    """

    name: str = "other node groups"
    part: str = "others"
    needs: tuple[str, ...] = ("eks cluster",)
    known: tuple[str, ...] = ()

    def find(self, ctx: Context) -> Found | None:
        """Return the others' node groups; None also when the cluster is not this deployment's."""
        items = ctx.inventory.all("eks cluster")
        if not items or tag_of(items[0], DEPLOYMENT_TAG) != ctx.config.deployment_name:
            return None
        groups = [group for group in _node_groups(ctx) if group not in self.known]
        return Found(", ".join(groups), "listed") if groups else None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete them all at once and return when EKS no longer lists any."""
        cluster = ctx.config.eks_cluster_name
        for group in _node_groups(ctx):
            delete_with_retry(
                ctx,
                f"node group {group}",
                lambda group=group: ctx.aws.eks.delete_nodegroup(  # type: ignore[misc]
                    clusterName=cluster, nodegroupName=group
                ),
                gone={"ResourceNotFoundException"},
            )

        def gone() -> bool | Pending:
            left = _node_groups(ctx)
            return Pending(", ".join(left)) if left else True

        wait_until(
            "node groups are deleted",
            gone,
            clock=ctx.clock,
            deadline=2400,
            pause=15,
            note=ctx.note,
        )


def _node_groups(ctx: Context) -> list[str]:
    eks = ctx.aws.eks
    try:
        return pages(eks, "list_nodegroups", "nodegroups", clusterName=ctx.config.eks_cluster_name)
    except eks.exceptions.ResourceNotFoundException:
        return []


@dataclass(frozen=True)
class VpcCleanup(CleanupStep):
    """Load balancers, network interfaces and security groups in our VPC, volumes of our cluster."""

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
        """Return a note when there is a VPC of ours to look into."""
        if ctx.inventory.of_step("vpcs", "vpc"):
            return Found("load balancers, interfaces, security groups, volumes, if any")
        return None

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete load balancers, then what they used; foreign machines are left and block."""
        for vpc in ctx.inventory.of_step("vpcs", "vpc"):
            _delete_load_balancers(ctx, vpc["VpcId"])
            _delete_interfaces(ctx, vpc["VpcId"])
            _delete_groups(ctx, vpc["VpcId"])
        for volume in cluster_volumes(ctx):
            own = volume["VolumeId"]
            _delete(ctx, f"volume {own}", {"InvalidVolume.NotFound"}, "delete_volume", VolumeId=own)


def cluster_volumes(ctx: Context) -> list[Any]:
    """Return the unattached volumes that the cluster's PVCs or this deployment's machines left.

    Those of a cluster that lives and is somebody else's are in use, attached or not; and what
    carries another deployment's tag is that deployment's, even when its cluster is gone.
    """
    own = ctx.config.deployment_name
    clusters = ctx.inventory.all("eks cluster")
    wanted = [(DEPLOYMENT_TAG, own)]
    if all(tag_of(cluster, DEPLOYMENT_TAG) == own for cluster in clusters):
        wanted.append((f"kubernetes.io/cluster/{ctx.config.eks_cluster_name}", "owned"))
    found: dict[str, Any] = {}
    for tag, value in wanted:
        filters = [
            {"Name": f"tag:{tag}", "Values": [value]},
            {"Name": "status", "Values": ["available"]},
        ]
        for volume in pages(ctx.aws.ec2, "describe_volumes", "Volumes", Filters=filters):
            if tag_of(volume, DEPLOYMENT_TAG) in ("", own):
                found[volume["VolumeId"]] = volume
    return list(found.values())


def load_balancers(ctx: Context, vpc: str) -> list[str]:
    """Return the names of the Classic ELBs in a VPC."""
    every = pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")
    return [item["LoadBalancerName"] for item in every if item.get("VPCId") == vpc]


def _delete_load_balancers(ctx: Context, vpc: str) -> None:
    for name in load_balancers(ctx, vpc):
        ctx.note(f"deleting load balancer {name}")
        ctx.aws.elb.delete_load_balancer(LoadBalancerName=name)
    elbv2 = ctx.aws.client("elbv2")
    for balancer in pages(elbv2, "describe_load_balancers", "LoadBalancers"):
        if balancer["VpcId"] == vpc:
            _delete_elbv2(ctx, balancer["LoadBalancerName"], balancer["LoadBalancerArn"])


def _delete_elbv2(ctx: Context, name: str, arn: str) -> None:
    """Delete an application or network load balancer; a protected one is named, not forced."""
    ctx.note(f"deleting load balancer {name}")
    try:
        ctx.aws.client("elbv2").delete_load_balancer(LoadBalancerArn=arn)
    except ClientError as error:
        if error_code(error) != "OperationNotPermitted":
            raise
        raise SetupError(
            f"load balancer {name} is protected against deletion",
            "somebody switched that on",
            "aws elbv2 modify-load-balancer-attributes --attributes "
            f"Key=deletion_protection.enabled,Value=false --load-balancer-arn {arn}, "
            "then run destroy again",
        ) from error


def _delete_interfaces(ctx: Context, vpc: str) -> None:
    """Delete interfaces that nothing uses, and wait for those that AWS is taking away."""

    def left() -> bool | Pending:
        interfaces = pages(
            ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=_in(vpc)
        )
        for interface in interfaces:
            if interface["Status"] == "available":
                own = interface["NetworkInterfaceId"]
                _delete(
                    ctx,
                    f"network interface {own}",
                    {"InvalidNetworkInterfaceID.NotFound"},
                    "delete_network_interface",
                    NetworkInterfaceId=own,
                )
        leaving = [item for item in interfaces if _is_service_managed(item)]
        return Pending(f"{len(leaving)} interfaces of AWS's own") if leaving else True

    wait_until(
        "AWS takes its network interfaces away",
        left,
        clock=ctx.clock,
        deadline=600,
        pause=5,
        note=ctx.note,
    )


def _is_service_managed(interface: dict[str, Any]) -> bool:
    """Say whether an interface belongs to a load balancer or a cluster that is being deleted."""
    description = str(interface.get("Description", ""))
    ours = description.startswith(("ELB ", "Amazon EKS ", "aws-K8S-"))
    return ours and interface["Status"] != "available"


def _delete_groups(ctx: Context, vpc: str) -> None:
    """Delete the security groups of EKS and of load balancers, cross-references first."""
    groups = [
        group
        for group in pages(
            ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=_in(vpc)
        )
        if group["GroupName"] != "default"
    ]
    made = [group for group in groups if _made_by_kubernetes(ctx, group)]
    ids = {group["GroupId"] for group in made}
    for group in groups:
        _revoke_references(ctx, group, ids)
    for group in made:
        own = group["GroupId"]
        gone = {"InvalidGroup.NotFound"}
        _delete(ctx, f"security group {own}", gone, "delete_security_group", GroupId=own)


def _made_by_kubernetes(ctx: Context, group: dict[str, Any]) -> bool:
    cluster = ctx.config.eks_cluster_name
    owned = tag_of(group, f"kubernetes.io/cluster/{cluster}") == "owned"
    return owned or group["GroupName"].startswith((f"eks-cluster-sg-{cluster}-", "k8s-elb-"))


def _revoke_references(ctx: Context, group: dict[str, Any], ids: set[str]) -> None:
    """Take away the rules of a group that name one of the groups `ids`, in both directions."""
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
                wanted = {"IpProtocol": rule["IpProtocol"], **ports, "UserIdGroupPairs": pairs}
                call: Callable[..., Any] = getattr(ctx.aws.ec2, revoke)
                gone = {"InvalidPermission.NotFound", "InvalidGroup.NotFound"}
                own = group["GroupId"]
                delete_with_retry(
                    ctx,
                    f"a rule of {own}",
                    lambda call=call, own=own, wanted=wanted: call(  # type: ignore[misc]
                        GroupId=own, IpPermissions=[wanted]
                    ),
                    gone=gone,
                )


def _delete(ctx: Context, what: str, gone: set[str], operation: str, **arguments: str) -> None:
    ctx.note(f"deleting {what}")
    call: Callable[..., Any] = getattr(ctx.aws.ec2, operation)
    delete_with_retry(ctx, what, lambda: call(**arguments), gone=gone)


def _in(vpc: str) -> list[dict[str, Any]]:
    return [{"Name": "vpc-id", "Values": [vpc]}]
