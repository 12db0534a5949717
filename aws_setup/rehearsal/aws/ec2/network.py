"""The network of one region as plain data, and who reaches whom in it.

The ends of a connection are named as the rehearsal knows them: an instance, a Kubernetes node, a
load balancer, an address, the operator. `reachability` reads the network from the emulated cloud.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aws_setup.rehearsal.aws.ec2.packet_rules import (
    Interface,
    InternetHost,
    Traffic,
    Verdict,
    decide,
)


@dataclass(frozen=True)
class Instance:
    """The primary interface of an EC2 instance."""

    id: str


@dataclass(frozen=True)
class Node:
    """A Kubernetes node and each pod on it: the instance with this private DNS name."""

    name: str


@dataclass(frozen=True)
class LoadBalancer:
    """A Classic load balancer; as a target, the port is that of a listener."""

    name: str


@dataclass(frozen=True)
class IpAddress:
    """The interface that has a private or public IPv4 address."""

    address: str


@dataclass(frozen=True)
class Operator:
    """The operator's computer on the internet, with `Settings.operator_address`."""


End = Instance | Node | LoadBalancer | IpAddress | Operator


@dataclass(frozen=True)
class Balancer:
    """A load balancer: its interfaces, the ports of its listeners, and its scheme."""

    interfaces: tuple[Interface, ...]
    ports: frozenset[int]
    internal: bool


@dataclass(frozen=True)
class Network:
    """Everything in one region that decides about connections; equal if nothing changed."""

    instances: dict[str, Interface] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """Private DNS name -> instance id."""
    others: tuple[Interface, ...] = ()
    """Interfaces that belong to no instance."""
    balancers: dict[str, Balancer] = field(default_factory=dict)
    operator: str = ""

    def verdict(self, source: End, target: End, traffic: Traffic) -> Verdict:
        """Return whether `source` can open a connection to a port of `target`."""
        if isinstance(target, LoadBalancer):
            return self._to_balancer(source, target, traffic)
        senders = self._interfaces(source)
        receivers = self._interfaces(target, near=senders)
        for end, found in ((source, senders), (target, receivers)):
            if not found:
                return Verdict(False, f"nothing in the cloud is {_described(end)}")
        public = isinstance(target, IpAddress) and any(
            isinstance(item, Interface) and item.public_ip == target.address for item in receivers
        )
        return _all_allowed(
            decide(sender, receiver, traffic, public=public)
            for sender in senders
            for receiver in receivers
        )

    def _to_balancer(self, source: End, target: LoadBalancer, traffic: Traffic) -> Verdict:
        """Check the listener, then each interface: the DNS name resolves to any of them.

        The name of an internet-facing balancer resolves to public addresses, also in the VPC:
        https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-internet-facing-load-balancers.html
        """
        balancer, senders = self.balancers.get(target.name), self._interfaces(source)
        if balancer is None or not senders:
            missing = target if balancer is None else source
            return Verdict(False, f"nothing in the cloud is {_described(missing)}")
        if traffic.port not in balancer.ports:
            return Verdict(False, f"{_described(target)} has no listener on port {traffic.port}")
        if balancer.internal and isinstance(senders[0], InternetHost):
            reason = f"{_described(target)} is internal: it has no public address"
            return Verdict(False, reason)
        if not balancer.interfaces:
            return Verdict(False, f"{_described(target)} is in no subnet")
        return _all_allowed(
            decide(sender, receiver, traffic, public=not balancer.internal)
            for sender in senders
            for receiver in balancer.interfaces
        )

    def _interfaces(
        self, end: End, *, near: Iterable[Interface | InternetHost] = ()
    ) -> tuple[Interface | InternetHost, ...]:
        """Return the interfaces of an end; `near` are those whose VPC has precedence."""
        if isinstance(end, Operator):
            return (InternetHost("the operator", self.operator),)
        if isinstance(end, LoadBalancer):
            held = self.balancers.get(end.name)
            return held.interfaces if held else ()
        if isinstance(end, IpAddress):
            return self._with_address(end.address, near)
        instance_id = end.id if isinstance(end, Instance) else self.nodes.get(end.name, "")
        found = self.instances.get(instance_id)
        return (found,) if found else ()

    def _with_address(
        self, address: str, near: Iterable[Interface | InternetHost]
    ) -> tuple[Interface | InternetHost, ...]:
        vpcs = {item.subnet.vpc for item in near if isinstance(item, Interface)}
        found = [
            item
            for item in (*self.instances.values(), *self.others)
            if address in (item.private_ip, item.public_ip)
        ]
        found.sort(key=lambda item: item.subnet.vpc not in vpcs)
        return tuple(found[:1])


def _all_allowed(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the first refusal, else the first verdict."""
    found = list(verdicts)
    return next((verdict for verdict in found if not verdict), found[0])


def _described(end: End) -> str:
    match end:
        case Instance(id=instance_id):
            return f"instance {instance_id}"
        case Node(name=name):
            return f"node {name}"
        case LoadBalancer(name=name):
            return f"load balancer {name}"
        case IpAddress(address=address):
            return f"at the address {address}"
    return "the operator"
