"""The security group of all λFS and HopsFS instances; its permissions follow the rule table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.filters import literal
from aws_setup.aws.idempotency import delete_with_retry, wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, security_group_name, specification, tags
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.blockers import blocked, users_of_group
from aws_setup.infrastructure.ingress_rules import (
    GROUP_SOURCES,
    RULES,
    SSH,
    IngressRule,
    Source,
    Targets,
    authorize_command,
    authorize_egress_command,
    joined,
    missing_egress,
    missing_rules,
    parts,
    permission,
    ranges_for,
    rule_drift,
    surplus_ranges,
)
from aws_setup.infrastructure.lost_tags import Ec2Tagged, lost
from aws_setup.infrastructure.operators import allowed_cidrs


@dataclass(frozen=True)
class SecurityGroup(Ec2Tagged, Step):
    """The security group with the rules of RULES; its permissions follow the operator's address."""

    name: str = "security group"
    needs: tuple[str, ...] = ("vpc",)
    part: str = "network"
    kind_of_resource = "security groups"

    def resources(self, ctx: Context) -> list[Item]:
        """Return the group."""
        group = owned_group(ctx)
        return [group] if group else []

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the group; its name stays that with which it was made."""
        made = [str(group["GroupName"]) for group in self.resources(ctx)]
        return self._tags(ctx, made[0] if made else security_group_name(ctx.config))

    def _tags(self, ctx: Context, name: str) -> dict[str, str]:
        return tags(ctx.config, self.name, name=name)

    def find(self, ctx: Context) -> Found | None:
        """Return the group, with its permissions compared."""
        group = owned_group(ctx)
        if group is None:
            return self._find_existing(ctx)
        drift = [*rule_drift(group, _targets(ctx, group)), *_egress_drift(ctx, group)]
        return Found(group["GroupId"], "available", {"name": group["GroupName"]}, tuple(drift))

    def _find_existing(self, ctx: Context) -> Found | None:
        vpc = ctx.found.get("vpc")
        if vpc is None or ctx.owned_only:
            return None
        if taken := _taken(ctx, vpc.id):
            owner = tag_of(taken, DEPLOYMENT_TAG) or "no deployment"
            wants, fix = ctx.config.deployment_name, "choose another security_group_name"
            conflict = Drift("owner", owner, wants, fix, DriftKey.OWNER)
            return Found(taken["GroupId"], "available", drift=(conflict,))
        group = existing_group(ctx, vpc.id)
        if group is None:
            return None
        ranges = vpc_ranges(ctx, group["VpcId"])
        drift = existing_group_drift(group, _targets(ctx, group), ranges=ranges)
        drift += existing_egress_drift(group, ranges)
        return Found(group["GroupId"], "adopted", drift=drift)

    def create(self, ctx: Context) -> Found:
        """Create the group with its rules; a name taken by an earlier run is that run's group."""
        name = security_group_name(ctx.config)
        try:
            ctx.aws.ec2.create_security_group(
                GroupName=name,
                Description="LambdaFS and HopsFS machines",
                VpcId=ctx.of("vpc").id,
                TagSpecifications=specification("security-group", self._tags(ctx, name)),
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
        what = f"security group {found.id}"
        delete_with_retry(
            ctx,
            what,
            lambda: ctx.aws.ec2.delete_security_group(GroupId=found.id),
            gone={"InvalidGroup.NotFound"},
            refused=blocked(ctx, users_of_group, found.id, what=what),
        )

    def _ensure_rules(self, ctx: Context) -> Found:
        group = wait_visible(lambda: owned_group(ctx, fresh=True), clock=ctx.clock)
        if group is None:
            raise SetupError(
                f"the VPC already has a security group named {security_group_name(ctx.config)} "
                "that is not managed by this deployment",
                "names are unique within a VPC",
                "choose another security_group_name",
            )
        _change_rules(ctx, group, RULES, step=self.name)
        _let_out(ctx, group, step=self.name)
        return Found(group["GroupId"], "available", {"name": group["GroupName"]})


def _change_rules(ctx: Context, group: Item, rules: Sequence[IngressRule], *, step: str) -> None:
    """Authorize what is missing of some rules, then revoke their surplus ranges."""
    group_id, targets = group["GroupId"], _targets(ctx, group)
    missing = [
        permission(rule.ports, target, rule.description)
        for rule in missing_rules(group, targets)
        if rule in rules
        for target in parts(targets[rule.source])
    ]
    authorize(ctx, step, group_id, missing)
    surplus = [
        permission(rule.ports, cidr)
        for rule in rules
        for cidr in surplus_ranges(rule, group, targets)
    ]
    revoke(ctx, group_id, surplus)


def _egress_drift(ctx: Context, group: Item) -> list[Drift]:
    """Return what the deployment's group does not let out, as a group that is made does."""
    return [Drift(title, "not allowed", "allowed") for title, _ in _not_let_out(ctx, group)]


def _not_let_out(ctx: Context, group: Item) -> list[tuple[str, dict[str, Any]]]:
    if not missing_egress(group):
        return []
    return missing_egress(group, vpc_ranges(ctx, group["VpcId"]))


def _let_out(ctx: Context, group: Item, *, step: str) -> None:
    """Authorize outbound traffic that somebody has revoked, such as a rule against open groups."""
    missing = [allowed for _, allowed in _not_let_out(ctx, group)]
    authorize(ctx, step, group["GroupId"], missing, outbound=True)


OPERATOR_RULES = tuple(rule for rule in RULES if rule.source is Source.OPERATOR)
"""The rules for the operators' addresses: SSH."""


def change_operator_rules(ctx: Context, group: Item, *, step: str) -> None:
    """Let the operators' present addresses in, then take the others out."""
    _change_rules(ctx, group, OPERATOR_RULES, step=step)


def ssh_drift(ctx: Context, group: Item) -> list[Drift]:
    """Return how the ranges of SSH differ from the operators' addresses."""
    return rule_drift(group, _targets(ctx, group), OPERATOR_RULES)


def ssh_ranges(group: Item) -> list[str]:
    """Return the address ranges that SSH is allowed from, by rules for its port alone."""
    return sorted(ranges_for(SSH, group))


def authorize(
    ctx: Context, step: str, group_id: str, allowed: Sequence[Any], *, outbound: bool = False
) -> None:
    """Add permissions to a group; those that exist already are fine.

    Args:
        ctx: the run's context.
        step: the step whose tags the rules get; '' for none, in a group that AWS has made.
        group_id: the group.
        allowed: the permissions.
        outbound: whether they are for outbound traffic.
    """
    own = tags(ctx.config, step) if step else {}
    tagged = {"TagSpecifications": specification("security-group-rule", own)} if own else {}
    ways = ("authorize_security_group_ingress", "authorize_security_group_egress")
    operation: Any = getattr(ctx.aws.ec2, ways[outbound])

    def send(permissions: Sequence[Any]) -> None:
        operation(GroupId=group_id, IpPermissions=permissions, **tagged)

    _all_at_once(send, allowed, done={"InvalidPermission.Duplicate"})


def revoke(ctx: Context, group_id: str, allowed: Sequence[Any]) -> None:
    """Remove permissions from a group; those that do not exist, or no group, are fine."""

    def send(permissions: Sequence[Any]) -> None:
        ctx.aws.ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=permissions)

    _all_at_once(send, allowed, done={"InvalidPermission.NotFound", "InvalidGroup.NotFound"})


def _all_at_once(
    send: Callable[[Sequence[Any]], None], permissions: Sequence[Any], *, done: set[str]
) -> None:
    """Send all in one call; one by one when AWS refuses it, as one of them is `done` already."""
    if not permissions:
        return
    try:
        send(permissions)
    except ClientError as error:
        if error_code(error) not in done:
            raise
        for one in permissions if len(permissions) > 1 else ():
            _all_at_once(send, [one], done=done)


def owned_group(ctx: Context, *, fresh: bool = False) -> Item | None:
    """Return the group that this deployment created; without its tags it is found by its name."""
    items = ctx.inventory.of_step("security groups", SecurityGroup.name, fresh=fresh)
    if items:
        return items[0]
    vpc, name = ctx.found.get("vpc"), security_group_name(ctx.config)
    place = {"vpc-id": vpc.id, "group-name": name} if vpc else {}
    return next(iter(lost(ctx, "security groups", SecurityGroup.name, place)), None)


def existing_group(ctx: Context, vpc_id: str) -> Item | None:
    """Return the group of the configured name in an adopted VPC, which no deployment has made.

    It is used unchanged and never deleted. Another deployment's is not used: it would let the
    machines of both reach each other, and change the rules as its own configuration wants.
    """
    if ctx.config.create_vpc or ctx.owned_only:
        return None
    return next((item for item in _named(ctx, vpc_id) if not _is_of_another(ctx, item)), None)


def _taken(ctx: Context, vpc_id: str) -> Item | None:
    """Return the group that has the name of the deployment's own, and can be neither it nor used.

    In a VPC of its own the deployment uses no group that it has not made.
    """
    own, name = ctx.config.create_vpc, security_group_name(ctx.config)
    named = [item for item in _named(ctx, vpc_id) if item["GroupName"] == name]
    return next((item for item in named if own or _is_of_another(ctx, item)), None)


def _named(ctx: Context, vpc_id: str) -> list[Item]:
    """Return the groups of a VPC with the deployment's name for it, then those with the key's."""
    names = [*dict.fromkeys((security_group_name(ctx.config), ctx.config.security_group_name))]
    filters = [
        {"Name": "vpc-id", "Values": [vpc_id]},
        {"Name": "group-name", "Values": [literal(name) for name in names]},
    ]
    groups = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
    return sorted(groups, key=lambda group: names.index(group["GroupName"]))


def _is_of_another(ctx: Context, group: Item) -> bool:
    return tag_of(group, DEPLOYMENT_TAG) not in ("", ctx.config.deployment_name)


def existing_group_drift(
    group: Item, targets: Targets, *, ranges: Sequence[str] = ()
) -> tuple[Drift, ...]:
    """Return what an existing group lacks, as a conflict whose fix is the command that adds it.

    Args:
        group: the group.
        targets: what the sources of the rules mean.
        ranges: the address ranges of the VPC, which machines, nodes and their pods have; a rule
            that allows all of them is as good as one that names their group.
    """
    missing = missing_rules(group, targets, unchanged=True)
    if ranges:
        groups = {source: joined(ranges) for source in targets if source in GROUP_SOURCES}
        lacking = missing_rules(group, {**targets, **groups}, unchanged=True)
        missing = [rule for rule in missing if rule in lacking]
    if not missing:
        return ()
    titles = ", ".join(rule.title for rule in missing)
    command = authorize_command(group["GroupId"], missing, targets)
    what = f"the existing security group {group['GroupId']}: {titles}"
    return (Drift(what, "not allowed", "allowed", f"run `{command}`"),)


def existing_egress_drift(group: Item, ranges: Sequence[str]) -> tuple[Drift, ...]:
    """Return what an existing group does not let out, with the command that does.

    `ranges` are those of the VPC.
    """
    missing = missing_egress(group, ranges)
    if not missing:
        return ()
    command = authorize_egress_command(group["GroupId"], [allowed for _, allowed in missing])
    titles = ", ".join(title for title, _ in missing)
    what = f"the existing security group {group['GroupId']}: {titles}"
    return (Drift(what, "not allowed", "allowed", f"run `{command}`"),)


def vpc_ranges(ctx: Context, vpc_id: str) -> list[str]:
    """Return the IPv4 address ranges of a VPC: nodes and pods have theirs from its subnets."""
    vpc: Any = ctx.aws.ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]
    blocks = vpc.get("CidrBlockAssociationSet") or [vpc]
    return sorted(block["CidrBlock"] for block in blocks)


def _targets(ctx: Context, group: Item) -> Targets:
    """Return what the sources of the rules mean in this run; the operator's address may be ''."""
    known = {
        Source.SELF: group["GroupId"],
        Source.OPERATOR: joined(allowed_cidrs(ctx)),
    }
    return {source: target for source, target in known.items() if target}
