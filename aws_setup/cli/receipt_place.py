"""Account and region of the receipt: a destroy elsewhere leaves this computer's files alone."""

from __future__ import annotations

import re

from aws_setup.aws.context import Context, Step
from aws_setup.config.paths import receipt_path
from aws_setup.engine.decoding import Undecodable, json_object
from aws_setup.engine.safe_text import json_text
from aws_setup.errors import Problem

ARN_ACCOUNT = re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:(\d{12}):")


REGION_HINT = "to destroy it, add --region"


def of_another_place(ctx: Context) -> Problem | None:
    """Return the warning that the receipt is of another account or region; None where it is not.

    A receipt that is missing, damaged, or names no account, is of no other place.
    """
    path = receipt_path(ctx.config)
    try:
        content = path.read_bytes()
        region = json_object(content).get("aws_region")
    except (OSError, Undecodable):
        return None
    name = ctx.config.deployment_name
    kept = f"{path} says so; the files of that deployment on this computer are kept"
    accounts = set(ARN_ACCOUNT.findall(content.decode(errors="replace")))
    if accounts and ctx.aws.identity.account not in accounts:
        what = f"{name} was created in another account than that of these credentials"
        return Problem(what, kept, "to destroy it, use its credentials, as with --profile")
    if isinstance(region, str) and region in ctx.aws.known_regions() and region != ctx.aws.region:
        what = f"{name} was created in {region}, and this run looks in {ctx.aws.region}"
        return Problem(what, kept, f"{REGION_HINT} {region}")
    return None


def may_be_of(account: str, entry: object) -> bool:
    """Return whether an entry of a receipt can be one of an account: it names no other one."""
    accounts = set(ARN_ACCOUNT.findall(json_text(entry, default=str)))
    return not accounts or account in accounts


def is_elsewhere(step: Step, place: Problem | None) -> bool:
    """Return whether a resource belongs to the deployment of another `place`.

    In another region these are files on this computer, and what is seen from all regions, such as
    roles; in another account they are the files alone.
    """
    region = place is not None and place.hint.startswith(REGION_HINT)
    return place is not None and (step.local or (region and not step.regional))
