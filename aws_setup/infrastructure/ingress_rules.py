"""The ingress rules of the security group of all VMs, as a table, and how permissions compare.

Who talks to whom is read in λFS's sources: NameNodes, which are pods on the nodes of the EKS
cluster, connect to NDB, mysqld, ZooKeeper, and back to the client that called them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_network
from typing import Any

from aws_setup.aws.inventory import Item
from aws_setup.engine.step import Drift

EVERYWHERE = "0.0.0.0/0"


class Source(StrEnum):
    """Who may send traffic. A run resolves each to an address range or a security group's id."""

    OPERATOR = "operator"
    SELF = "self"
    NODES = "nodes"


GROUP_SOURCES = frozenset({Source.SELF, Source.NODES})
"""Sources that are security groups; the others are address ranges."""

Targets = Mapping[Source, str]
"""Source -> group id, or address ranges as `joined` writes them, as far as this run knows them."""


def joined(ranges: Iterable[str]) -> str:
    """Return address ranges as one target."""
    return ", ".join(sorted(ranges))


def parts(target: str) -> list[str]:
    """Return the address ranges of a target, or its one group id."""
    return target.split(", ")


@dataclass(frozen=True)
class Ports:
    """A protocol as EC2 names it, and a range of ports."""

    protocol: str
    first: int = 0
    last: int = 65535

    def covers(self, other: Ports) -> bool:
        """Return whether all traffic of `other` is also traffic of this."""
        if self.protocol == "-1":
            return True
        inside = self.first <= other.first and other.last <= self.last
        return self.protocol == other.protocol and inside


ALL_TRAFFIC = Ports("-1")
SSH = Ports("tcp", 22, 22)
NDB_MANAGEMENT = Ports("tcp", 1186, 1186)
NDB_DATA_NODES = Ports("tcp", 11860, 11860)
"""`ServerPort` of every data node: below Linux's ephemeral ports (32768-60999), and unassigned."""
MYSQLD = Ports("tcp", 3306, 3306)
ZOOKEEPER = Ports("tcp", 2181, 2181)
CLIENT_TCP = Ports("tcp", 6000, 6999)
CLIENT_UDP = Ports("udp", 7000, 7999)
"""A client process opens a TCP and a UDP server for each group of its clients, at the next free
ports from `serverless.tcp.port` and `serverless.udp.port` on (6000 and 7000 by default)."""


@dataclass(frozen=True)
class IngressRule:
    """Traffic that the group allows.

    `exclusive`: permissions for exactly these ports and another address range are revoked, such as
    that of an operator whose address has changed. Permissions for more ports are the user's: they
    are sufficient where they cover the rule, and never revoked.
    """

    title: str
    ports: Ports
    source: Source
    description: str = ""
    exclusive: bool = False


RULES = (
    IngressRule("traffic within the group", ALL_TRAFFIC, Source.SELF),
    IngressRule("SSH", SSH, Source.OPERATOR, description="SSH of the operator", exclusive=True),
    IngressRule(
        "NDB management server",
        NDB_MANAGEMENT,
        Source.NODES,
        description="NameNodes to the NDB management server",
    ),
    IngressRule(
        "NDB data nodes",
        NDB_DATA_NODES,
        Source.NODES,
        description="NameNodes to the NDB data nodes",
    ),
    IngressRule("mysqld", MYSQLD, Source.NODES, description="NameNodes to mysqld"),
    IngressRule("ZooKeeper", ZOOKEEPER, Source.NODES, description="NameNodes to ZooKeeper"),
    IngressRule(
        "TCP servers of the clients",
        CLIENT_TCP,
        Source.NODES,
        description="NameNodes to the TCP servers of the clients",
    ),
    IngressRule(
        "UDP servers of the clients",
        CLIENT_UDP,
        Source.NODES,
        description="NameNodes to the UDP servers of the clients",
    ),
)
"""The rules of the group, in the order in which they are authorized. The traffic of ZooKeeper, NDB,
HopsFS's NameNodes (9000) and the benchmark's followers among themselves is within the group."""


def missing_rules(group: Item, targets: Targets, *, unchanged: bool = False) -> list[IngressRule]:
    """Return the rules that no permission of the group covers, where their source is known.

    With `unchanged` no permission of the group is revoked: a wider address range is sufficient, and
    so is a prefix list, whose ranges are not known.
    """
    rules = [replace(rule, exclusive=False) if unchanged else rule for rule in RULES]
    return [
        rule
        for rule in rules
        if rule.source in targets
        and not all(
            _is_allowed(rule, group, target, prefix_lists=unchanged)
            for target in parts(targets[rule.source])
        )
    ]


def allows(group: Item, ports: Ports, target: str) -> bool:
    """Return whether permissions of the group cover traffic from another group or a range."""
    return _is_allowed(IngressRule("", ports, Source.NODES), group, target)


def surplus_ranges(rule: IngressRule, group: Item, targets: Targets) -> list[str]:
    """Return the address ranges to revoke: those with a rule's exact ports that are not its own."""
    if not rule.exclusive or rule.source not in targets:
        return []
    return sorted(ranges_for(rule.ports, group) - {*parts(targets[rule.source])})


def rule_drift(group: Item, targets: Targets, rules: Sequence[IngressRule] = RULES) -> list[Drift]:
    """Return what the permissions of a group lack, and what they allow beyond some rules."""
    missing, drift = missing_rules(group, targets), []
    for rule in rules:
        if rule not in missing and not surplus_ranges(rule, group, targets):
            continue
        if rule.source in GROUP_SOURCES:
            drift.append(Drift(rule.title, "not allowed", "allowed"))
        else:
            has = ", ".join(sorted(ranges_for(rule.ports, group))) or "no address"
            drift.append(Drift(f"{rule.title} allowed from", has, targets[rule.source]))
    return drift


def permission(ports: Ports, target: str, description: str = "") -> dict[str, Any]:
    """Return the IpPermission for a security group's id or an address range, IPv4 or IPv6."""
    if target.startswith("sg-"):
        key, field = "UserIdGroupPairs", "GroupId"
    elif ":" in target:
        key, field = "Ipv6Ranges", "CidrIpv6"
    else:
        key, field = "IpRanges", "CidrIp"
    source = {field: target} | ({"Description": description} if description else {})
    if ports.protocol == "-1":
        return {"IpProtocol": "-1", key: [source]}
    return {
        "IpProtocol": ports.protocol,
        "FromPort": ports.first,
        "ToPort": ports.last,
        key: [source],
    }


def node_references(group: Item) -> list[tuple[IngressRule, str]]:
    """Return the permissions that a run has made for nodes, each a rule and the group it names.

    They are recognized by their ports and their description: DescribeSecurityGroups shows no tags
    of permissions. Those that a user made for the same ports are not among them.
    """
    return [
        (rule, pair["GroupId"])
        for rule in RULES
        if rule.source is Source.NODES
        for allowed in group["IpPermissions"]
        if _ports_of(allowed) == rule.ports
        for pair in allowed.get("UserIdGroupPairs", [])
        if pair.get("Description") == rule.description
    ]


def authorize_command(group_id: str, rules: Sequence[IngressRule], targets: Targets) -> str:
    """Return the aws command that adds rules to a group."""
    permissions = [
        permission(rule.ports, target, rule.description)
        for rule in rules
        for target in parts(targets[rule.source])
    ]
    return _authorize("ingress", group_id, permissions)


def authorize_egress_command(group_id: str, permissions: Sequence[dict[str, Any]]) -> str:
    """Return the aws command that lets traffic out of a group."""
    return _authorize("egress", group_id, permissions)


def _authorize(direction: str, group_id: str, permissions: Sequence[dict[str, Any]]) -> str:
    text = json.dumps(permissions, separators=(",", ":"))
    return (
        f"aws ec2 authorize-security-group-{direction} --group-id {group_id} "
        f"--ip-permissions '{text}'"
    )


def missing_egress(group: Item, ranges: Sequence[str] = ()) -> list[tuple[str, dict[str, Any]]]:
    """Return what an existing group does not let out: what it is called, and its permission.

    A new group of EC2 lets everything out; its owner may have revoked that. `ranges` are those of
    the VPC: traffic to all of them includes that to the group, as traffic to everywhere does.
    """
    outbound = {"IpPermissions": group.get("IpPermissionsEgress", [])}
    https = Ports("tcp", 443, 443)
    within = [[EVERYWHERE], [group["GroupId"]], *([ranges] if ranges else [])]
    needed = (
        ("outbound traffic within the group", ALL_TRAFFIC, group["GroupId"], within),
        ("outbound HTTPS", https, EVERYWHERE, [[EVERYWHERE]]),
    )
    return [
        (title, permission(ports, target))
        for title, ports, target, ways in needed
        if not any(
            all(_is_allowed(IngressRule(title, ports, Source.SELF), outbound, end) for end in way)
            for way in ways
        )
    ]


def leads_out(group: Item) -> bool:
    """Say whether a rule of a group lets anything out, to somebody else than its own members."""
    return any(
        _ranges_of(allowed)
        or allowed.get("PrefixListIds")
        or any(pair["GroupId"] != group["GroupId"] for pair in allowed.get("UserIdGroupPairs", []))
        for allowed in group.get("IpPermissionsEgress") or []
    )


def _is_allowed(rule: IngressRule, group: Item, target: str, *, prefix_lists: bool = False) -> bool:
    """Return whether permissions for a target cover a rule's ports, be it several together."""
    return _covered(
        rule.ports,
        [
            _ports_of(allowed)
            for allowed in group["IpPermissions"]
            if _is_for(rule, allowed, target, prefix_lists=prefix_lists)
        ],
    )


def _is_for(rule: IngressRule, allowed: Item, target: str, *, prefix_lists: bool) -> bool:
    """Return whether a permission is for a target, whatever its ports."""
    if target.startswith("sg-"):
        return any(pair["GroupId"] == target for pair in allowed.get("UserIdGroupPairs", []))
    if prefix_lists and allowed.get("PrefixListIds"):
        return True
    if rule.exclusive and _ports_of(allowed) == rule.ports:
        # A wider address range for exactly these ports is surplus, so it does not count.
        return target in _ranges_of(allowed)
    return any(_contains(cidr, target) for cidr in _ranges_of(allowed))


def _covered(ports: Ports, by: Sequence[Ports]) -> bool:
    """Return whether ports are all among others; all traffic is TCP and UDP at every port."""
    if any(other.covers(ports) for other in by):
        return True
    if ports.protocol == "-1":
        return all(_covered(Ports(protocol), by) for protocol in ("tcp", "udp"))
    left = [(ports.first, ports.last)]
    for other in by:
        if other.protocol == ports.protocol:
            left = list(without(left, other.first, other.last))
    return not left


def without(spans: Iterable[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield what remains of ranges of ports without one of them."""
    for begin, end in spans:
        for part in ((begin, min(end, first - 1)), (max(begin, last + 1), end)):
            if part[0] <= part[1]:
                yield part


def _ports_of(allowed: Item) -> Ports:
    protocol: str = allowed["IpProtocol"]
    protocol = {"6": "tcp", "17": "udp"}.get(protocol, protocol)
    if protocol == "-1":
        return ALL_TRAFFIC
    return Ports(protocol, allowed.get("FromPort", 0), allowed.get("ToPort", 65535))


def ranges_for(ports: Ports, group: Item) -> set[str]:
    """Return the address ranges of the permissions for exactly these ports."""
    exact = [allowed for allowed in group["IpPermissions"] if _ports_of(allowed) == ports]
    return {cidr for allowed in exact for cidr in _ranges_of(allowed)}


def _ranges_of(allowed: Item) -> list[str]:
    ipv4 = [source["CidrIp"] for source in allowed.get("IpRanges", [])]
    return ipv4 + [source["CidrIpv6"] for source in allowed.get("Ipv6Ranges", [])]


def _contains(cidr: str, other: str) -> bool:
    outer, inner = ip_network(cidr), ip_network(other)
    return (
        outer.version == inner.version
        and outer[0] <= inner[0]  # type: ignore[operator]  # of one version
        and inner[-1] <= outer[-1]  # type: ignore[operator]
    )
