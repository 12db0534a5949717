"""Who reaches whom in the emulated cloud: machines, nodes, load balancers, the operator.

`packet_rules` decides; this module reads the interfaces, groups, network ACLs and routes that
exist now. It makes no API call, so that the call log contains only those of the scripts.

- Nodes and pods: https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html; pods use
  the security groups of their node: https://docs.aws.amazon.com/eks/latest/best-practices/sgpp.html
- Load balancers: https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-security-groups.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from aws_setup.rehearsal.aws.ec2.network import (
    Balancer,
    End,
    Instance,
    IpAddress,
    LoadBalancer,
    Network,
    Node,
    Operator,
)
from aws_setup.rehearsal.aws.ec2.network_acls import AclEntry
from aws_setup.rehearsal.aws.ec2.packet_rules import (
    Interface,
    Route,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Traffic,
    Verdict,
)
from aws_setup.rehearsal.aws.elb import LoadBalancerInterfaces
from aws_setup.rehearsal.core.types import CloudApi

__all__ = [
    "End",
    "Instance",
    "IpAddress",
    "LoadBalancer",
    "Network",
    "Node",
    "Operator",
    "Verdict",
    "reaches",
    "read_network",
]


class LockedCloud(CloudApi, Protocol):
    """The cloud with its lock."""

    @property
    def lock(self) -> Any:
        """The lock under which everything in the cloud is read and changed."""


def reaches(
    cloud: LockedCloud,
    source: End,
    target: End,
    *,
    port: int,
    protocol: str = "tcp",
    region: str = "us-east-1",
) -> Verdict:
    """Return whether a connection is possible now; `reason` names the rule that decides.

    Whether a program listens on the port is not part of the answer.
    """
    with cloud.lock:
        cloud.clock.apply_due()
        network = read_network(cloud, region=region)
    return network.verdict(source, target, Traffic(protocol, port))


def read_network(cloud: CloudApi, *, region: str = "us-east-1") -> Network:
    """Read a region's network; called under the cloud's lock."""
    ec2 = cloud.backend("ec2", region)
    groups = {
        group.id: _group(group) for of_vpc in ec2.groups.values() for group in of_vpc.values()
    }
    subnets = {
        subnet.id: _subnet(ec2, subnet) for zone in ec2.subnets.values() for subnet in zone.values()
    }
    read = {
        eni.id: _interface(eni, subnets, groups)
        for eni in list(ec2.enis.values())
        if eni.subnet.id in subnets
    }
    instances, nodes = {}, {}
    for instance in ec2.all_instances():
        primary = instance.nics.get(0) or instance.nics.get("0")
        if instance.state == "terminated" or primary is None or primary.id not in read:
            continue
        instances[instance.id] = _of_instance(read.pop(primary.id), instance)
        nodes[instance.private_dns_name] = instance.id
    held = cloud.store_of(LoadBalancerInterfaces)
    balancers = {
        balancer.name: _balancer(balancer, [read.pop(i) for i in held.get((region, name), ())])
        for name, balancer in cloud.backend("elb", region).load_balancers.items()
    }
    others = tuple(read.values())
    return Network(instances, nodes, others, balancers, cloud.settings.operator_address)


def _of_instance(interface: Interface, instance: Any) -> Interface:
    """Name an interface after its instance, and note when the instance is not running."""
    named = next((tag["value"] for tag in instance.get_tags() if tag["key"] == "Name"), "")
    name = f"{named} ({instance.id})" if named else instance.id
    silent = "" if instance.state == "running" else f"{name} is {instance.state}"
    return Interface(
        name=name,
        subnet=interface.subnet,
        private_ip=interface.private_ip,
        public_ip=interface.public_ip,
        groups=interface.groups,
        silent=silent,
    )


def _interface(eni: Any, subnets: dict[str, Subnet], groups: dict[str, SecurityGroup]) -> Interface:
    return Interface(
        name=eni.description or eni.id,
        subnet=subnets[eni.subnet.id],
        private_ip=str(eni.private_ip_address),
        public_ip=eni.public_ip or "",
        groups=tuple(groups[group.id] for group in eni._group_set if group.id in groups),
    )


def _balancer(balancer: Any, interfaces: list[Interface]) -> Balancer:
    ports = frozenset(int(listener.load_balancer_port) for listener in balancer.listeners)
    return Balancer(tuple(interfaces), ports, balancer.scheme == "internal")


def _group(group: Any) -> SecurityGroup:
    return SecurityGroup(
        id=group.id,
        name=group.name,
        inbound=tuple(map(_rule, group.ingress_rules)),
        outbound=tuple(map(_rule, group.egress_rules)),
    )


def _rule(rule: Any) -> SecurityRule:
    everything = rule.ip_protocol == "-1" or rule.from_port in (None, -1)
    return SecurityRule(
        protocol=PROTOCOLS.get(rule.ip_protocol, rule.ip_protocol),
        first=0 if everything else rule.from_port,
        last=65535 if everything else rule.to_port,
        cidr=rule.ip_range.get("CidrIp", ""),
        group=rule.source_group.get("GroupId", ""),
    )


PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp"}
"""Protocol numbers, which network ACLs and security groups accept, and their names."""


def _subnet(ec2: Any, subnet: Any) -> Subnet:
    table, acl = _route_table(ec2, subnet), _network_acl(ec2, subnet)
    return Subnet(
        id=subnet.id,
        vpc=subnet.vpc_id,
        table=table.id if table else "no route table",
        routes=tuple(_routes(ec2, table)) if table else (),
        acl=acl.id if acl else "no network ACL",
        entries=tuple(_entry(e) for e in acl.network_acl_entries if e.cidr_block) if acl else (),
    )


def _route_table(ec2: Any, subnet: Any) -> Any:
    """Return the associated route table, else the main one of the VPC."""
    tables = [table for table in ec2.route_tables.values() if table.vpc_id == subnet.vpc_id]
    associated = [table for table in tables if subnet.id in table._associations.values()]
    return next(iter(associated or [t for t in tables if t.main_association_id]), None)


def _network_acl(ec2: Any, subnet: Any) -> Any:
    """Return the associated network ACL, else the default one of the VPC."""
    acls = [acl for acl in ec2.network_acls.values() if acl.vpc_id == subnet.vpc_id]
    associated = [
        acl
        for acl in acls
        if any(item.subnet_id == subnet.id for item in acl._associations.values())
    ]
    return next(iter(associated or [acl for acl in acls if acl.default]), None)


def _entry(entry: Any) -> AclEntry:
    protocol = str(entry.protocol)
    first = entry.port_range_from
    return AclEntry(
        number=int(entry.rule_number),
        allows=entry.rule_action == "allow",
        outbound=str(entry.egress).lower() == "true",
        protocol=PROTOCOLS.get(protocol, protocol),
        cidr=entry.cidr_block,
        first=0 if first is None else int(first),
        last=65535 if entry.port_range_to is None else int(entry.port_range_to),
    )


def _routes(ec2: Any, table: Any) -> Iterable[Route]:
    for route in table.routes:
        if not route.destination_cidr_block:
            continue
        if route.nat_gateway:
            yield _nat_route(ec2, route)
            continue
        target = route.gateway_id or "a target that the rehearsal does not emulate"
        gateway = ec2.internet_gateways.get(target)
        attached = gateway is not None and gateway.vpc is not None
        active = attached if target.startswith("igw-") else True
        yield Route(route.destination_cidr_block, target, active=active)


def _nat_route(ec2: Any, route: Any) -> Route:
    nat = ec2.nat_gateways.get(route.nat_gateway.id)
    active = nat is not None and nat.state == "available"
    addresses = [a.public_ip for a in ec2.addresses if nat is not None and a.eni is nat._eni]
    source = addresses[0] if addresses else ""
    return Route(
        route.destination_cidr_block, route.nat_gateway.id, source, active and bool(source)
    )
