"""What a deployment costs while it is paused: counted from what AWS lists, not from the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.deadline import instances_by_group
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, GROUP_TAG, NODE_GROUP_TAG, STEP_TAG
from aws_setup.eks.node_launch_template import every_node_group
from aws_setup.engine.step import CostItem
from aws_setup.infrastructure.ami_copies import copied_snapshots
from aws_setup.infrastructure.cluster_parts import volumes
from aws_setup.infrastructure.disk_prices import disk_units
from aws_setup.infrastructure.kubernetes_support import end_of_standard_support
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.leftovers import nodes_of_others
from aws_setup.infrastructure.load_balancers import LoadBalancer, owned_load_balancers
from aws_setup.infrastructure.nat_gateway import LIVE_NAT
from aws_setup.pause.machine_hours import instance_key


def remaining_charges(ctx: Context, *, deep: bool) -> list[CostItem]:
    """Return what continues to cost during a pause: cluster, disks, NAT, addresses, ELB, copies.

    Args:
        ctx: the run's context.
        deep: the NAT gateway and its address are deleted.
    """
    return [*_cluster(ctx), *_network(ctx, deep=deep), *_disks(ctx), *_copies(ctx)]


def running_charges(ctx: Context, stopped: Collection[str]) -> Iterator[CostItem]:
    """Yield what the machines cost that a pause does not stop, with their addresses and disks.

    Args:
        ctx: the run's context.
        stopped: the steps of the pause. Machines that others added to the cluster, as node groups
            or with Karpenter, are of none of them.
    """
    groups = {
        str(group["AutoScalingGroupName"]): tag_of(group, STEP_TAG)
        for group in ctx.inventory.all("auto-scaling groups")
    }
    live = [it for it in ctx.inventory.all("instances") if it["State"]["Name"] in LIVE]
    own = [it for it in live if _step_of(it, groups) not in stopped]
    others = advice(lambda: nodes_of_others(ctx)[0], lambda _: [])
    running = [*own, *(it for it in others if it["State"]["Name"] in LIVE)]
    for item in running:
        yield CostItem("machines", instance_key(item))
        if item.get("PublicIpAddress"):
            yield CostItem("machines", "ipv4")
    ids, kept = {it["InstanceId"] for it in running}, [it["VolumeId"] for it in kept_volumes(ctx)]
    for volume in volumes(ctx) if running else ():
        users = {it["InstanceId"] for it in volume.get("Attachments", ())}
        if users & ids and volume["VolumeId"] not in kept:
            yield from (CostItem("disks", key, count) for key, count in disk_units(volume))


LIVE = ("pending", "running")
"""States of a machine that is billed."""


def _step_of(instance: Item, groups: Mapping[str, str]) -> str:
    """Return the step that stops a machine: that of its group, or its own."""
    nodes = tag_of(instance, NODE_GROUP_TAG)
    return nodes or groups.get(tag_of(instance, GROUP_TAG), "") or tag_of(instance, STEP_TAG)


def _cluster(ctx: Context) -> Iterator[CostItem]:
    for cluster in ctx.inventory.all("eks cluster"):
        if tag_of(cluster, DEPLOYMENT_TAG) == ctx.config.deployment_name:
            ends = end_of_standard_support(ctx, cluster)
            yield CostItem("eks", "eks")
            if ends and ends < ctx.clock.today():
                yield CostItem("eks", "eks-extended")
            yield from balancer_charges(ctx)


def balancer_charges(ctx: Context) -> Iterator[CostItem]:
    """Yield what the load balancers of the cluster cost, also those of users' programs."""
    for balancer in owned_load_balancers(ctx):
        part = balancer_owner(balancer)[0]
        yield CostItem(part, balancer.price_key)
        yield CostItem(part, "ipv4", float(balancer.addresses))


def claim_charges(ctx: Context) -> Iterator[CostItem]:
    """Yield what the volumes of the cluster's claims cost."""
    vms = instances_by_group(ctx.inventory.all("instances"))
    for volume in kept_volumes(ctx):
        if tag_of(volume, STEP_TAG) not in vms:
            yield from (CostItem("disks", key, count) for key, count in disk_units(volume))


def balancer_owner(balancer: LoadBalancer) -> tuple[str, str]:
    """Return the part that a load balancer counts to, and the step whose deletion ends it.

    OpenWhisk's have the deployment's tag. Those of users' Services and Ingresses end with the
    cluster.
    """
    if tag_of(balancer.tags, DEPLOYMENT_TAG):
        return "openwhisk", "openwhisk release"
    return "load balancers", "eks cluster"


def _network(ctx: Context, *, deep: bool) -> Iterator[CostItem]:
    if deep:
        return
    for gateway in ctx.inventory.all("nat gateways"):
        if gateway["State"] in LIVE_NAT:
            yield CostItem("network", "nat")
    for _ in ctx.inventory.all("addresses"):
        yield CostItem("network", "ipv4")


def _disks(ctx: Context) -> Iterator[CostItem]:
    for volume in kept_volumes(ctx):
        yield from (CostItem("disks", key, count) for key, count in disk_units(volume))


def _copies(ctx: Context) -> Iterator[CostItem]:
    for snapshot in copied_snapshots(ctx):
        yield CostItem("amis", "snapshot-gib", float(snapshot["VolumeSize"]))


def kept_volumes(ctx: Context) -> list[Item]:
    """Return the volumes of VMs and of the cluster's claims.

    Those of nodes and of scaling groups are deleted with their machines.
    """
    config = ctx.config
    nodes = {spec.group for spec in every_node_group(config)}
    machines = {spec.component for spec in auto_scaling_specs(config)}
    return [
        volume
        for volume in volumes(ctx)
        if tag_of(volume, STEP_TAG) not in nodes and tag_of(volume, "Component") not in machines
    ]
