"""The security group of all λFS and HopsFS machines, and its two rules."""

from __future__ import annotations

from dataclasses import dataclass
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

SSH = 22
ADOPTED = "adopted"


@dataclass(frozen=True)
class SecurityGroup(Step):
    """All traffic from the group itself, and TCP 22 from the operator's address.

    An operator's address that changed since gets its own rule; the old one is taken away.
    """

    name: str = "security group"
    needs: tuple[str, ...] = ("vpc",)
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the group, with its rules compared."""
        items = ctx.inventory.of_step("security groups", self.name)
        if not items:
            return _existing_group(ctx)
        group = items[0]
        drift = []
        if not _open_to_itself(group):
            drift.append(Drift("traffic within the group", "refused", "allowed"))
        operator = ctx.defaults.operator_cidr
        if operator and (_ssh_ranges(group) - {operator} or not _is_allowed(group, operator)):
            has = ", ".join(sorted(_ssh_ranges(group))) or "nobody"
            drift.append(Drift("SSH allowed from", has, operator))
        return Found(group["GroupId"], "available", {"name": group["GroupName"]}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the group with its rules; a name taken by an earlier run is that run's group."""
        mine = tags(ctx.config, self.name, name=ctx.config.security_group_name)
        try:
            ctx.aws.ec2.create_security_group(
                GroupName=ctx.config.security_group_name,
                Description="LambdaFS and HopsFS machines",
                VpcId=ctx.of("vpc").id,
                TagSpecifications=specification("security-group", mine),
            )
        except ClientError as error:
            if error_code(error) != "InvalidGroup.Duplicate":
                raise
        return self._settle(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Add the rules that are missing and take away SSH rules of other addresses."""
        return self._settle(ctx)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the group once nothing uses it; one that was the user's stays."""
        if found.state == ADOPTED:
            return
        delete_with_retry(
            ctx,
            f"security group {found.id}",
            lambda: ctx.aws.ec2.delete_security_group(GroupId=found.id),
            gone={"InvalidGroup.NotFound"},
        )

    def _settle(self, ctx: Context) -> Found:
        group = wait_visible(lambda: self._again(ctx), clock=ctx.clock)
        if group is None:
            raise SetupError(
                f"a security group {ctx.config.security_group_name} of somebody else is in the VPC",
                "names are unique within a VPC",
                "choose another security_group_name",
            )
        own, operator = group["GroupId"], ctx.defaults.operator_cidr
        if not _open_to_itself(group):
            self._allow(ctx, own, {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": own}]})
        if operator and not _is_allowed(group, operator):
            self._allow(ctx, own, _ssh(operator, Description="SSH of the operator"))
        for old in _ssh_ranges(group) - {operator} if operator else set():
            self._forbid(ctx, own, _ssh(old))
        return Found(own, "available", {"name": group["GroupName"]})

    def _again(self, ctx: Context) -> Item | None:
        items = ctx.inventory.of_step("security groups", self.name, fresh=True)
        return items[0] if items else None

    def _allow(self, ctx: Context, own: str, rule: Any) -> None:
        mine = specification("security-group-rule", tags(ctx.config, self.name))
        try:
            ctx.aws.ec2.authorize_security_group_ingress(
                GroupId=own, IpPermissions=[rule], TagSpecifications=mine
            )
        except ClientError as error:
            if error_code(error) != "InvalidPermission.Duplicate":
                raise

    def _forbid(self, ctx: Context, own: str, rule: Any) -> None:
        try:
            ctx.aws.ec2.revoke_security_group_ingress(GroupId=own, IpPermissions=[rule])
        except ClientError as error:
            if error_code(error) != "InvalidPermission.NotFound":
                raise


def _existing_group(ctx: Context) -> Found | None:
    """Return the group of that name in an adopted VPC, which is used as it is."""
    vpc = ctx.found.get("vpc")
    if ctx.config.create_vpc or vpc is None:
        return None
    filters = [
        {"Name": "vpc-id", "Values": [vpc.id]},
        {"Name": "group-name", "Values": [ctx.config.security_group_name]},
    ]
    groups = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
    return Found(groups[0]["GroupId"], ADOPTED) if groups else None


def _ssh(cidr: str, **description: str) -> dict[str, Any]:
    """Return the rule that lets one address range, of IPv4 or IPv6, SSH in."""
    six = ":" in cidr
    source = [{"CidrIpv6" if six else "CidrIp": cidr} | description]
    ranges = "Ipv6Ranges" if six else "IpRanges"
    return {"IpProtocol": "tcp", "FromPort": SSH, "ToPort": SSH, ranges: source}


def _ssh_ranges(group: Item) -> set[str]:
    """Return the address ranges of the rules for port 22 alone, IPv6's too."""
    rules = [rule for rule in group["IpPermissions"] if _is_ssh(rule)]
    return {cidr for rule in rules for cidr in _sources(rule)}


def _is_ssh(rule: Item) -> bool:
    return bool(rule.get("FromPort") == SSH and rule.get("ToPort") == SSH)


def _is_allowed(group: Item, operator: str) -> bool:
    """Say whether the operator may SSH in: by a rule of ours, or one for more ports.

    Rules for more ports are somebody's own: they are enough, and never taken away.
    """
    wider = [rule for rule in group["IpPermissions"] if _is_wider(rule)]
    return operator in _ssh_ranges(group) or any(
        _contains(cidr, operator) for rule in wider for cidr in _sources(rule)
    )


def _is_wider(rule: Item) -> bool:
    """Say whether a rule is for port 22 and others."""
    if rule["IpProtocol"] == "-1":
        return True
    tcp = rule["IpProtocol"] in ("tcp", "6")
    return tcp and not _is_ssh(rule) and rule["FromPort"] <= SSH <= rule["ToPort"]


def _contains(cidr: str, other: str) -> bool:
    outer, inner = ip_network(cidr), ip_network(other)
    return (
        outer.version == inner.version
        and outer[0] <= inner[0]  # type: ignore[operator]  # of one version
        and inner[-1] <= outer[-1]  # type: ignore[operator]
    )


def _sources(rule: Item) -> list[str]:
    four = [source["CidrIp"] for source in rule.get("IpRanges", [])]
    return four + [source["CidrIpv6"] for source in rule.get("Ipv6Ranges", [])]


def _open_to_itself(group: Item) -> bool:
    return any(
        pair["GroupId"] == group["GroupId"]
        for rule in group["IpPermissions"]
        if rule["IpProtocol"] == "-1"
        for pair in rule["UserIdGroupPairs"]
    )
