"""The network interfaces in a deployment's VPC: which are its own, and the deletion of those."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.cluster_parts import has_cluster_tag, is_part, owns_cluster

CNI_CLUSTER_TAG = "cluster.k8s.amazonaws.com/name"
"""Tag key of an interface that the VPC CNI plug-in of a cluster created."""

CNI_INTERFACE = "aws-K8S-"
"""How the description of such an interface begins; early versions set no tag.

https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html
"""

BALANCER_INTERFACE = "ELB "
"""How the description of a load balancer's interface begins; its name follows.

https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
"""


def network_interfaces(ctx: Context, vpc_id: str) -> Sequence[Any]:
    """Return every network interface in a VPC."""
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
    return pages(ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters)


def is_owned(ctx: Context, interface: Any) -> bool:
    """Return whether an interface is this deployment's, or was made for its cluster.

    One that carries another deployment's tag or was made for another cluster is not.
    """
    tags = {"Tags": interface.get("TagSet") or interface.get("Tags") or []}
    about = str(interface.get("Description", ""))
    cluster = ctx.config.eks_cluster_name
    if tag_of(tags, DEPLOYMENT_TAG) or has_cluster_tag(ctx, tags):
        return is_part(ctx, tags)
    if of_cluster := tag_of(tags, CNI_CLUSTER_TAG):
        return of_cluster == cluster and owns_cluster(ctx)
    made = about == f"Amazon EKS {cluster}" or about.startswith(CNI_INTERFACE)
    return made and owns_cluster(ctx)


def delete_interfaces(ctx: Context, vpc_id: str, *, kept_balancers: Collection[str]) -> None:
    """Delete the deployment's unattached interfaces; return when AWS's services deleted theirs.

    `kept_balancers` are load balancers of others: their interfaces stay.
    """

    def gone() -> bool | Pending:
        interfaces = network_interfaces(ctx, vpc_id)
        for interface in interfaces:
            if interface["Status"] == "available" and is_owned(ctx, interface):
                _delete(ctx, interface["NetworkInterfaceId"])
        ending = [item for item in interfaces if _is_ending(ctx, item, kept_balancers)]
        left = count_of(len(ending), "interface of AWS services", "interfaces of AWS services")
        return Pending(f"{left} left") if ending else True

    ctx.wait_until(
        "AWS deletes the network interfaces of its services", gone, deadline=600, pause=5
    )


def _is_ending(ctx: Context, interface: Any, kept_balancers: Collection[str]) -> bool:
    """Return whether a load balancer or cluster that is being deleted still has an interface."""
    if interface["Status"] == "available":
        return False
    about = str(interface.get("Description", ""))
    if about.startswith(BALANCER_INTERFACE):
        return about.removeprefix(BALANCER_INTERFACE) not in kept_balancers
    made_for_nodes = about.startswith((CNI_INTERFACE, "Amazon EKS "))
    return made_for_nodes and is_owned(ctx, interface)


def _delete(ctx: Context, interface_id: str) -> None:
    ctx.note(f"deleting network interface {interface_id}")
    delete_with_retry(
        ctx,
        f"network interface {interface_id}",
        lambda: ctx.aws.ec2.delete_network_interface(NetworkInterfaceId=interface_id),
        gone={"InvalidNetworkInterfaceID.NotFound"},
    )
