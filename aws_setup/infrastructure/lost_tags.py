"""Resources in the deployment's own places whose tags were removed or changed by hand.

They are found by where they are: the same address range, name or attachment in the deployment's
VPC. What carries another deployment's tag, or none of this project's, is not the deployment's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.filters import literal
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import pages
from aws_setup.aws.tag_drift import Tagged, TaggedItem, is_own, tags_of
from aws_setup.aws.tags import as_list
from aws_setup.engine.step import Found

LISTS: Mapping[str, tuple[str, str, str]] = {
    "vpcs": ("describe_vpcs", "Vpcs", "VpcId"),
    "subnets": ("describe_subnets", "Subnets", "SubnetId"),
    "internet gateways": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "route tables": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "nat gateways": ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    "security groups": ("describe_security_groups", "SecurityGroups", "GroupId"),
    "addresses": ("describe_addresses", "Addresses", "AllocationId"),
    "instances": ("describe_instances", "Reservations", "InstanceId"),
    "launch templates": ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
}
"""Kind of the inventory -> EC2's list call, its key, and the field of the id."""


def with_lost(ctx: Context, kind: str, step: str, place: Mapping[str, str]) -> list[Item]:
    """Return the resources of a step; those in its place that have lost tags, if there is none.

    Args:
        ctx: the context.
        kind: a kind of the inventory.
        step: the step.
        place: the filters that describe the place; empty where it is not known.
    """
    return ctx.inventory.of_step(kind, step) or lost(ctx, kind, step, place)


def lost(ctx: Context, kind: str, step: str, place: Mapping[str, str]) -> list[Item]:
    """Return the resources in a step's place that have lost tags; none for destroy.

    Destroy deletes by tag alone.
    """
    if ctx.owned_only or not place:
        return []
    filters: Any = [{"Name": name, "Values": [literal(value)]} for name, value in place.items()]
    deployment = ctx.config.deployment_name
    return [
        item
        for item in _listed(ctx, kind, filters)
        if is_own(tags_of(item), deployment=deployment, step=step)
    ]


def _listed(ctx: Context, kind: str, filters: Any) -> Sequence[Item]:
    operation, key, _ = LISTS[kind]
    if kind == "addresses":
        return ctx.aws.ec2.describe_addresses(Filters=filters)["Addresses"]
    argument = "Filter" if kind == "nat gateways" else "Filters"
    found = pages(ctx.aws.ec2, operation, key, **{argument: filters})
    if kind == "instances":
        return [item for group in found for item in group["Instances"]]
    return found


def write_tags(ctx: Context, ids: Sequence[str], tags: Mapping[str, str]) -> None:
    """Add tags to resources of EC2."""
    written: Any = as_list(tags)
    ctx.aws.ec2.create_tags(Resources=list(ids), Tags=written)


def write_marks(
    ctx: Context, instances: Sequence[Item], marks_of: Callable[[Item], Mapping[str, str]]
) -> None:
    """Write the tags that `marks_of` returns for each instance, in one call for equal ones."""
    by_marks: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for item in instances:
        by_marks.setdefault(tuple(marks_of(item).items()), []).append(item["InstanceId"])
    for marks, ids in by_marks.items():
        if marks:
            write_tags(ctx, ids, dict(marks))


class Ec2Tagged(Tagged):
    """A step of resources of EC2 that its inventory lists, or that have lost their tags."""

    kind_of_resource: str = ""
    name: str

    def resources(self, ctx: Context) -> list[Item]:
        """Return the resources with their tags, those that have lost tags included."""
        return ctx.inventory.of_step(self.kind_of_resource, self.name)

    def wanted_tags(self, ctx: Context) -> Mapping[str, str]:
        """Return the tags that each of them should have."""
        raise NotImplementedError

    def tagged(self, ctx: Context, found: Found) -> Sequence[TaggedItem]:
        """Return the resources with the tags that they have and should have."""
        field = LISTS[self.kind_of_resource][2]
        wanted, write = self.wanted_tags(ctx), partial(write_tags, ctx)
        return [
            TaggedItem(str(item[field]), tags_of(item), wanted, write)
            for item in self.resources(ctx)
            if str(item[field]) in (found.id, *found.ids)
        ]
