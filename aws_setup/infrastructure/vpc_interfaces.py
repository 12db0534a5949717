"""The network interfaces in a deployment's VPC: which are its own, and the deletion of those."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from aws_setup.aws.advice import advice
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

CNI_NODE_TAG = "node.k8s.amazonaws.com/instance_id"
"""Tag key of such an interface: the machine that it was made for.

pkg/awsutils/awsutils.go in github.com/aws/amazon-vpc-cni-k8s
"""

CNI_INTERFACE = "aws-K8S-"
"""How the description of such an interface begins; early versions set no tag.

https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html
"""

BALANCER_INTERFACE = "ELB "
"""How the description of a load balancer's interface begins; its name follows.

https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
"""

NAT_INTERFACE = "Interface for NAT Gateway "
"""How the description of a NAT gateway's interface begins; its id follows."""


def network_interfaces(ctx: Context, vpc_id: str) -> Sequence[Any]:
    """Return every network interface in a VPC."""
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
    return pages(ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters)


def may_have_others(ctx: Context) -> bool:
    """Return whether others may have an address in the deployment's VPC, or nobody can say.

    It is asked while the deployment is still there, whose nodes and services may be among them.
    """
    return advice(lambda: any(_of_others(ctx)), lambda _: True)


def _of_others(ctx: Context) -> Iterator[bool]:
    own = {item["InstanceId"] for item in ctx.inventory.all("instances")}
    for vpc in ctx.inventory.of_step("vpcs", "vpc"):
        for item in network_interfaces(ctx, vpc["VpcId"]):
            about = str(item.get("Description", ""))
            if machine := item.get("Attachment", {}).get("InstanceId"):
                yield machine not in own
            else:
                gateway = about.startswith((BALANCER_INTERFACE, NAT_INTERFACE))
                yield not (gateway or is_owned(ctx, item))


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


def find_cni_interfaces(ctx: Context) -> tuple[list[Any], list[Any]]:
    """Return what the CNI plug-in of a cluster of this name has left: ours, and what is in doubt.

    Those of this deployment's nodes are ours, wherever they are. Of others nothing says which
    cluster of this name it was; none is in doubt while that name is the one of a cluster of others.
    """
    filters = [
        {"Name": f"tag:{CNI_CLUSTER_TAG}", "Values": [ctx.config.eks_cluster_name]},
        {"Name": "status", "Values": ["available"]},
    ]
    listed = pages(ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
    if not listed or not owns_cluster(ctx):
        return [], []
    machines = [*ctx.inventory.all("instances"), *ctx.inventory.all("terminated instances")]
    nodes = {item["InstanceId"] for item in machines}
    ours: list[Any] = []
    doubtful: list[Any] = []
    for item in listed:
        tags = {"Tags": item.get("TagSet") or []}
        if tag_of(tags, CNI_NODE_TAG) in nodes:
            ours.append(item)
        elif not tag_of(tags, DEPLOYMENT_TAG):
            doubtful.append(item)
    return ours, doubtful


def delete_cni_interfaces(ctx: Context) -> None:
    """Delete the interfaces that our nodes have left in a VPC of others; the audit names the rest.

    The plug-in leaves them where its node ends before it has deleted them: they keep their
    addresses, and the subnets and security groups of that VPC cannot be deleted.
    """

    def delete() -> None:
        for interface in find_cni_interfaces(ctx)[0]:
            _delete(ctx, interface["NetworkInterfaceId"])

    advice(delete, lambda _: None)


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
