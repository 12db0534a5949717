"""The security group of all λFS and HopsFS instances; its ingress rules are a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry, wait_visible
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import specification, tags
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError


class Source(StrEnum):
    """Who may send traffic. A run resolves each to an address range or a security group's id."""

    OPERATOR = "operator"
    SELF = "self"


GROUP_SOURCES = frozenset({Source.SELF})
"""Sources that are security groups; the others are address ranges."""

Targets = Mapping[Source, str]
"""Source -> address range or group id, as far as this run knows them."""


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
)
"""The rules of the group, in the order in which they are authorized."""


def missing_rules(group: Item, targets: Targets) -> list[IngressRule]:
    """Return the rules that no permission of the group covers, where their source is known."""
    return [
        rule
        for rule in RULES
        if rule.source in targets and not _is_allowed(rule, group, targets[rule.source])
    ]


def surplus_ranges(rule: IngressRule, group: Item, targets: Targets) -> list[str]:
    """Return the address ranges to revoke: those with a rule's exact ports that are not its own."""
    if not rule.exclusive or rule.source not in targets:
        return []
    return sorted(_ranges_for(rule.ports, group) - {targets[rule.source]})


def rule_drift(group: Item, targets: Targets) -> list[Drift]:
    """Return what the permissions of a group lack, and what they allow beyond the table."""
    missing, drift = missing_rules(group, targets), []
    for rule in RULES:
        if rule not in missing and not surplus_ranges(rule, group, targets):
            continue
        if rule.source in GROUP_SOURCES:
            drift.append(Drift(rule.title, "not allowed", "allowed"))
        else:
            has = ", ".join(sorted(_ranges_for(rule.ports, group))) or "no address"
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


def _is_allowed(rule: IngressRule, group: Item, target: str) -> bool:
    for allowed in group["IpPermissions"]:
        ports = _ports_of(allowed)
        if not ports.covers(rule.ports):
            continue
        if rule.source in GROUP_SOURCES:
            if any(pair["GroupId"] == target for pair in allowed.get("UserIdGroupPairs", [])):
                return True
        elif rule.exclusive and ports == rule.ports:
            # A wider address range for exactly these ports is surplus, so it does not count.
            if target in _ranges_of(allowed):
                return True
        elif any(_contains(cidr, target) for cidr in _ranges_of(allowed)):
            return True
    return False


def _ports_of(allowed: Item) -> Ports:
    protocol = "tcp" if allowed["IpProtocol"] == "6" else allowed["IpProtocol"]
    if protocol == "-1":
        return ALL_TRAFFIC
    return Ports(protocol, allowed.get("FromPort", 0), allowed.get("ToPort", 65535))


def _ranges_for(ports: Ports, group: Item) -> set[str]:
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


@dataclass(frozen=True)
class SecurityGroup(Step):
    """The security group with the rules of RULES; its permissions follow the operator's address."""

    name: str = "security group"
    needs: tuple[str, ...] = ("vpc",)
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the group, with its permissions compared."""
        items = ctx.inventory.of_step("security groups", self.name)
        if not items:
            return _existing_group(ctx)
        group = items[0]
        drift = rule_drift(group, _targets(ctx, group))
        return Found(group["GroupId"], "available", {"name": group["GroupName"]}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Create the group with its rules; a name taken by an earlier run is that run's group."""
        name = ctx.config.security_group_name
        group_tags = tags(ctx.config, self.name, name=name)
        try:
            ctx.aws.ec2.create_security_group(
                GroupName=name,
                Description="LambdaFS and HopsFS machines",
                VpcId=ctx.of("vpc").id,
                TagSpecifications=specification("security-group", group_tags),
            )
        except ClientError as error:
            if error_code(error) != "InvalidGroup.Duplicate":
                raise
        return self._ensure_rules(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Authorize the rules that are missing and revoke surplus address ranges."""
        return self._ensure_rules(ctx)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the group once nothing uses it."""
        delete_with_retry(
            ctx,
            f"security group {found.id}",
            lambda: ctx.aws.ec2.delete_security_group(GroupId=found.id),
            gone={"InvalidGroup.NotFound"},
        )

    def _ensure_rules(self, ctx: Context) -> Found:
        group = wait_visible(lambda: self._owned_group(ctx), clock=ctx.clock)
        if group is None:
            raise SetupError(
                f"the VPC already has a security group named {ctx.config.security_group_name} "
                "that is not managed by this deployment",
                "names are unique within a VPC",
                "choose another security_group_name",
            )
        group_id, targets = group["GroupId"], _targets(ctx, group)
        for rule in missing_rules(group, targets):
            self._authorize(
                ctx, group_id, permission(rule.ports, targets[rule.source], rule.description)
            )
        for rule in RULES:
            for cidr in surplus_ranges(rule, group, targets):
                _revoke(ctx, group_id, permission(rule.ports, cidr))
        return Found(group_id, "available", {"name": group["GroupName"]})

    def _owned_group(self, ctx: Context) -> Item | None:
        items = ctx.inventory.of_step("security groups", self.name, fresh=True)
        return items[0] if items else None

    def _authorize(self, ctx: Context, group_id: str, allowed: Any) -> None:
        rule_tags = specification("security-group-rule", tags(ctx.config, self.name))
        try:
            ctx.aws.ec2.authorize_security_group_ingress(
                GroupId=group_id, IpPermissions=[allowed], TagSpecifications=rule_tags
            )
        except ClientError as error:
            if error_code(error) != "InvalidPermission.Duplicate":
                raise


def _revoke(ctx: Context, group_id: str, allowed: Any) -> None:
    try:
        ctx.aws.ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[allowed])
    except ClientError as error:
        if error_code(error) != "InvalidPermission.NotFound":
            raise


def _targets(ctx: Context, group: Item) -> Targets:
    """Return what the sources of the rules mean in this run; the operator's address may be ''."""
    known = {Source.SELF: group["GroupId"], Source.OPERATOR: ctx.defaults.operator_cidr}
    return {source: target for source, target in known.items() if target}


def _existing_group(ctx: Context) -> Found | None:
    """Return the group of that name in an adopted VPC: it is used unchanged and never deleted."""
    vpc = ctx.found.get("vpc")
    if ctx.config.create_vpc or vpc is None or ctx.owned_only:
        return None
    filters = [
        {"Name": "vpc-id", "Values": [vpc.id]},
        {"Name": "group-name", "Values": [ctx.config.security_group_name]},
    ]
    groups = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
    return Found(groups[0]["GroupId"], "adopted") if groups else None
