"""Checks of an adopted VPC: everything that is needed of it, before the first write, each once.

It is never changed: every finding has the command with which its owner changes it. What EKS needs:
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
"""

from __future__ import annotations

from collections.abc import Iterator

from aws_setup.infrastructure.existing_network import unfit_for_eks
from aws_setup.infrastructure.ingress_rules import Source, joined
from aws_setup.infrastructure.security_group import (
    existing_group,
    existing_group_drift,
    vpc_ranges,
)
from aws_setup.infrastructure.subnet_routes import default_route, target_of
from aws_setup.preflight import network_acls, node_routes, subnet_addresses
from aws_setup.preflight.adopted_vpc import PRIVATE, PUBLIC, AdoptedNetwork, replace_route
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn
from aws_setup.preflight.subnet_addresses import Room

AMAZON_DNS = ("AmazonProvidedDNS", "169.254.169.253")
"""Names of a VPC's own resolver in DHCP options.

https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
"""


def check(planned: PlannedResources) -> CheckResult:
    """Check everything that this run needs of an adopted VPC; nothing for a VPC of its own."""
    vpc = planned.ctx.found.get("vpc")
    if planned.config.create_vpc or vpc is None:
        return CheckResult()
    network = AdoptedNetwork(planned.ctx, vpc.id)
    return CheckResult.of(
        [
            *_dns(network),
            *_resolver(network),
            *_internet(network),
            *node_routes.findings(network),
            *_zones(network),
            *_public_nodes(network),
            *_node_rules(planned, vpc.id),
            *_addresses(planned, network),
            *network_acls.findings(_flows(network), network.acls),
        ]
    )


def _dns(network: AdoptedNetwork) -> Iterator[Finding]:
    """Machines resolve names by the first; the private endpoint of EKS needs both."""
    cluster = network.ctx.config.create_eks_cluster
    attributes = [("enableDnsSupport", "DNS support", "--enable-dns-support")]
    if cluster:
        attributes.append(("enableDnsHostnames", "DNS host names", "--enable-dns-hostnames"))
    for attribute, title, option in attributes:
        if not network.dns(attribute):
            yield refuse(
                f"{title} of VPC {network.vpc_id}: off",
                "nodes find the cluster's private endpoint by its name only"
                if cluster
                else "machines there resolve no names",
                f"run `aws ec2 modify-vpc-attribute --vpc-id {network.vpc_id} "
                f"{option} '{{\"Value\":true}}'`",
            )


def _resolver(network: AdoptedNetwork) -> Iterator[Finding]:
    """Only the VPC's own resolver knows the name of the cluster's private endpoint.

    Servers that forward to it know it as well, which nobody can see here: so this is a warning.
    https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
    """
    servers = network.dns_servers if network.ctx.config.create_eks_cluster else ()
    if servers and not any(server in AMAZON_DNS for server in servers):
        yield warn(
            f"DHCP options with DNS servers of its own: {', '.join(servers)}, in VPC "
            f"{network.vpc_id}",
            "EKS nodes resolve the cluster's private endpoint by AmazonProvidedDNS",
            "let these servers forward to the VPC's resolver, or run `aws ec2 create-dhcp-options "
            "--dhcp-configurations Key=domain-name-servers,Values=AmazonProvidedDNS` and "
            f"`aws ec2 associate-dhcp-options --vpc-id {network.vpc_id} --dhcp-options-id DOPT`",
        )


def _internet(network: AdoptedNetwork) -> Iterator[Finding]:
    """Without an attached gateway the routes to it are blackholes: that is said once."""
    public = [name for name in PUBLIC if name in network.subnets]
    named = sorted({target_of(default_route(network.table(name))) for name in public})
    unattached = [gateway for gateway in named if gateway not in network.gateways]
    for gateway in unattached:
        attached = ", ".join(network.gateways)
        tables = sorted({network.table(n)["RouteTableId"] for n in public})
        replace = " and ".join(replace_route(table, "--gateway-id", attached) for table in tables)
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


def _zones(network: AdoptedNetwork) -> Iterator[Finding]:
    """Subnets that subnet_ids names may be where EKS creates nothing."""
    if not network.ctx.config.create_eks_cluster:
        return
    for subnet in network.subnets.values():
        if why := unfit_for_eks(subnet):
            yield refuse(
                f"the subnet {subnet['SubnetId']} is in {subnet['AvailabilityZone']}",
                f"EKS does not support {why}",
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


def _addresses(planned: PlannedResources, network: AdoptedNetwork) -> Iterator[Finding]:
    vpc_id = network.vpc_id
    fix = (
        f"add a range with `aws ec2 associate-vpc-cidr-block --vpc-id {vpc_id} --cidr-block RANGE` "
        f"and a larger subnet with `aws ec2 create-subnet --vpc-id {vpc_id} --cidr-block RANGE "
        "--availability-zone ZONE`, and name it in subnet_ids"
    )
    rooms = {name: Room.of(name, subnet) for name, subnet in network.subnets.items()}
    return subnet_addresses.findings(planned, rooms, fix=lambda _: fix)


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
            # Auto-scaling groups have machines in both; the others are in the first.
            peers = [cidrs[other] for other in PUBLIC if other in cidrs and other != name]
            for flow in network_acls.peer_flows(peers if config.create_autoscaling_groups else []):
                yield network.subnets[name]["SubnetId"], flow
    for name in nodes:
        vms = [cidrs[other] for other in PUBLIC if other in cidrs and other != name]
        others = [cidr for other, cidr in cidrs.items() if other != name]
        for flow in network_acls.node_flows(vms, others):
            yield network.subnets[name]["SubnetId"], flow
