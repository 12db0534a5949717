"""Decides whether a connection is possible: security groups, network ACLs, routes, addresses.

The rules as plain data, without moto; `reachability` reads them from the emulated cloud.

- Security groups: https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html;
  stateful: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
- Routes: https://docs.aws.amazon.com/vpc/latest/userguide/route-tables-priority.html
- Internet: https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html,
  https://docs.aws.amazon.com/vpc/latest/userguide/vpc-nat-gateway.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import pairwise

from aws_setup.rehearsal.aws.ec2.network_acls import (
    ALL,
    ALLOW_ALL,
    EPHEMERAL_PORTS,
    AclEntry,
    contains,
    denying_rule,
)


@dataclass(frozen=True)
class Verdict:
    """Whether a connection is possible; `reason` is one line that names the deciding rule."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class Traffic:
    """The protocol (tcp, udp) and the port of a connection's target."""

    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.port}"


SSH = Traffic("tcp", 22)


@dataclass(frozen=True)
class SecurityRule:
    """A rule of a security group: ports, and an IPv4 range or the id of another group."""

    protocol: str
    first: int = 0
    last: int = 65535
    cidr: str = ""
    group: str = ""

    def covers(self, traffic: Traffic) -> bool:
        """Return whether protocol and port match."""
        if self.protocol == ALL:
            return True
        return self.protocol == traffic.protocol and self.first <= traffic.port <= self.last


@dataclass(frozen=True)
class SecurityGroup:
    """A security group; a rule that names the group itself has its id."""

    id: str
    name: str
    inbound: tuple[SecurityRule, ...] = ()
    outbound: tuple[SecurityRule, ...] = (SecurityRule(ALL, cidr="0.0.0.0/0"),)

    def __str__(self) -> str:
        return f"{self.id} ({self.name})"


@dataclass(frozen=True)
class Route:
    """A route: an IPv4 range and its target (local, igw-…, nat-…).

    `source` is the public address that a NAT gateway gives to connections; `active` is False for
    a blackhole.
    """

    cidr: str
    target: str
    source: str = ""
    active: bool = True


@dataclass(frozen=True)
class Subnet:
    """A subnet with its route table and network ACL."""

    id: str
    vpc: str
    table: str = "rtb-main"
    routes: tuple[Route, ...] = ()
    acl: str = "acl-default"
    entries: tuple[AclEntry, ...] = ALLOW_ALL

    def route_to(self, address: str) -> Route | None:
        """Return the most specific route to an address; None when no route matches."""
        found = [route for route in self.routes if contains(route.cidr, address)]
        return max(found, key=lambda route: ip_network(route.cidr).prefixlen, default=None)


@dataclass(frozen=True)
class Interface:
    """A network interface in a VPC; `silent` is the reason why its machine answers nothing."""

    name: str
    subnet: Subnet
    private_ip: str
    public_ip: str = ""
    groups: tuple[SecurityGroup, ...] = ()
    silent: str = ""


@dataclass(frozen=True)
class InternetHost:
    """A computer on the internet."""

    name: str
    address: str


@dataclass(frozen=True)
class _Peer:
    """The other end as a rule sees it: its address, and its groups if they can match."""

    address: str
    groups: tuple[SecurityGroup, ...] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.groups)) or self.address


def decide(
    source: Interface | InternetHost,
    target: Interface | InternetHost,
    traffic: Traffic,
    *,
    public: bool = False,
) -> Verdict:
    """Return whether a connection from `source` to a port of `target` is possible.

    Args:
        source: the side that opens the connection.
        target: the side that accepts it.
        traffic: protocol and port.
        public: the connection goes to the target's public address, also inside a VPC.
    """
    for end in (source, target):
        if isinstance(end, Interface) and end.silent:
            return Verdict(False, end.silent)
    if isinstance(source, Interface) and isinstance(target, Interface) and not public:
        return _inside(source, target, traffic)
    if isinstance(target, Interface) and not target.public_ip:
        return Verdict(False, f"{target.name} has no public address")
    address = target.address if isinstance(target, InternetHost) else target.public_ip
    sent = Verdict(True, "")
    source_address = source.address if isinstance(source, InternetHost) else source.public_ip
    if isinstance(source, Interface):
        sent, source_address = _leaves(source, address, traffic)
    if not sent or isinstance(target, InternetHost):
        return sent
    return _arrives(target, source_address, traffic)


def open_ports(source: Interface, target: Interface) -> tuple[tuple[int, int], ...]:
    """Return the ranges of TCP ports at which `target` accepts connections from `source`."""
    rules = [rule for group in target.groups for rule in group.inbound]
    rules += [rule for group in source.groups for rule in group.outbound]
    entries = (*source.subnet.entries, *target.subnet.entries)
    edges = {0, 65536}
    edges |= {edge for rule in rules for edge in (rule.first, rule.last + 1)}
    edges |= {edge for entry in entries for edge in (entry.first, entry.last + 1)}
    found: list[tuple[int, int]] = []
    for first, after in pairwise(sorted(edges)):
        if not decide(source, target, Traffic("tcp", first)):
            continue
        joins = bool(found) and found[-1][1] == first - 1
        start = found.pop()[0] if joins else first
        found.append((start, after - 1))
    return tuple(found)


def _inside(source: Interface, target: Interface, traffic: Traffic) -> Verdict:
    """Decide about private addresses: one VPC, groups, and network ACLs between subnets."""
    if source.subnet.vpc != target.subnet.vpc:
        reason = f"{source.subnet.vpc} has no route to {target.private_ip} in {target.subnet.vpc}"
        return Verdict(False, reason)
    if source.private_ip == target.private_ip:
        return Verdict(True, f"{source.name} connects to itself")
    peer = _Peer(source.private_ip, source.groups)
    checks = [
        _outbound(source, _Peer(target.private_ip, target.groups), traffic),
        *_acls_inside(source, target, traffic),
        inbound := _inbound(target, peer, traffic),
    ]
    return _first_refusal(checks, otherwise=inbound)


def _acls_inside(source: Interface, target: Interface, traffic: Traffic) -> list[Verdict]:
    """Check both network ACLs, request and answer; none applies within one subnet."""
    if source.subnet.id == target.subnet.id:
        return []
    ports, sender, receiver = _request(traffic), source.private_ip, target.private_ip
    return [
        _acl(source.subnet, traffic.protocol, ports, receiver, outbound=True),
        _acl(target.subnet, traffic.protocol, ports, sender, outbound=False),
        _acl(target.subnet, traffic.protocol, EPHEMERAL_PORTS, sender, outbound=True),
        _acl(source.subnet, traffic.protocol, EPHEMERAL_PORTS, receiver, outbound=False),
    ]


def _leaves(source: Interface, address: str, traffic: Traffic) -> tuple[Verdict, str]:
    """Decide whether a connection leaves a VPC for the internet; returns its source address too."""
    subnet, protocol = source.subnet, traffic.protocol
    route = subnet.route_to(address)
    problem = _route_problem(subnet, address, route)
    if route is not None and not problem:
        if route.target.startswith("igw-") and not source.public_ip:
            problem = f"{source.name} has no public address for {route.target} ({subnet.table})"
        elif not route.target.startswith(("igw-", "nat-")):
            problem = f"{subnet.table} routes {address} to {route.target}, not to the internet"
    checks = [
        _outbound(source, _Peer(address), traffic),
        _acl(subnet, protocol, _request(traffic), address, outbound=True),
        _acl(subnet, protocol, EPHEMERAL_PORTS, address, outbound=False),
        Verdict(not problem, problem or f"{subnet.table} has a route to {address}"),
    ]
    sender = source.public_ip
    if route is not None and route.target.startswith("nat-"):
        sender = route.source
    return _first_refusal(checks, otherwise=checks[-1]), sender


def _arrives(target: Interface, address: str, traffic: Traffic) -> Verdict:
    """Decide whether a connection from the internet reaches a public address of a VPC."""
    subnet, protocol = target.subnet, traffic.protocol
    route = subnet.route_to(address)
    problem = _route_problem(subnet, address, route)
    if route is not None and not problem and not route.target.startswith("igw-"):
        problem = (
            f"{subnet.table} of {subnet.id} routes {address} to {route.target}, not to an "
            "internet gateway"
        )
    checks = [
        Verdict(not problem, problem),
        _acl(subnet, protocol, _request(traffic), address, outbound=False),
        _acl(subnet, protocol, EPHEMERAL_PORTS, address, outbound=True),
        inbound := _inbound(target, _Peer(address), traffic),
    ]
    return _first_refusal(checks, otherwise=inbound)


def _route_problem(subnet: Subnet, address: str, route: Route | None) -> str:
    if route is None:
        return f"{subnet.table} of {subnet.id} has no route to {address}"
    if not route.active:
        return f"{subnet.table} of {subnet.id} has a blackhole route to {address} ({route.target})"
    return ""


def _inbound(target: Interface, peer: _Peer, traffic: Traffic) -> Verdict:
    """Check the target's groups; one matching rule of any group is sufficient."""
    for group in target.groups:
        if any(_matches(rule, peer, traffic) for rule in group.inbound):
            return Verdict(True, f"{group} allows {traffic} from {peer}")
    return Verdict(False, f"{_named(target.groups)} no inbound rule for {traffic} from {peer}")


def _outbound(source: Interface, peer: _Peer, traffic: Traffic) -> Verdict:
    for group in source.groups:
        if any(_matches(rule, peer, traffic) for rule in group.outbound):
            return Verdict(True, f"{group} allows {traffic} to {peer}")
    return Verdict(False, f"{_named(source.groups)} no outbound rule for {traffic} to {peer}")


def _named(groups: Sequence[SecurityGroup]) -> str:
    names = " and ".join(map(str, groups)) or "no security group"
    return f"{names} {'have' if len(groups) > 1 else 'has'}"


def _matches(rule: SecurityRule, peer: _Peer, traffic: Traffic) -> bool:
    """Compare a rule with the other end: a group matches by private addresses only."""
    if not rule.covers(traffic):
        return False
    if rule.group:
        return any(group.id == rule.group for group in peer.groups)
    return bool(rule.cidr) and contains(rule.cidr, peer.address)


def _request(traffic: Traffic) -> tuple[int, int]:
    return traffic.port, traffic.port


def _acl(
    subnet: Subnet, protocol: str, ports: tuple[int, int], address: str, *, outbound: bool
) -> Verdict:
    """Check the network ACL of a subnet; every port of the range must be allowed."""
    way = f"{'outbound' if outbound else 'inbound'} {protocol} {_range(ports)} "
    way += f"{'to' if outbound else 'from'} {address}"
    number = denying_rule(
        subnet.entries, protocol=protocol, ports=ports, address=address, outbound=outbound
    )
    if number:
        return Verdict(False, f"{subnet.acl} of {subnet.id}, rule {number}, denies {way}")
    return Verdict(True, f"{subnet.acl} allows {way}")


def _range(ports: tuple[int, int]) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


def _first_refusal(checks: Iterable[Verdict], *, otherwise: Verdict) -> Verdict:
    return next((verdict for verdict in checks if not verdict), otherwise)
