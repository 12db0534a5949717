"""Who may connect from outside: the operator's present address, those listed, and those kept."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of

KEPT_TAG = "lambda-fs:kept-addresses"
"""Tag of the security group: the address ranges that `allow-my-ip --keep` has kept, so that the
next `create`, on whatever computer, does not take them out."""

LONGEST_TAG = 256
"""Characters of a tag's value. https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html"""


def allowed_cidrs(ctx: Context) -> tuple[str, ...]:
    """Return the ranges that may use SSH, the EKS endpoint and OpenWhisk, IPv4 and IPv6.

    They are none while the operator's own is not known, so that a look-up that has failed shuts
    no operator out.
    """
    present = ctx.defaults.operator_cidrs
    if not present:
        return ()
    kept = ctx.defaults.kept_cidrs
    return tuple(dict.fromkeys([*present, *(kept_cidrs(ctx) if kept is None else kept)]))


def kept_cidrs(ctx: Context) -> tuple[str, ...]:
    """Return the ranges that the security group's tag names; what is no range is passed over."""
    groups = ctx.inventory.of_step("security groups", "security group")
    return parse_kept(groups[0]) if groups else ()


def parse_kept(group: Item) -> tuple[str, ...]:
    """Return the ranges in the tag of a security group."""
    return tuple(word for word in tag_of(group, KEPT_TAG).split() if _is_range(word))


def _is_range(word: str) -> bool:
    try:
        return ip_network(word).prefixlen > 0
    except ValueError:
        return False


def covers(ranges: Iterable[str], cidr: str) -> bool:
    """Return whether all addresses of a range are in one of several ranges."""
    inner = ip_network(cidr)
    return any(
        outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
        for outer in map(ip_network, ranges)
    )
