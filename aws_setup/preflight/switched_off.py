"""What exists and is billed, though the configuration no longer creates it."""

from __future__ import annotations

from collections.abc import Collection

from aws_setup.aws.context import Context
from aws_setup.aws.deadline import instances_by_group
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.engine.plan import shorten
from aws_setup.errors import Problem
from aws_setup.infrastructure.nat_gateway import LIVE_NAT


def switched_off(ctx: Context, steps: Collection[str]) -> list[Problem]:
    """Return the warning about what bills by the hour and is of no step of the plan.

    The plan's price does not have it. Nothing is asked that the plan has not asked.

    Args:
        ctx: the run's context, with every step inspected.
        steps: the names of all steps of the script.
    """
    owner, inventory = ctx.config.deployment_name, ctx.inventory
    gateways = [it for it in inventory.all("nat gateways") if it["State"] in LIVE_NAT]
    clusters = [it for it in inventory.all("eks cluster") if tag_of(it, DEPLOYMENT_TAG) == owner]
    others = (*inventory.all("auto-scaling groups"), *gateways, *clusters)
    billed = {
        *instances_by_group(inventory.all("instances")),
        *(tag_of(it, STEP_TAG) for it in others),
    }
    names = sorted(billed - {"", *steps})
    if not names:
        return []
    commands = " ".join(f'--only "{name}"' for name in names)
    return [
        Problem(
            f"exists and is billed, but is not in this plan: {shorten(names)}",
            "the configuration no longer creates it; status counts it",
            f"switch it on again, or delete it: destroy {commands}",
        )
    ]
