"""The auto-scaling group of a step, also one that has lost tags, and one of its name of others."""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tag_drift import is_own, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, GROUP_TAG, STEP_TAG
from aws_setup.errors import SetupError

KIND = "auto-scaling groups"


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
