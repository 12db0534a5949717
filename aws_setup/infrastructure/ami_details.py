"""What is said of the AMIs of machines: type, number, AMI with its name and age; a missing one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.config.amis import AMIS, region_of
from aws_setup.config.keys import keys_of
from aws_setup.errors import Problem
from aws_setup.infrastructure.ami_kept import STAYS, how_to_replace


def machines_text(ctx: Context, instance_type: str, count: int | None, ami: str) -> str:
    """Return machines as 'r5.4xlarge × 4, ami-… "name", deprecated since 2025-11-01'.

    Args:
        ctx: the run's context.
        instance_type: the type of the machines.
        count: how many there are; None where the number varies.
        ami: the id of their AMI.
    """
    number = "" if count is None else f" × {count}"
    return f"{instance_type}{number}, {ami_text(ctx, ami)}"


def ami_text(ctx: Context, ami: str) -> str:
    """Return an AMI's id with its name and deprecation, where AWS lists the AMI."""
    listed = advice(lambda: ctx.inventory.all("images"), lambda _: [])
    image: Item = next((image for image in listed if image["ImageId"] == ami), {})
    name = f' "{image["Name"]}"' if image.get("Name") else ""
    since = deprecated_since(image, ctx.clock.today())
    return f"{ami}{name}" + (f", deprecated since {since}" if since else "")


def deprecated_since(image: Item, now: datetime) -> str:
    """Return the date since when an AMI is deprecated, '' when it is not.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deprecate.html
    """
    text = str(image.get("DeprecationTime") or "")
    return text[:10] if text and datetime.fromisoformat(text.replace("Z", "+00:00")) < now else ""


def missing_ami(ctx: Context, ami: str, *others: str) -> Problem:
    """Return why a region has no AMI that is to be launched: keys, cause and fix.

    `others` have the same cause: the region is not that of λFS's AMIs.
    """
    region = ctx.aws.region
    keys_by = {it: keys_of(ctx.config, it, suffix="_ami") for it in (ami, *others)}
    named = ", ".join(f"{it} ({keys})" if keys else it for it, keys in keys_by.items())
    what = f"{region} has {'none of the AMIs' if others else 'no AMI'} {named}"
    keys = ", ".join(filter(None, keys_by.values()))
    source, published = region_of(ami), ", ".join(AMIS)
    if source and ctx.aws.partition != "aws":
        return Problem(
            what,
            f"the λFS AMIs exist in {published} only, and AWS copies no AMI to another partition "
            f"({ctx.aws.partition})",
            f"build {_them(others)} in {region} as docs/create.md describes, and set {keys}",
        )
    if source and source != region:
        return Problem(
            what,
            f"the λFS AMIs exist in {published} only",
            f"add --copy-amis to copy the λFS AMIs to {region}, use aws_region: {source}, or "
            f"set {keys} to {_them(others, own=True)}",
        )
    return Problem(what, "it was deregistered, or this account may not use it", another(ctx, ami))


def _them(others: Sequence[str], *, own: bool = False) -> str:
    if own:
        return "AMIs of your own" if others else "an AMI of your own"
    return "the AMIs" if others else "the AMI"


def another(ctx: Context, ami: str) -> str:
    """Return how to launch machines from another AMI than one that cannot be launched."""
    keys = keys_of(ctx.config, ami, suffix="_ami") or "the key that names it"
    listed = advice(lambda: ctx.inventory.all("instances"), lambda _: [])
    copy = how_to_replace(ctx.config, listed, ami)
    fix = f"set {keys} to an AMI of {ctx.aws.region}"
    return f"{fix}, {copy}; {STAYS}" if copy else fix
