"""The permissions boundary of the roles that a run makes, where an organisation demands one."""

from __future__ import annotations

from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.engine.step import Drift
from aws_setup.errors import Problem


def boundary_argument(ctx: Context) -> Any:
    """Return the argument of CreateRole that sets the boundary; none without permissions_boundary.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
    """
    arn = ctx.config.permissions_boundary
    return {"PermissionsBoundary": arn} if arn else {}


def boundary_drift(ctx: Context, role: Item) -> tuple[Drift, ...]:
    """Return that a role's boundary is another one: a run must not widen what a role may do.

    One that others have set without the configuration is named: it denies all that it does not
    allow, as to nodes what they need to join.
    """
    wanted, name = ctx.config.permissions_boundary, role["RoleName"]
    has = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "none")
    if not wanted and has != "none" and not ctx.owned_only:
        ctx.warn(_of_others(name, has))
    if not wanted or has == wanted:
        return ()
    fix = (
        f"run `aws iam put-role-permissions-boundary --role-name {name} "
        f"--permissions-boundary {wanted}`"
    )
    return (Drift("permissions boundary", has, wanted, fix),)


def _of_others(name: str, boundary: str) -> Problem:
    """Return the warning of a boundary that the configuration does not name.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    return Problem(
        f"the role {name} has a permissions boundary that permissions_boundary does not name",
        f"{boundary} denies the role all that it does not allow itself",
        f"set permissions_boundary: {boundary} if your organisation demands it; else run `aws iam "
        f"delete-role-permissions-boundary --role-name {name}`",
    )
