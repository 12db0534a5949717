"""The permissions that the deadline needs; without them the run goes on, with a warning."""

from __future__ import annotations

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import schedule_group_name
from aws_setup.infrastructure.deadline_role import SCHEDULER, deadline_role_arn


def denied_deadline(ctx: Context, *, role: bool = True) -> list[str]:
    """Return the actions that the caller may not; what cannot be checked, the step finds out.

    Args:
        ctx: the run's context.
        role: the role is to be made, too, or to be changed.
    """
    if ctx.aws.identity.arn.endswith(":root"):
        return []
    return sorted(set(advice(lambda: _denied(ctx, role=role), lambda _: [])))


def _denied(ctx: Context, *, role: bool) -> list[str]:
    # Few runs ask: who has a deadline has had the permissions for it.
    from aws_setup.preflight.iam_policy import DEADLINE_ROLE_ACTIONS, SCHEDULE_ACTIONS
    from aws_setup.preflight.permissions import denied_actions
    from aws_setup.preflight.simulator import simulate

    aws, group = ctx.aws, schedule_group_name(ctx.config)
    schedules = f"arn:{aws.partition}:scheduler:{aws.region}:{aws.identity.account}"
    on_group = [name for name in SCHEDULE_ACTIONS if name.endswith(("Group", "TagResource"))]
    results = simulate(
        ctx,
        {
            deadline_role_arn(ctx): [*(DEADLINE_ROLE_ACTIONS if role else ()), "iam:PassRole"],
            f"{schedules}:schedule-group/{group}": on_group,
            f"{schedules}:schedule/{group}/x": [n for n in SCHEDULE_ACTIONS if n not in on_group],
        },
        **{"iam:PassedToService": SCHEDULER},
    )
    return denied_actions(results)
