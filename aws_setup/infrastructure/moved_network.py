"""Another network in the configuration than the one in which the deployment is.

AWS moves no machine, security group or EKS cluster to another VPC, and no machine to another
subnet. Within a VPC the subnets of an auto-scaling group and of an EKS cluster can be changed.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-eni.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import ENDED_STATES, Item, tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, GROUP_TAG, NODE_GROUP_TAG, STEP_TAG
from aws_setup.engine.plan import shorten
from aws_setup.engine.step import Drift
from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem, Refused

SUBNETS = "subnets"
"""Key of the drift of an auto-scaling group whose subnets are others."""

CLUSTER_SUBNETS = (
    "public subnet 1",
    "public subnet 2",
    "private subnet 1",
    "private subnet 2",
)


def refuse_moved(ctx: Context, vpc_id: str, *, instead: str) -> None:
    """Refuse to go on in another VPC than the one in which the deployment has resources.

    Args:
        ctx: the run's context; a destroy is not refused.
        vpc_id: the VPC that the configuration means; '' for one that would be created.
        instead: what the configuration says, as the cause.

    Raises:
        Refused: something of the deployment is in another VPC; it says what, and where.
    """
    elsewhere = {} if ctx.owned_only else _elsewhere(ctx, vpc_id)
    if elsewhere:
        raise Refused.all([_problem(ctx, at, what, instead) for at, what in elsewhere.items()])


def _problem(ctx: Context, vpc_id: str, what: Sequence[str], instead: str) -> Problem:
    own = vpc_id in {vpc["VpcId"] for vpc in ctx.inventory.of_step("vpcs", "vpc")}
    former = "create_vpc: True" if own else f"create_vpc: False and vpc_id: {vpc_id}"
    return Problem(
        f"the deployment is in VPC {vpc_id}: {', '.join(what)}",
        f"{instead}; AWS moves nothing of this to another VPC, and it would be billed beside what "
        "is created",
        f"set {former}; to move the deployment, run destroy with that first, and then create with "
        "the other network: what is on the disks is lost",
    )


def _elsewhere(ctx: Context, vpc_id: str) -> Mapping[str, Sequence[str]]:
    """Return each other VPC with what the deployment has there, in the words of a message.

    The VPCs that the deployment has created are elsewhere only where it should use another one:
    else the step of the VPC deals with them.
    """
    there: defaultdict[str, list[str]] = defaultdict(list)
    own = [str(vpc["VpcId"]) for vpc in ctx.inventory.of_step("vpcs", "vpc")]
    for other in own:
        there[other].append("the network that it has created")
    for vpc, machines in _machines(ctx).items():
        ids, count = shorten(machines, most=3), count_of(len(machines), "machine")
        there[vpc].append(f"{count} ({ids})")
    for cluster in _listed(ctx, "eks cluster"):
        if tag_of(cluster, DEPLOYMENT_TAG) == ctx.config.deployment_name:
            there[cluster["resourcesVpcConfig"]["vpcId"]].append(f"EKS cluster {cluster['name']}")
    for group in _listed(ctx, "security groups"):
        if tag_of(group, STEP_TAG) != "security group":
            continue
        there[group["VpcId"]].append(f"security group {group['GroupId']}")
    known = {vpc_id, *(own if ctx.config.create_vpc else ())}
    return {vpc: what for vpc, what in there.items() if vpc not in known}


def _listed(ctx: Context, kind: str) -> Sequence[Item]:
    """Return what the deployment has of a kind; nothing where the caller may not list it.

    A deployment without auto-scaling groups or a cluster needs no permission for them.
    """
    return advice(lambda: ctx.inventory.all(kind), lambda _: [])


def _machines(ctx: Context) -> Mapping[str, Sequence[str]]:
    """Return the ids of the deployment's machines in each VPC, without the nodes of EKS."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for item in _listed(ctx, "instances"):
        ended = item["State"]["Name"] in ENDED_STATES
        if item.get("VpcId") and not ended and not tag_of(item, NODE_GROUP_TAG):
            found[item["VpcId"]].append(item["InstanceId"])
    return found


def machine_drift(ctx: Context, active: Sequence[Item], step: str) -> list[Drift]:
    """Return the conflict of machines that are in another subnet of the VPC than configured."""
    vpc, subnet = ctx.found.get("vpc"), ctx.found.get("public subnet 1")
    if vpc is None or subnet is None:
        return []
    has = sorted({it["SubnetId"] for it in active if it["VpcId"] == vpc.id} - {subnet.id})
    if not has:
        return []
    fix = (
        f"name {has[0]} as the first public subnet in subnet_ids, or run destroy --only "
        f'"{step}" first, which deletes the disks'
    )
    return [Drift("subnet", ", ".join(has), subnet.id, fix)]


def group_drift(ctx: Context, group: Item, subnets: Sequence[str]) -> list[Drift]:
    """Return how the subnets of an auto-scaling group differ; AWS changes them in place.

    Machines in a zone that the group leaves are replaced, one after the other; others stay.
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html
    """
    if any(name not in ctx.found for name in subnets):
        return []
    has = {subnet for subnet in str(group.get("VPCZoneIdentifier") or "").split(",") if subnet}
    wants = {ctx.found[name].id for name in subnets}
    if has == wants:
        return []
    effect = "new machines are launched there; AWS replaces those in zones that are left"
    text = f"{', '.join(sorted(wants))} ({effect})"
    return [Drift("subnets", ", ".join(sorted(has)), text, key=SUBNETS)]


def cluster_drift(ctx: Context, cluster: Item) -> list[Drift]:
    """Return how the subnets of a cluster differ: EKS takes others in the zones that it has.

    Subnets that the cluster has besides are kept. Nodes stay in their subnets.
    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """
    vpc, network = ctx.found.get("vpc"), cluster["resourcesVpcConfig"]
    has = sorted(network.get("subnetIds") or ())
    wants = [ctx.found[name].id for name in CLUSTER_SUBNETS if name in ctx.found]
    elsewhere = vpc is None or vpc.id != network.get("vpcId")
    if elsewhere or len(wants) < len(CLUSTER_SUBNETS) or set(wants) <= set(has):
        return []
    listed = ", ".join(sorted(wants))
    former = _zones(ctx, [*has])
    zones = {str(ctx.found[name].facts.get("zone")) for name in CLUSTER_SUBNETS}
    fix = ""
    if former and zones - former:
        fix = (
            f"name subnets in {', '.join(sorted(former))} in subnet_ids: EKS adds no zone to a "
            "cluster; or run destroy and then create"
        )
    if left := {} if fix or ctx.owned_only else _nodes_left(ctx, wants):
        ctx.warn(_left_problem(left))
        listed = f"{listed} (without the nodes of {shorten(sorted(left))})"
    return [Drift("subnets", ", ".join(has), listed, fix, SUBNETS)]


def _nodes_left(ctx: Context, wants: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the deployment's node groups in subnets that the cluster leaves, with these.

    EKS changes the subnets of no node group, so that they are a conflict of configure then.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
    """
    name = ctx.config.deployment_name
    own = [it for it in _listed(ctx, "node groups") if tag_of(it, DEPLOYMENT_TAG) == name]
    left = {str(it["nodegroupName"]): sorted({*it.get("subnets", ())} - {*wants}) for it in own}
    return {group: subnets for group, subnets in left.items() if subnets}


def _left_problem(left: Mapping[str, Sequence[str]]) -> Problem:
    groups = shorten(sorted(left))
    where = "; ".join(f"{group}: {', '.join(subnets)}" for group, subnets in sorted(left.items()))
    return Problem(
        f"node groups stay in subnets that the cluster leaves: {groups}",
        f"{where}; EKS changes the subnets of no node group, and configure is refused until they "
        "are made again",
        "name the cluster's former subnets in subnet_ids to keep the nodes; or, after this run, "
        f"delete {groups} in the EKS console and run configure, which creates them again",
    )


def cluster_change(ctx: Context, cluster: Item) -> dict[str, Any]:
    """Return the update of a cluster's subnets; nothing where it has them."""
    if not any(not drift.fix for drift in cluster_drift(ctx, cluster)):
        return {}
    wanted = [ctx.of(name).id for name in CLUSTER_SUBNETS]
    return {"resourcesVpcConfig": {"subnetIds": wanted}}


def _zones(ctx: Context, ids: Sequence[str]) -> set[str]:
    """Return the zones of some subnets; those that are deleted have none."""
    filters = [{"Name": "subnet-id", "Values": [*ids]}]
    listed = pages(ctx.aws.ec2, "describe_subnets", "Subnets", Filters=filters)
    return {str(subnet["AvailabilityZone"]) for subnet in listed}


def in_use_first(ctx: Context, subnets: Sequence[Item]) -> list[Item]:
    """Return subnets to choose from with those first that the deployment is in already.

    Without subnet_ids a subnet that its owner adds to the VPC must not be chosen instead of them.
    """
    # Machines of scaling groups, and nodes, are in both subnets of their kind; VMs are in one.
    single = [it for it in _listed(ctx, "instances") if not tag_of(it, GROUP_TAG)]
    machines = {item.get("SubnetId") for item in single}
    used = {
        subnet
        for group in _listed(ctx, "auto-scaling groups")
        for subnet in str(group.get("VPCZoneIdentifier") or "").split(",")
    }
    for cluster in _listed(ctx, "eks cluster"):
        used.update(cluster["resourcesVpcConfig"].get("subnetIds") or ())

    def rank(subnet: Item) -> int:
        place = subnet["SubnetId"]
        return 0 if place in machines else 1 if place in used else 2

    return sorted(subnets, key=rank)
