"""Whether AWS takes all address ranges that are to be let in: said before anything is made.

A security group has 60 inbound rules, of IPv4 and of IPv6 each; a rule that names a group counts
for both: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.cleanup import EKS_CLUSTER
from aws_setup.infrastructure.cluster_drift import access_cidrs
from aws_setup.infrastructure.ingress_rules import (
    ALL_TRAFFIC,
    RULES,
    SSH,
    Source,
    allows,
    ranges_for,
)
from aws_setup.infrastructure.node_ingress import NAME as NODE_INGRESS
from aws_setup.infrastructure.operators import allowed_cidrs
from aws_setup.infrastructure.security_group import SecurityGroup, owned_group
from aws_setup.openwhisk.public_address import NAME as PUBLIC_ADDRESS
from aws_setup.openwhisk.public_address import ranges
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.quotas import account_limits
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

ENDPOINT_RANGES = 40
"""Ranges of a cluster's public endpoint; the quota cannot be raised.

https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html
"""

RULES_OF_GROUP = "L-0EA8095F"
"""Code of the quota of a security group's inbound rules, which can be raised."""

DEFAULT_RULES = 60
"""AWS's default of that quota."""

RULES_OF_RANGE = 2
"""Rules that Kubernetes makes for a range at a load balancer with one port: for it and for ICMP.

EnsureLoadBalancer in github.com/kubernetes/cloud-provider-aws (pkg/providers/v1/aws.go), "Allow
ICMP fragmentation packets, important for MTU discovery".
"""

KEYS = "operators and user_public_ip"
KEPT = "addresses that `allow-my-ip --keep` has kept count, too"


def check(planned: PlannedResources) -> CheckResult:
    """Check the places that a run of `create` makes or changes, and those that configure makes."""
    changed = planned.to_create | planned.to_update
    if EKS_CLUSTER in planned.to_create and not planned.config.openwhisk_internal:
        changed |= {PUBLIC_ADDRESS}
    return CheckResult.of(findings(planned.ctx, changed, created=planned.to_create))


def findings(
    ctx: Context, changed: Collection[str], *, created: Collection[str] = ()
) -> list[Finding]:
    """Return which places cannot take their ranges.

    Args:
        ctx: the run's context.
        changed: the names of the steps that are created or updated.
        created: the names of those that are created.
    """
    found = []
    if EKS_CLUSTER in changed:
        found += _of_endpoint(ctx)
    if SecurityGroup.name in changed or NODE_INGRESS in created:
        found += _of_machines(ctx, created)
    if PUBLIC_ADDRESS in changed:
        found += _of_load_balancer(ctx)
    return found


def _of_endpoint(ctx: Context) -> list[Finding]:
    listed = access_cidrs(ctx)
    if len(listed) <= ENDPOINT_RANGES:
        return []
    own = bool(ctx.config.eks_public_access_cidrs)
    wider = "fewer, wider ranges that include them"
    fewer = (
        f"list {wider} in eks_public_access_cidrs"
        if own
        else f"set eks_public_access_cidrs to {wider}, or shorten {KEYS}"
    )
    return [
        refuse(
            f"{len(listed)} address ranges are to reach the cluster's public endpoint",
            f"EKS takes {ENDPOINT_RANGES}" + ("" if own else f"; {KEPT}"),
            fewer,
        )
    ]


def _of_machines(ctx: Context, created: Collection[str]) -> list[Finding]:
    """Count what the group has and what it lacks: old ranges go after new ones have been added."""
    group = owned_group(ctx)
    if group is None and SecurityGroup.name not in created:
        return []  # an existing group, which is not changed
    sources = [*_sources(group or {}), *_missing(ctx, group or {})]
    if NODE_INGRESS in created:
        sources += [Source.NODES for rule in RULES if rule.source is Source.NODES]
    needed = max(_of_family(sources, other) for other in ":.")
    what = f"the security group of the machines needs {count_of(needed, 'inbound rule')}"
    why = f"each range that SSH is allowed from is a rule; {KEPT}"
    return _of_group(ctx, needed, what=what, why=why, fewer=f"list fewer, wider ranges in {KEYS}")


def _of_load_balancer(ctx: Context) -> list[Finding]:
    listed = ranges(ctx)
    keys = f"openwhisk_access_cidrs, {KEYS}"
    what = f"{len(listed)} address ranges are to reach OpenWhisk's public load balancer"
    why = (
        f"its security group gets {RULES_OF_RANGE} rules for each, and none of them if it cannot "
        f"have all; {KEPT}"
    )
    needed = RULES_OF_RANGE * len(listed)
    return _of_group(ctx, needed, what=what, why=why, fewer=f"list fewer, wider ranges in {keys}")


def _of_group(ctx: Context, needed: int, *, what: str, why: str, fewer: str) -> list[Finding]:
    """Return the finding of a group that needs more inbound rules than the account allows.

    The account is asked only where AWS's default is not enough: requests raise a quota.
    https://docs.aws.amazon.com/servicequotas/latest/userguide/request-quota-increase.html
    """
    if needed <= DEFAULT_RULES:
        return []
    region = ctx.aws.region
    request = (
        "`aws service-quotas request-service-quota-increase --service-code vpc --quota-code "
        f"{RULES_OF_GROUP} --desired-value {needed} --region {region}`"
    )

    def compare() -> list[Finding]:
        limit = account_limits(ctx.aws, "vpc", {RULES_OF_GROUP})[RULES_OF_GROUP]
        allowed = (
            f"{region} allows a group {count_of(int(limit), 'inbound rule')} ({RULES_OF_GROUP})"
        )
        refused = refuse(what, f"{allowed}; {why}", f"{fewer}, or request {needed}: {request}")
        return [refused] if needed > limit else []

    def unchecked(reason: str) -> list[Finding]:
        default = f"AWS's default is {DEFAULT_RULES}; the account's ({RULES_OF_GROUP}) is not known"
        return [warn(what, f"{default}: {reason}; {why}", f"{fewer}, or request more: {request}")]

    return advice(compare, unchecked)


def _missing(ctx: Context, group: Item) -> list[str]:
    """Return the sources of the rules for operators and within the group that a group lacks."""
    item = {"IpPermissions": [], **group}
    own = str(item.get("GroupId", ""))
    inside = [] if own and allows(item, ALL_TRAFFIC, own) else [Source.SELF]
    return [*inside, *sorted({*allowed_cidrs(ctx)} - ranges_for(SSH, item))]


def _sources(group: Item) -> list[str]:
    """Return the source of each inbound rule of a group."""
    fields = {
        "IpRanges": "CidrIp",
        "Ipv6Ranges": "CidrIpv6",
        "PrefixListIds": "PrefixListId",
        "UserIdGroupPairs": "GroupId",
    }
    permissions: Sequence[Item] = group.get("IpPermissions", ())
    return [
        str(source.get(field, ""))
        for allowed in permissions
        for key, field in fields.items()
        for source in allowed.get(key, ())
    ]


def _of_family(sources: Iterable[str], other: str) -> int:
    """Return how many sources count for one address family; `other` marks those of the other."""
    return sum(other not in source for source in sources)
