"""Checks the AMIs: they exist, can be launched, and fit the architecture of the instance types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from aws_setup.config.amis import DEFAULT_AMIS, region_of
from aws_setup.config.keys import keys_of
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.ami_copies import copy_name
from aws_setup.infrastructure.ami_details import another, missing_ami
from aws_setup.infrastructure.ami_kept import STAYS
from aws_setup.preflight.planned import Launch, PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn


def check(planned: PlannedResources) -> CheckResult:
    """Check the AMI of every planned launch."""
    if not planned.launches:
        return CheckResult()
    images = {image["ImageId"]: image for image in planned.ctx.inventory.all("images")}
    findings = [*_missing(planned, images), *_deprecated(planned, images)]
    for launch in planned.launches:
        if launch.ami in images:
            findings += _unusable(planned, launch, images[launch.ami])
    return CheckResult.of(dict.fromkeys(findings))


def _missing(planned: PlannedResources, images: Mapping[str, Any]) -> Iterator[Finding]:
    """Name the AMIs of λFS that another region lacks at once, as they have one cause."""
    ctx = planned.ctx
    wanted = sorted({launch.ami for launch in planned.launches} - images.keys())
    missing = [ami for ami in wanted if not _is_copied(planned, ami)]
    elsewhere = [ami for ami in missing if region_of(ami) not in ("", ctx.aws.region)]
    groups = [elsewhere] if elsewhere else []
    for group in [*groups, *([ami] for ami in missing if ami not in elsewhere)]:
        problem = missing_ami(ctx, *group)
        yield refuse(problem.what, problem.why, problem.hint)


def _is_copied(planned: PlannedResources, ami: str) -> bool:
    """Whether this run copies an AMI, or waits for its copy."""
    name = next((copy_name(key) for key, own in DEFAULT_AMIS.items() if own.id == ami), "")
    found = planned.ctx.found.get(name)
    return name in planned.to_create or bool(found and found.id)


def _deprecated(planned: PlannedResources, images: Mapping[str, Any]) -> Iterator[Finding]:
    """Name all deprecated AMIs in one warning: they can still be launched."""
    now = planned.ctx.clock.today()
    old = sorted(
        ami
        for ami in {launch.ami for launch in planned.launches} & images.keys()
        if _is_past(images[ami].get("DeprecationTime"), now)
    )
    if old:
        region = planned.ctx.aws.region
        yield warn(
            count_of(len(old), "AMI is deprecated", "AMIs are deprecated"),
            f"{', '.join(old)} can still be launched, but AWS no longer lists them",
            "to keep them when they are removed, copy them to your account (`aws ec2 copy-image "
            f"--region {region} --source-region {region} --name NAME --source-image-id {old[0]}`) "
            f"and set their keys to the copies; {STAYS}",
        )


def _is_past(text: str | None, now: datetime) -> bool:
    return bool(text) and datetime.fromisoformat(str(text).replace("Z", "+00:00")) < now


def _unusable(
    planned: PlannedResources, launch: Launch, image: Mapping[str, Any]
) -> Iterator[Finding]:
    keys = keys_of(planned.config, launch.ami, suffix="_ami")
    state = image.get("State", "available")
    if state != "available":
        waits = "wait until it is available"
        hint = waits if state == "pending" else another(planned.ctx, launch.ami)
        yield refuse(f"the AMI {launch.ami} ({keys}) cannot be launched", f"it is {state}", hint)
    if image.get("ImageAllowed") is False:
        hint = f"ask the account's administrator to allow it, or {another(planned.ctx, launch.ami)}"
        why = "the account's Allowed AMIs setting excludes it"
        yield refuse(f"the AMI {launch.ami} ({keys}) cannot be launched", why, hint)
    instance_type = planned.instance_types().get(launch.instance_type)
    supported = instance_type["ProcessorInfo"]["SupportedArchitectures"] if instance_type else []
    if supported and image["Architecture"] not in supported:
        types = keys_of(planned.config, launch.instance_type, suffix="_instance_type")
        yield refuse(
            f"the AMI {launch.ami} ({keys}) does not run on {launch.instance_type}",
            f"it is {image['Architecture']}, the type runs {', '.join(supported)}",
            f"set another instance type ({types}) or another {keys}",
        )
