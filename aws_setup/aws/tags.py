"""Tags: how a resource says whose it is, in the shape that each AWS API wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aws_setup.config import Config

DEPLOYMENT_TAG = "lambda-fs:deployment"
"""Tag key of the deployment that owns a resource; destroy deletes by it."""

STEP_TAG = "lambda-fs:step"
"""Tag key of the step that made a resource."""


def tags(config: Config, step: str, *, name: str = "", **more: str) -> dict[str, str]:
    """Return the tags of a resource: owner, step, Project, and Name and others where given.

    λFS's own helper scripts select machines by Project and Component, so those values stay.
    """
    named = {"Name": name} if name else {}
    owner = {DEPLOYMENT_TAG: config.deployment_name, STEP_TAG: step, "Project": "LambdaFS"}
    return owner | named | more


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as EC2 and IAM want them: a list of Key and Value."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specification(kind: str, tags: Mapping[str, str]) -> list[Any]:
    """Return the TagSpecifications of an EC2 create call for one kind of resource."""
    return [{"ResourceType": kind, "Tags": as_list(tags)}]


def as_dict(tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return a list of Key and Value, as EC2 and IAM answer it, as a dictionary."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags}
