"""Checks the names of the roles that configure makes, which IAM has once for all regions.

Another deployment may have the same names: a cluster of the same name in another region is enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from aws_setup.aws.context import Context
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.engine.step import DriftKey
from aws_setup.infrastructure.iam import ManagedRole, NodeRole
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse


def check(planned: PlannedResources) -> CheckResult:
    """Refuse a new cluster whose roles another deployment has: configure could not make them."""
    if "eks cluster" not in planned.to_create:
        return CheckResult()
    roles: list[ManagedRole] = [NodeRole(), *(spec.role for spec in ADDONS if spec.role)]
    return CheckResult.of([it for role in roles for it in _of_others(planned.ctx, role)])


def _of_others(ctx: Context, role: ManagedRole) -> Iterator[Finding]:
    iam, name = ctx.aws.iam, role.role_name(ctx)
    try:
        found = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return
    for drift in role.of_others(ctx, found):
        if drift.key == DriftKey.OWNER:
            what = f"the {role.name} {name} belongs to {drift.has}"
            yield refuse(what, "configure makes a role of this name for the cluster", drift.fix)
