"""The VPC's default security group: closed, because nothing uses it.

What is launched without a group gets this one, whose first rules allow all traffic among its
members and everywhere.
https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.cluster_kinds import MANAGED_GROUPS
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code
from aws_setup.engine.step import Drift
from aws_setup.engine.wording import count_of

DIRECTIONS = (
    ("IpPermissions", "revoke_security_group_ingress"),
    ("IpPermissionsEgress", "revoke_security_group_egress"),
)


def open_group_drift(ctx: Context, vpc_id: str) -> list[Drift]:
    """Return the drift of a default group that has rules."""
    group = default_group(ctx, vpc_id)
    rules = sum(len(group[key]) for key, _ in DIRECTIONS) if group else 0
    return (
        [Drift("default security group", f"open ({count_of(rules, 'rule')})", "closed")]
        if rules
        else []
    )


def default_group(ctx: Context, vpc_id: str, *, fresh: bool = False) -> Item | None:
    """Return the default group of a VPC; None while AWS does not list it yet."""
    listed = ctx.inventory.all(MANAGED_GROUPS, fresh=fresh)
    named = (group for group in listed if group["GroupName"] == "default")
    return next((group for group in named if group.get("VpcId") == vpc_id), None)


def close_default_group(ctx: Context, vpc_id: str) -> None:
    """Revoke every rule of a VPC's default group; a copy is kept of rules that are not AWS's first.

    A group that is not visible yet is closed by the next run, which reports it as drift.
    """
    group = default_group(ctx, vpc_id, fresh=True)
    if group is None:
        return
    if any(not _is_first_rule(group, rule) for key, _ in DIRECTIONS for rule in group[key]):
        ctx.keep("default security group", group)
    for key, operation in DIRECTIONS:
        if group[key]:
            revoke: Any = getattr(ctx.aws.ec2, operation)
            try:
                revoke(GroupId=group["GroupId"], IpPermissions=group[key])
            except ClientError as error:
                if error_code(error) != "InvalidPermission.NotFound":
                    raise


def _is_first_rule(group: Item, rule: Item) -> bool:
    """Say whether AWS made a rule with the VPC: all traffic among members, or to everywhere."""
    members = [pair.get("GroupId") for pair in rule.get("UserIdGroupPairs", [])]
    ranges = [item["CidrIp"] for item in rule.get("IpRanges", [])]
    ranges += [item["CidrIpv6"] for item in rule.get("Ipv6Ranges", [])]
    first = members == [group["GroupId"]] and not ranges
    first = first or (not members and bool(ranges) and {*ranges} <= {"0.0.0.0/0", "::/0"})
    return first and rule["IpProtocol"] == "-1" and not rule.get("PrefixListIds")
