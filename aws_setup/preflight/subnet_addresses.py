"""Free addresses of the subnets, against what the run, and configure after it, put into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from math import ceil

from aws_setup.aws.inventory import Item
from aws_setup.eks.node_launch_template import node_group_specs
from aws_setup.eks.node_subnets import node_subnets
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.address_reservations import NAME as RESERVATIONS
from aws_setup.infrastructure.instances import active_instances
from aws_setup.preflight.adopted_vpc import PRIVATE, PUBLIC
from aws_setup.preflight.planned import Launch, PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse

RESERVED = 5
"""Addresses of each subnet that AWS keeps.
https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""

OF_CLUSTER = 6
"""Addresses that EKS needs in each subnet of a new cluster, for its interfaces.

https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
"""

OF_LOAD_BALANCER = 8
"""Free addresses that a load balancer needs in its subnets.

https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-backend-instances.html
"""

INTERFACES_OF_NODE = 2
"""Network interfaces of which the VPC CNI takes all addresses at a node's start: the one in use and
a warm one. https://docs.aws.amazon.com/eks/latest/best-practices/vpc-cni.html"""


@dataclass(frozen=True)
class Room:
    """A subnet with its free addresses: its title in messages, and how many they are."""

    title: str
    free: int

    @classmethod
    def of(cls, name: str, subnet: Item) -> Room:
        """Return the room of a subnet that exists, as EC2 describes it."""
        return cls(f"the {name} {subnet['SubnetId']}", int(subnet["AvailableIpAddressCount"]))


Fix = Callable[[str], str]
"""Returns what is done about too few addresses in subnets of a kind, public or private."""


def check(planned: PlannedResources) -> CheckResult:
    """Check the subnets of a VPC of the deployment's own; a subnet cannot be made larger later."""
    if not planned.config.create_vpc:
        return CheckResult()
    rooms = dict(_own(planned))

    def fix(kind: str) -> str:
        wider = f"set wider ranges in {kind}_subnet_cidrs"
        if any(name.startswith(kind) and name not in planned.to_create for name in rooms):
            return f"use fewer machines, or run destroy, {wider}, and create again"
        return f"{wider}, such as two of /20 inside vpc_cidr, or use fewer machines"

    return CheckResult.of(findings(planned, rooms, fix=fix))


def check_nodes(planned: PlannedResources) -> CheckResult:
    """Check the cluster's subnets for the nodes that a run of configure adds."""
    ctx = planned.ctx
    wanted = {spec.group: spec.count for spec in node_group_specs(ctx.config)}
    # A group that is made again, or whose nodes are replaced, has the addresses of its old nodes.
    added = [
        replace(it, count=min(it.count, wanted[it.step] - len(active_instances(ctx, it.step))))
        for it in planned.launches
    ]
    needs = _of_nodes(planned, [launch for launch in added if launch.count > 0])
    if not needs:
        return CheckResult()
    listed = ctx.aws.ec2.describe_subnets(SubnetIds=node_subnets(ctx))["Subnets"]
    has, ids = (
        sum(it["AvailableIpAddressCount"] for it in listed),
        [it["SubnetId"] for it in listed],
    )
    if has >= needs:
        return CheckResult()
    fix = "use fewer nodes or smaller types, or delete what takes addresses in these subnets"
    return CheckResult.of([_too_few(f"the subnets {', '.join(ids)} of nodes", has, needs, fix)])


def _own(planned: PlannedResources) -> Iterator[tuple[str, Room]]:
    """Yield the subnets that exist with their free addresses, and those that are to be made."""
    config = planned.config
    ranges = (*config.public_subnet_cidrs, *config.private_subnet_cidrs)
    for name, cidr in zip((*PUBLIC, *PRIVATE), ranges, strict=True):
        if name in planned.to_create:
            yield name, Room(f"the {name} {cidr}", IPv4Network(cidr).num_addresses - RESERVED)
        for subnet in planned.ctx.inventory.of_step("subnets", name):
            yield name, Room.of(name, subnet)


def findings(
    planned: PlannedResources, rooms: Mapping[str, Room], *, fix: Fix
) -> Iterator[Finding]:
    """Yield a finding for each subnet with too few addresses, and one for the nodes' subnets."""
    for name, room in rooms.items():
        needs = in_subnet(planned, name)
        if room.free < needs:
            yield _too_few(room.title, room.free, needs, fix(name.split()[0]))
    kind = "public" if planned.config.eks_nodes_public else "private"
    used = {name: room for name, room in rooms.items() if name.startswith(kind)}
    has = sum(room.free for room in used.values())
    own, pods = sum(in_subnet(planned, name) for name in used), of_nodes(planned)
    if used and pods and has < own + pods:
        titles = " and ".join(room.title for room in used.values())
        yield _too_few(f"{titles} of nodes and pods", has, own + pods, fix(kind))


def in_subnet(planned: PlannedResources, name: str) -> int:
    """Return how many addresses the run takes in a subnet: machines and cluster interfaces."""
    needs = OF_CLUSTER if "eks cluster" in planned.to_create else 0
    if not name.startswith("public"):
        return needs
    needs += OF_LOAD_BALANCER if "eks cluster" in planned.to_create else 0
    needs += 1 if name.endswith("1") and "nat gateway" in planned.to_create else 0
    # What is reserved for a machine is not among the free addresses any more.
    reserved = planned.config.create_vpc and RESERVATIONS not in planned.to_create
    for launch in planned.launches:
        if not launch.in_first_subnet:
            needs += ceil(launch.count / 2)
        elif name.endswith("1"):
            needs += launch.count - (len(launch.addresses) if reserved else 0)
    return needs


def of_nodes(planned: PlannedResources) -> int:
    """Return how many addresses the nodes of a new cluster take with their pods."""
    return _of_nodes(planned, planned.later)


def _of_nodes(planned: PlannedResources, nodes: Sequence[Launch]) -> int:
    types = planned.instance_types() if nodes else {}
    return sum(
        launch.count
        * INTERFACES_OF_NODE
        * int(_network(types.get(launch.instance_type)).get("Ipv4AddressesPerInterface", 0))
        for launch in nodes
    )


def _network(instance_type: Item | None) -> Item:
    network: Item = (instance_type or {}).get("NetworkInfo", {})
    return network


def _too_few(what: str, has: int, needs: int, fix: str) -> Finding:
    return refuse(
        f"{what}: {count_of(has, 'address is free', 'addresses are free')}",
        f"machines, interfaces of the cluster and pods of this configuration take {needs}",
        fix,
    )
