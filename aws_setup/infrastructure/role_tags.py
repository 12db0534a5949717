"""The tags of IAM roles: those that are missing or were changed are written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.tag_drift import Tagged, TaggedItem, is_own, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list, tags
from aws_setup.engine.step import Found


class TaggedRole(Tagged):
    """A step of a role whose facts are those of `role_facts`."""

    name: str

    def tagged(self, ctx: Context, found: Found) -> Sequence[TaggedItem]:
        """Return the role with its tags."""
        if "tags" not in found.facts:
            return []
        wanted, write = tags(ctx.config, self.name), partial(_write, ctx)
        return [TaggedItem(found.facts["role_name"], found.facts["tags"], wanted, write)]


def role_is_own(ctx: Context, role: Item, step: str) -> bool:
    """Whether a step of the deployment made a role; destroy goes by the deployment's tag alone."""
    if ctx.owned_only:
        return tags_of(role).get(DEPLOYMENT_TAG) == ctx.config.deployment_name
    return is_own(tags_of(role), deployment=ctx.config.deployment_name, step=step)


def role_facts(role: Item) -> dict[str, Any]:
    """Return the facts of a role as GetRole describes it: its name and tags."""
    return {"role_name": role["RoleName"], "tags": tags_of(role)}


def _write(ctx: Context, names: Sequence[str], written: Mapping[str, str]) -> None:
    pairs: Any = as_list(written)
    for name in names:
        ctx.aws.iam.tag_role(RoleName=name, Tags=pairs)
