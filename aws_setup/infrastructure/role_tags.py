"""The tags of IAM roles: those that are missing or were changed are written again.

IAM shows a role in every region, so that its tags name the region of its deployment, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.tag_drift import Tagged, TaggedItem, is_own, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, REGION_TAG, as_list, tags
from aws_setup.engine.step import Drift, DriftKey, Found

OTHER_REGION = (
    "choose another deployment_name, eks_cluster_name and eks_iam_role_name for a second "
    "deployment, or add --region {region} for the first"
)
"""The fix for a role of the deployment of the same name in another region."""


class TaggedRole(Tagged):
    """A step of a role whose facts are those of `role_facts`."""

    name: str

    def tagged(self, ctx: Context, found: Found) -> Sequence[TaggedItem]:
        """Return the role with its tags."""
        if "tags" not in found.facts:
            return []
        wanted = tags(ctx.config, self.name, region=ctx.aws.region)
        write = partial(_write, ctx)
        return [TaggedItem(found.facts["role_name"], found.facts["tags"], wanted, write)]


def role_is_own(ctx: Context, role: Item, step: str) -> bool:
    """Whether a step of the deployment made a role; destroy goes by the deployment's tag alone."""
    if ctx.owned_only:
        return tags_of(role).get(DEPLOYMENT_TAG) == ctx.config.deployment_name
    return is_own(tags_of(role), deployment=ctx.config.deployment_name, step=step)


def owner_drift(
    ctx: Context, role: Item, step: str, *, fix: str, used_in: Callable[[], str]
) -> tuple[Drift, ...]:
    """Return the conflict of a role that is not this deployment's in this region; () for its own.

    Args:
        ctx: the run's context.
        role: the role as GetRole describes it.
        step: the name of its step.
        fix: what to do about a role of another owner.
        used_in: returns the region that its use proves, or ''; asked when no tag names one.
    """
    name, region = ctx.config.deployment_name, ctx.aws.region
    if not role_is_own(ctx, role, step):
        owner = tags_of(role).get(DEPLOYMENT_TAG)
        if not owner:
            tag = f"--role-name {role['RoleName']} --tags Key={DEPLOYMENT_TAG},Value={name}"
            fix = f"if it is this deployment's, run `aws iam tag-role {tag}`; else {fix}"
        return (Drift("owner", owner or "no deployment", name, fix, DriftKey.OWNER),)
    held = tags_of(role).get(REGION_TAG) or used_in()
    if held == region:
        return ()
    has, wants = f"{name} in {held or 'an unknown region'}", f"{name} in {region}"
    if held:
        return (Drift("owner", has, wants, OTHER_REGION.format(region=held), DriftKey.OWNER),)
    tag = tag_command(role["RoleName"], region)
    fix = f"if no deployment in another region uses the role, run `{tag}`, then this command again"
    return (Drift("owner", has, wants, fix, DriftKey.REGION),)


def region_in(document: object, pattern: str) -> str:
    """Return the region that the group of `pattern` matches in a policy; '' for none."""
    found = re.search(pattern, str(document))
    return found[1] if found else ""


def tag_command(role: str, region: str) -> str:
    """Return the command that says of which region a role is."""
    return f"aws iam tag-role --role-name {role} --tags Key={REGION_TAG},Value={region}"


def role_facts(role: Item) -> dict[str, Any]:
    """Return the facts of a role as GetRole describes it: its name and tags."""
    return {"role_name": role["RoleName"], "tags": tags_of(role)}


def _write(ctx: Context, names: Sequence[str], written: Mapping[str, str]) -> None:
    pairs: Any = as_list(written)
    for name in names:
        ctx.aws.iam.tag_role(RoleName=name, Tags=pairs)
