"""Checks of an adopted VPC: everything that is needed of it, before the first write, each once.

It is never changed: every finding has the command with which its owner changes it. What EKS needs:
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.infrastructure.eks_cluster import ZONES_WITHOUT_EKS
from aws_setup.infrastructure.ingress_rules import Source, joined
from aws_setup.infrastructure.security_group import (
    existing_group,
    existing_group_drift,
    vpc_ranges,
)
from aws_setup.infrastructure.subnet_routes import (
    EVERYWHERE,
    default_route,
    route_tables,
    table_of,
    target_of,
)
from aws_setup.preflight import network_acls, subnet_addresses
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

PUBLIC = ("public subnet 1", "public subnet 2")
PRIVATE = ("private subnet 1", "private subnet 2")

ENDPOINTS = ("ec2", "ecr.api", "ecr.dkr", "s3", "sts")
"""Services that nodes without a route to the internet reach through an endpoint each.

https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
"""


@dataclass(frozen=True)
class AdoptedNetwork:
    """An adopted VPC as AWS describes it; each listing is read once."""

    ctx: Context
    vpc_id: str

    @cached_property
    def subnets(self) -> Mapping[str, Item]:
        """The chosen subnets by step."""
        ids = {
            name: self.ctx.found[name].id for name in (*PUBLIC, *PRIVATE) if name in self.ctx.found
        }
        if not ids:
            return {}
        answer: Any = self.ctx.aws.ec2.describe_subnets(SubnetIds=list(ids.values()))
        by_id = {item["SubnetId"]: item for item in answer["Subnets"]}
        return {name: by_id[subnet] for name, subnet in ids.items()}

    @cached_property
    def tables(self) -> Sequence[Item]:
        """The route tables."""
        return route_tables(self.ctx, self.vpc_id)

    @cached_property
    def acls(self) -> Sequence[Item]:
        """The network ACLs."""
        acls: Any = self.ctx.aws.ec2.describe_network_acls(Filters=self._here("vpc-id"))
        return list(acls["NetworkAcls"])

    @cached_property
    def gateways(self) -> Sequence[str]:
        """The ids of the attached internet gateways."""
        filters = self._here("attachment.vpc-id")
        answer: Any = self.ctx.aws.ec2.describe_internet_gateways(Filters=filters)
        return [item["InternetGatewayId"] for item in answer["InternetGateways"]]

    @cached_property
    def endpoints(self) -> Sequence[str]:
        """The services that have an endpoint in the VPC, as in `ecr.api`."""
        answer: Any = self.ctx.aws.ec2.describe_vpc_endpoints(Filters=self._here("vpc-id"))
        prefix = f".{self.ctx.aws.region}."
        names = [str(item["ServiceName"]) for item in answer["VpcEndpoints"]]
        return [name.partition(prefix)[2] for name in names]

    def dns(self, attribute: str) -> bool:
        """Return whether a DNS attribute of the VPC, as in enableDnsSupport, is on."""
        answer: Any = self.ctx.aws.ec2.describe_vpc_attribute(
            VpcId=self.vpc_id,
            Attribute=attribute,  # type: ignore[arg-type]
        )
        return bool(answer[attribute[0].upper() + attribute[1:]]["Value"])

    def table(self, step: str) -> Item:
        """Return the route table of a chosen subnet."""
        return table_of(self.subnets[step]["SubnetId"], self.tables)

    def _here(self, name: str) -> Any:
        return [{"Name": name, "Values": [self.vpc_id]}]


def check(planned: PlannedResources) -> CheckResult:
    """Check everything that this run needs of an adopted VPC; nothing for a VPC of its own."""
    vpc = planned.ctx.found.get("vpc")
    if planned.config.create_vpc or vpc is None:
        return CheckResult()
    network = AdoptedNetwork(planned.ctx, vpc.id)
    return CheckResult.of(
        [
            *_dns(network),
            *_internet(network),
            *_nodes_routes(network),
            *_zones(network),
            *_public_nodes(network),
            *_node_rules(planned, vpc.id),
            *subnet_addresses.findings(planned, network.subnets, vpc_id=vpc.id),
            *network_acls.findings(_flows(network), network.acls),
        ]
    )


def _dns(network: AdoptedNetwork) -> Iterator[Finding]:
    """The private endpoint of EKS needs both."""
    for attribute, title, option in (
        ("enableDnsSupport", "DNS support", "--enable-dns-support"),
        ("enableDnsHostnames", "DNS host names", "--enable-dns-hostnames"),
    ):
        if not network.dns(attribute):
            yield refuse(
                f"{title} of VPC {network.vpc_id}: off",
                "nodes find the cluster's private endpoint by its name only",
                f"run `aws ec2 modify-vpc-attribute --vpc-id {network.vpc_id} "
                f"{option} '{{\"Value\":true}}'`",
            )


def _internet(network: AdoptedNetwork) -> Iterator[Finding]:
    """Without an attached gateway the routes to it are blackholes: that is said once."""
    public = [name for name in PUBLIC if name in network.subnets]
    named = sorted({target_of(default_route(network.table(name))) for name in public})
    unattached = [gateway for gateway in named if gateway not in network.gateways]
    for gateway in unattached:
        attached = ", ".join(network.gateways)
        tables = sorted({network.table(n)["RouteTableId"] for n in public})
        replace = " and ".join(_replace(table, "--gateway-id", attached) for table in tables)
        yield refuse(
            f"the internet gateway {gateway} is not attached to VPC {network.vpc_id}",
            f"the default route of {', '.join(tables)} names it, so nothing passes",
            f"run {replace}"
            if len(network.gateways) == 1
            else f"run `aws ec2 attach-internet-gateway --vpc-id {network.vpc_id} "
            f"--internet-gateway-id {gateway}`",
        )
    if not network.gateways and not unattached:
        yield refuse(
            f"VPC {network.vpc_id} has no internet gateway",
            "VMs and load balancers are reached through it",
            f"run `aws ec2 create-internet-gateway` and `aws ec2 attach-internet-gateway "
            f"--vpc-id {network.vpc_id} --internet-gateway-id IGW`",
        )


def _nodes_routes(network: AdoptedNetwork) -> Iterator[Finding]:
    """Nodes in private subnets load images and reach EKS: by a NAT gateway, or by endpoints."""
    config = network.ctx.config
    if config.eks_nodes_public or not config.create_eks_cluster:
        return
    tables = {
        network.table(name).get("RouteTableId", ""): network.table(name)
        for name in PRIVATE
        if name in network.subnets
    }
    for table_id, table in tables.items():
        route = default_route(table)
        if route.get("State") == "blackhole":
            yield refuse(
                f"the default route of {table_id} leads nowhere (blackhole)",
                f"its target {target_of(route) or 'none'} no longer exists; EKS nodes in the "
                "private subnets need it",
                f"run {_replace(table_id, '--nat-gateway-id', 'NAT')} with an existing NAT gateway",
            )
        elif not route:
            yield _without_route(network, table_id)


def _without_route(network: AdoptedNetwork, table_id: str) -> Finding:
    missing = [name for name in ENDPOINTS if name not in network.endpoints]
    if not missing:
        return warn(
            f"the route table {table_id} of the private subnets has no default route",
            "its endpoints are enough for EKS, and not for images outside ECR such as OpenWhisk's",
            "add a NAT gateway, or use images in ECR only",
        )
    subnet = network.subnets[PUBLIC[0]]["SubnetId"] if PUBLIC[0] in network.subnets else "SUBNET"
    return refuse(
        f"the route table {table_id} of the private subnets has no default route",
        "EKS nodes there cannot load images, and endpoints are missing: " + ", ".join(missing),
        f"run `aws ec2 create-nat-gateway --subnet-id {subnet} --allocation-id EIPALLOC` and "
        f"`aws ec2 create-route --route-table-id {table_id} --destination-cidr-block {EVERYWHERE} "
        "--nat-gateway-id NAT`, or set eks_nodes_public: True",
    )


def _zones(network: AdoptedNetwork) -> Iterator[Finding]:
    """Subnets that subnet_ids names may be in a zone in which EKS creates nothing."""
    if not network.ctx.config.create_eks_cluster:
        return
    for subnet in network.subnets.values():
        if subnet.get("AvailabilityZoneId") in ZONES_WITHOUT_EKS:
            yield refuse(
                f"the subnet {subnet['SubnetId']} is in {subnet['AvailabilityZone']}",
                f"EKS does not support this zone ({subnet['AvailabilityZoneId']})",
                f"run `aws ec2 create-subnet --vpc-id {network.vpc_id} --cidr-block RANGE "
                "--availability-zone ZONE` for another zone, and name that subnet in subnet_ids",
            )


def _public_nodes(network: AdoptedNetwork) -> Iterator[Finding]:
    """EKS's managed nodes do not ask for a public address themselves: the subnet must.

    https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html
    """
    if not network.ctx.config.eks_nodes_public:
        return
    for name in PUBLIC:
        subnet = network.subnets.get(name)
        if subnet and not subnet["MapPublicIpOnLaunch"]:
            yield refuse(
                f"the {name} {subnet['SubnetId']} assigns no public addresses at launch",
                "eks_nodes_public is True, and nodes there get theirs from the subnet only",
                f"run `aws ec2 modify-subnet-attribute --subnet-id {subnet['SubnetId']} "
                "--map-public-ip-on-launch`, or set eks_nodes_public: False",
            )


def _node_rules(planned: PlannedResources, vpc_id: str) -> Iterator[Finding]:
    """The rules for nodes name the cluster's group, which does not exist before the cluster."""
    group = existing_group(planned.ctx, vpc_id)
    if group is None or "eks cluster" not in planned.to_create:
        return
    targets = {Source.NODES: joined(vpc_ranges(planned.ctx, vpc_id))}
    for drift in existing_group_drift(group, targets):
        yield warn(
            f"{drift.what}: not allowed from the EKS nodes",
            "the cluster's security group, which nodes have, does not exist yet",
            f"{drift.fix} now, or let create stop once the cluster exists: it then prints the "
            "command that names the cluster's group",
        )


def _flows(network: AdoptedNetwork) -> Iterator[tuple[str, network_acls.Flow]]:
    """Yield each chosen subnet with the traffic that it needs."""
    config, cidrs = network.ctx.config, {n: s["CidrBlock"] for n, s in network.subnets.items()}
    names = PUBLIC if config.eks_nodes_public else PRIVATE
    nodes = [name for name in names if name in cidrs and config.create_eks_cluster]
    for name in PUBLIC:
        if name in cidrs:
            ranges = [cidrs[node] for node in nodes if node != name]
            operators = network.ctx.defaults.operator_cidrs
            for flow in network_acls.vm_flows(ranges, operators=operators):
                yield network.subnets[name]["SubnetId"], flow
    for name in nodes:
        vms = [cidrs[other] for other in PUBLIC if other in cidrs and other != name]
        others = [cidr for other, cidr in cidrs.items() if other != name]
        for flow in network_acls.node_flows(vms, others):
            yield network.subnets[name]["SubnetId"], flow


def _replace(table: str, option: str, target: str) -> str:
    return (
        f"`aws ec2 replace-route --route-table-id {table} "
        f"--destination-cidr-block {EVERYWHERE} {option} {target}`"
    )
