"""The permissions boundary of the roles that a run makes, where an organisation demands one."""

from __future__ import annotations

from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.engine.step import Drift


def boundary_argument(ctx: Context) -> Any:
    """Return the argument of CreateRole that sets the boundary; none without permissions_boundary.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
    """
    arn = ctx.config.permissions_boundary
    return {"PermissionsBoundary": arn} if arn else {}


def boundary_drift(ctx: Context, role: Item) -> tuple[Drift, ...]:
    """Return that a role's boundary is another one: a run must not widen what a role may do."""
    wanted = ctx.config.permissions_boundary
    has = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "none")
    if not wanted or has == wanted:
        return ()
    name = role["RoleName"]
    fix = (
        f"run `aws iam put-role-permissions-boundary --role-name {name} "
        f"--permissions-boundary {wanted}`"
    )
    return (Drift("permissions boundary", has, wanted, fix),)
