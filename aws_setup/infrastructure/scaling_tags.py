"""The tags of auto-scaling groups: who gets them, and which group is that of a step by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tag_drift import is_own, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, GROUP_TAG, STEP_TAG
from aws_setup.errors import SetupError

KIND = "auto-scaling groups"


def pairs(group_tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the tags as Auto Scaling takes them; machines get all but that of the step."""
    return [
        {"Key": key, "Value": value, "PropagateAtLaunch": key != STEP_TAG}
        for key, value in group_tags.items()
    ]


def write_tags(ctx: Context, names: Sequence[str], group_tags: Mapping[str, str]) -> None:
    """Add tags to groups, by their names; their later machines get them, too."""
    _write(ctx, names, pairs(group_tags))


def write_marks(ctx: Context, names: Sequence[str], marks: Mapping[str, str]) -> None:
    """Add tags to groups that their machines do not get."""
    written = [{"Key": key, "Value": marks[key], "PropagateAtLaunch": False} for key in marks]
    _write(ctx, names, written)


def _write(ctx: Context, names: Sequence[str], written: Sequence[Mapping[str, Any]]) -> None:
    tags: Any = [{**_group(name), **pair} for name in names for pair in written]
    ctx.aws.autoscaling.create_or_update_tags(Tags=tags)


def remove_tags(ctx: Context, names: Sequence[str], keys: Sequence[str]) -> None:
    """Remove tags of groups."""
    removed: Any = [{**_group(name), "Key": key} for name in names for key in keys]
    ctx.aws.autoscaling.delete_tags(Tags=removed)


def _group(name: str) -> dict[str, str]:
    return {"ResourceId": name, "ResourceType": "auto-scaling-group"}


def groups_of_step(ctx: Context, step: str, name: str, *, needs: Sequence[str]) -> list[Item]:
    """Return the groups of a step; if there is none, that of its name which has lost tags.

    Names of groups are unique in a region. Where not all `needs` exist, the group is not searched
    by its name. Destroy deletes by tags alone: there those of its machines say whose it is.
    """
    items = ctx.inventory.of_step(KIND, step)
    if not items and ctx.owned_only:
        machines = advice(lambda: ctx.inventory.all("instances"), lambda _: [])
        return [*named(ctx, name)] if any(tag_of(it, GROUP_TAG) == name for it in machines) else []
    if items or any(need not in ctx.found for need in needs):
        return items
    deployment = ctx.config.deployment_name
    return [it for it in named(ctx, name) if is_own(tags_of(it), deployment=deployment, step=step)]


def named(ctx: Context, name: str) -> Sequence[Item]:
    """Return the group of a name, whoever made it."""
    answer = ctx.aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return answer["AutoScalingGroups"]


def name_taken(ctx: Context, step: str, name: str) -> SetupError:
    """Return the error of a group whose name one without this deployment's tags has."""
    found = next(iter(named(ctx, name)), {})
    owner = tags_of(found).get(DEPLOYMENT_TAG)
    deployment = ctx.config.deployment_name
    command = (
        "`aws autoscaling create-or-update-tags --tags "
        f"ResourceId={name},ResourceType=auto-scaling-group,Key={DEPLOYMENT_TAG},"
        f"Value={deployment},PropagateAtLaunch=true "
        f"'ResourceId={name},ResourceType=auto-scaling-group,Key={STEP_TAG},"
        f"Value={step},PropagateAtLaunch=false'`"
    )
    return SetupError(
        f"{step}: a group of the name {name} exists",
        f"it has the tag of the deployment {owner}" if owner else "it has no deployment's tag",
        "its owner may delete it; or set another deployment_name"
        if owner
        else f"if it is this deployment's, give it its tags again: {command}; else delete it",
    )
