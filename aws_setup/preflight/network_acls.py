"""Network ACLs of an adopted VPC: which traffic that is needed they deny, and the commands.

ACLs are stateless: answers need an entry as well. They do not filter traffic within a subnet, nor
to the VPC's DNS resolver. https://docs.aws.amazon.com/vpc/latest/userguide/nacl-basics.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from ipaddress import ip_network

from aws_setup.aws.inventory import Item
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.ingress_rules import RULES, SSH, Ports, Source, without
from aws_setup.infrastructure.subnet_routes import EVERYWHERE
from aws_setup.preflight.results import Finding, refuse

ANSWERS = Ports("tcp", 32768, 65535)
"""Ports to which answers go: the ephemeral ports of Linux (32768-60999), macOS and Windows.

https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
"""

HTTPS = Ports("tcp", 443, 443)
KUBELET = Ports("tcp", 10250, 10250)
"""The EKS control plane calls its nodes at 443 and 10250, and they call it at 443.

https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html
"""

HOPSFS = Ports("tcp", 9000, 9000)
"""HopsFS's NameNodes, which are VMs."""

PROTOCOLS = {"6": "tcp", "17": "udp"}
LAST_ENTRY = 32767
"""Number of the entry shown as `*`, which denies what no other entry matches."""


@dataclass(frozen=True, order=True)
class Flow:
    """Traffic that a subnet needs: its direction, its ports, and the addresses at the other end."""

    outbound: bool
    ports: tuple[str, int, int]
    cidr: str

    def __str__(self) -> str:
        protocol, first, last = self.ports
        span = str(first) if first == last else f"{first}-{last}"
        return f"{protocol} {span} {'to' if self.outbound else 'from'} {self.cidr}"


def vm_flows(node_ranges: Iterable[str], *, operators: Iterable[str]) -> Iterator[Flow]:
    """Yield what the subnet of the VMs needs: SSH, and the traffic of the nodes' pods.

    `operators` are the address ranges of who runs this; SSH over IPv6 is not checked.
    """
    for operator in operators:
        if ":" not in operator:
            yield _flow(SSH, operator)
            yield _flow(ANSWERS, operator, outbound=True)
    for cidr in node_ranges:
        for rule in RULES:
            if rule.source is Source.NODES:
                yield _flow(rule.ports, cidr)
        yield _flow(ANSWERS, cidr, outbound=True)


def peer_flows(ranges: Iterable[str]) -> Iterator[Flow]:
    """Yield what VMs need of VMs in other subnets, whose ranges are given: all are servers."""
    servers = [rule.ports for rule in RULES if rule.source is Source.NODES]
    for cidr in ranges:
        for ports in (HOPSFS, *(ports for ports in servers if ports.protocol == "tcp"), ANSWERS):
            yield _flow(ports, cidr)
            yield _flow(ports, cidr, outbound=True)


def node_flows(vm_ranges: Iterable[str], cluster_ranges: Iterable[str]) -> Iterator[Flow]:
    """Yield what a subnet of nodes needs: images from the internet, VMs, the cluster's interfaces.

    Args:
        vm_ranges: the ranges of the VMs' subnets.
        cluster_ranges: the ranges of all other subnets with an interface of the cluster.
    """
    yield _flow(HTTPS, EVERYWHERE, outbound=True)
    yield _flow(ANSWERS, EVERYWHERE)
    for cidr in vm_ranges:
        for rule in RULES:
            if rule.source is Source.NODES:
                yield _flow(rule.ports, cidr, outbound=True)
    for cidr in cluster_ranges:
        yield _flow(HTTPS, cidr)
        yield _flow(KUBELET, cidr)
        yield _flow(ANSWERS, cidr, outbound=True)


def acl_of(subnet_id: str, acls: Sequence[Item]) -> Item:
    """Return the ACL that a subnet is associated with; {} where it is not listed."""
    for acl in acls:
        if any(item.get("SubnetId") == subnet_id for item in acl.get("Associations", [])):
            return acl
    return {}


def findings(needed: Iterable[tuple[str, Flow]], acls: Sequence[Item]) -> Iterator[Finding]:
    """Yield one finding for each ACL that denies traffic; `needed` are subnets with their flows."""
    denied: dict[str, dict[Flow, int]] = {}
    by_id = {}
    for subnet_id, flow in needed:
        acl = acl_of(subnet_id, acls)
        number = denying_entry(acl.get("Entries", []), flow) if acl else 0
        if number:
            by_id[acl["NetworkAclId"]] = acl
            denied.setdefault(acl["NetworkAclId"], {})[flow] = number
    for acl_id, flows in sorted(denied.items()):
        listed = sorted(flows)
        subnets = ", ".join(sorted(item["SubnetId"] for item in by_id[acl_id]["Associations"]))
        commands = _commands(acl_id, by_id[acl_id]["Entries"], flows)
        yield refuse(
            f"the network ACL {acl_id} of {subnets} denies traffic that is needed",
            "; ".join(map(str, listed)),
            "run " + " and ".join(f"`{command}`" for command in commands),
        )


def denying_entry(entries: Sequence[Item], flow: Flow) -> int:
    """Return the number of the first entry that denies some of a flow, 0 where all is allowed.

    An entry that allows a part of the addresses only does not count, and one that denies a part
    does.
    """
    protocol, first, last = flow.ports
    left = [(first, last)]
    for entry in sorted(entries, key=lambda item: int(item["RuleNumber"])):
        ports = _ports(entry)
        if bool(entry["Egress"]) != flow.outbound or ports.protocol not in ("-1", protocol):
            continue
        cidr = entry.get("CidrBlock")
        if not cidr:
            continue
        allows = entry["RuleAction"] == "allow"
        if not (_covers(cidr, flow.cidr) if allows else _overlaps(cidr, flow.cidr)):
            continue
        rest = list(without(left, ports.first, ports.last))
        if not allows and rest != left:
            return int(entry["RuleNumber"])
        left = rest if allows else left
        if not left:
            return 0
    return LAST_ENTRY


def _commands(acl_id: str, entries: Sequence[Item], flows: dict[Flow, int]) -> Iterator[str]:
    """Yield commands that allow each flow, with numbers that are free and before what denies it.

    Where too few numbers are free there, as before entry 1, the denying entry first gets a higher
    number, up to that of the next entry: it still denies what it denied. Without room there it is
    said which entries need other numbers.
    """
    used = {
        way: {int(entry["RuleNumber"]) for entry in entries if bool(entry["Egress"]) is way}
        for way in (False, True)
    }
    for outbound, denying in sorted({(flow.outbound, number) for flow, number in flows.items()}):
        group = (outbound, denying)
        wanted = [flow for flow, n in sorted(flows.items()) if (flow.outbound, n) == group]
        numbers = used[outbound]
        free = _free(numbers, before=denying)
        if len(free) < len(wanted) and denying < LAST_ENTRY:
            others = numbers - {denying}
            last = min((n for n in others if n > denying), default=LAST_ENTRY) - 1
            if len(_free(others, before=last)) >= len(wanted) and last > denying:
                yield from _moved(acl_id, _entry(entries, denying, outbound=outbound), last)
                numbers ^= {denying, last}
                free = _free(numbers, before=last)
        if len(free) < len(wanted):
            yield _renumber(acl_id, denying, wanted)
            continue
        for flow, number in zip(wanted, free, strict=False):
            protocol, first, last = flow.ports
            ports = f"From={first},To={last}"
            numbers.add(number)
            yield _create(acl_id, number, protocol, ports, flow.cidr, outbound=outbound)


def _free(used: Set[int], *, before: int) -> list[int]:
    """Return the numbers that no entry has and that come before one, the highest first."""
    return [number for number in range(before - 1, 0, -1) if number not in used]


def _entry(entries: Sequence[Item], number: int, *, outbound: bool) -> Item:
    wanted = (number, outbound)
    return next(e for e in entries if (int(e["RuleNumber"]), bool(e["Egress"])) == wanted)


def _renumber(acl_id: str, denying: int, flows: Sequence[Flow]) -> str:
    """Return what to do where no entry fits before the denying one."""
    way = "egress" if flows[0].outbound else "ingress"
    return (
        f"aws ec2 describe-network-acls --network-acl-ids {acl_id}` and, by what it shows, `aws "
        f"ec2 replace-network-acl-entry` until {count_of(len(flows), 'number')} before {way} entry "
        f"{denying} can be used for entries that allow this traffic, then `aws ec2 "
        "create-network-acl-entry"
    )


def _moved(acl_id: str, entry: Item, number: int) -> Iterator[str]:
    """Yield the commands that give a denying entry another number: first the new one, then gone."""
    outbound, span = bool(entry["Egress"]), entry.get("PortRange")
    ports = f"From={span['From']},To={span['To']}" if span else ""
    protocol = str(entry["Protocol"])
    yield _create(
        acl_id, number, protocol, ports, entry["CidrBlock"], outbound=outbound, action="deny"
    )
    yield (
        f"aws ec2 delete-network-acl-entry --network-acl-id {acl_id} "
        f"--rule-number {entry['RuleNumber']} --{'egress' if outbound else 'ingress'}"
    )


def _create(
    acl_id: str,
    number: int,
    protocol: str,
    ports: str,
    cidr: str,
    *,
    outbound: bool,
    action: str = "allow",
) -> str:
    return (
        f"aws ec2 create-network-acl-entry --network-acl-id {acl_id} --rule-number {number} "
        f"--protocol {protocol} {f'--port-range {ports} ' if ports else ''}--cidr-block {cidr} "
        f"--rule-action {action} --{'egress' if outbound else 'ingress'}"
    )


def _flow(ports: Ports, cidr: str, *, outbound: bool = False) -> Flow:
    return Flow(outbound, (ports.protocol, ports.first, ports.last), cidr)


def _ports(entry: Item) -> Ports:
    protocol = str(entry["Protocol"])
    span = entry.get("PortRange") or {}
    return Ports(PROTOCOLS.get(protocol, protocol), span.get("From", 0), span.get("To", 65535))


def _covers(cidr: str, other: str) -> bool:
    outer, inner = ip_network(cidr, strict=False), ip_network(other, strict=False)
    return outer[0] <= inner[0] and inner[-1] <= outer[-1]  # type: ignore[operator]  # both IPv4


def _overlaps(cidr: str, other: str) -> bool:
    return ip_network(cidr, strict=False).overlaps(ip_network(other, strict=False))
