"""Network ACLs: numbered entries, evaluated in their order, for each direction.

https://docs.aws.amazon.com/vpc/latest/userguide/nacl-basics.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

EPHEMERAL_PORTS = (1024, 65535)
"""Ports to which answers go; NAT gateways and load balancers use all of them.

https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
"""

ALL = "-1"
"""The protocol of a rule for all traffic."""

ALL_PORTS = (0, 65535)


@dataclass(frozen=True)
class AclEntry:
    """An entry of a network ACL for one direction; entries apply in the order of `number`."""

    number: int
    allows: bool
    outbound: bool
    protocol: str = ALL
    cidr: str = "0.0.0.0/0"
    first: int = 0
    last: int = 65535


DEFAULT_ENTRY = 32767
"""Number of the entry shown as `*`, which denies what no other entry matches."""

ALLOW_ALL = (AclEntry(100, True, False), AclEntry(100, True, True))
"""The entries of a VPC's default network ACL."""


def denying_rule(
    entries: Iterable[AclEntry],
    *,
    protocol: str,
    ports: tuple[int, int],
    address: str,
    outbound: bool,
) -> str:
    """Return the number of the first entry that denies one of the ports, `*` for the last one.

    Returns:
        "" when all the ports are allowed.
    """
    open_ranges = [ports]
    for entry in sorted(entries, key=lambda entry: entry.number):
        if entry.outbound != outbound or entry.protocol not in (ALL, protocol):
            continue
        if not contains(entry.cidr, address):
            continue
        covered = ALL_PORTS if entry.protocol == ALL else (entry.first, entry.last)
        if not entry.allows and any(_overlap(item, covered) for item in open_ranges):
            return "*" if entry.number == DEFAULT_ENTRY else str(entry.number)
        open_ranges = list(_subtract(open_ranges, covered))
        if not open_ranges:
            return ""
    return "*"


def _subtract(
    ranges: Iterable[tuple[int, int]], covered: tuple[int, int]
) -> Iterable[tuple[int, int]]:
    for first, last in ranges:
        for part in ((first, min(last, covered[0] - 1)), (max(first, covered[1] + 1), last)):
            if part[0] <= part[1]:
                yield part


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


@functools.lru_cache(4096)
def contains(cidr: str, address: str) -> bool:
    """Return whether an IPv4 range contains an address."""
    return ip_address(address) in ip_network(cidr, strict=False)
