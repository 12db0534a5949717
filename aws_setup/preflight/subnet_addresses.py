"""Free addresses of an adopted VPC's subnets, against what the run puts into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil

from aws_setup.aws.inventory import Item
from aws_setup.engine.wording import count_of
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import Finding, refuse

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


def findings(
    planned: PlannedResources, subnets: Mapping[str, Item], *, vpc_id: str
) -> Iterator[Finding]:
    """Yield a finding for each subnet with too few addresses, and one for the nodes' subnets."""
    for name, subnet in subnets.items():
        has, needs = int(subnet["AvailableIpAddressCount"]), in_subnet(planned, name)
        if has < needs:
            yield _too_few(f"the {name} {subnet['SubnetId']}", has, needs, vpc_id)
    kind = "public" if planned.config.eks_nodes_public else "private"
    used = {name: subnet for name, subnet in subnets.items() if name.startswith(kind)}
    has = sum(int(item["AvailableIpAddressCount"]) for item in used.values())
    own, pods = sum(in_subnet(planned, name) for name in used), of_nodes(planned)
    if used and pods and has < own + pods:
        ids = ", ".join(item["SubnetId"] for item in used.values())
        yield _too_few(f"the {kind} subnets {ids} of nodes and pods", has, own + pods, vpc_id)


def in_subnet(planned: PlannedResources, name: str) -> int:
    """Return how many addresses the run takes in a subnet: machines and cluster interfaces."""
    needs = OF_CLUSTER if "eks cluster" in planned.to_create else 0
    if not name.startswith("public"):
        return needs
    needs += OF_LOAD_BALANCER if "eks cluster" in planned.to_create else 0
    for launch in planned.launches:
        if not launch.in_first_subnet:
            needs += ceil(launch.count / 2)
        elif name.endswith("1"):
            needs += launch.count
    return needs


def of_nodes(planned: PlannedResources) -> int:
    """Return how many addresses the nodes of a new cluster take with their pods."""
    if not planned.later:
        return 0
    types = planned.instance_types()
    return sum(
        launch.count
        * INTERFACES_OF_NODE
        * int(_network(types.get(launch.instance_type)).get("Ipv4AddressesPerInterface", 0))
        for launch in planned.later
    )


def _network(instance_type: Item | None) -> Item:
    network: Item = (instance_type or {}).get("NetworkInfo", {})
    return network


def _too_few(what: str, has: int, needs: int, vpc_id: str) -> Finding:
    return refuse(
        f"{what}: {count_of(has, 'address is free', 'addresses are free')}",
        f"machines, interfaces of the cluster and pods of this configuration take {needs}",
        f"add a range with `aws ec2 associate-vpc-cidr-block --vpc-id {vpc_id} --cidr-block RANGE` "
        f"and a larger subnet with `aws ec2 create-subnet --vpc-id {vpc_id} --cidr-block RANGE "
        "--availability-zone ZONE`, and name it in subnet_ids",
    )
