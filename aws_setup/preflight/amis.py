"""The AMIs: there, launchable, of an architecture that the instance types run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from aws_setup.config import Config
from aws_setup.preflight.planned import Launch, PlannedResources, keys_of
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

AMI_REGION = "us-east-1"
"""The only region in which the λFS AMIs were published."""


def check(needs: PlannedResources) -> CheckResult:
    """Check the AMI of everything that is still to be launched."""
    if not needs.launches:
        return CheckResult()
    there = {image["ImageId"]: image for image in needs.ctx.inventory.all("images")}
    findings = [*_missing(needs, there), *_deprecated(needs, there)]
    for launch in needs.launches:
        if launch.ami in there:
            findings += _unfit(needs, launch, there[launch.ami])
    return CheckResult.of(dict.fromkeys(findings))


def _missing(needs: PlannedResources, there: Mapping[str, Any]) -> Iterator[Finding]:
    region = needs.ctx.aws.region
    for ami in sorted({launch.ami for launch in needs.launches} - there.keys()):
        keys = keys_of(needs.config, ami, suffix="_ami")
        why = "it was deregistered, or this account may not use it"
        hint = f"set {keys} to an AMI of {region}"
        if region != AMI_REGION and ami in _published(needs.config):
            why = f"the λFS AMIs exist in {AMI_REGION} only"
            hint = (
                f"use aws_region: {AMI_REGION}, or copy it and set {keys}: `aws ec2 copy-image "
                f"--source-region {AMI_REGION} --source-image-id {ami} --region {region} "
                f"--name {ami}` "
                "(docs/troubleshooting.md, copy-amis)"
            )
        yield refuse(f"{region} has no AMI {ami} ({keys})", why, hint)


def _published(config: Config) -> set[str]:
    fields = type(config).model_fields
    return {str(field.default) for key, field in fields.items() if key.endswith("_ami")}


def _deprecated(needs: PlannedResources, there: Mapping[str, Any]) -> Iterator[Finding]:
    """Name all deprecated AMIs in one warning: they still launch."""
    now = needs.ctx.clock.today()
    old = sorted(
        ami
        for ami in {launch.ami for launch in needs.launches} & there.keys()
        if _is_past(there[ami].get("DeprecationTime"), now)
    )
    if old:
        yield warn(
            f"{len(old)} AMIs are deprecated",
            f"{', '.join(old)} still launch, but AWS no longer lists them",
            "nothing needs to be done; copy them to your account to be safe from their removal",
        )


def _is_past(text: str | None, now: datetime) -> bool:
    return bool(text) and datetime.fromisoformat(str(text).replace("Z", "+00:00")) < now


def _unfit(needs: PlannedResources, launch: Launch, image: Mapping[str, Any]) -> Iterator[Finding]:
    keys = keys_of(needs.config, launch.ami, suffix="_ami")
    state = image.get("State", "available")
    if state != "available":
        hint = "wait until it is available" if state == "pending" else f"set {keys} to another AMI"
        yield refuse(f"the AMI {launch.ami} ({keys}) cannot be launched", f"it is {state}", hint)
    if image.get("ImageAllowed") is False:
        hint = "ask the account's administrator to allow it"
        why = "the account's Allowed AMIs setting excludes it"
        yield refuse(f"the AMI {launch.ami} ({keys}) cannot be launched", why, hint)
    known = needs.types().get(launch.instance_type)
    runs = known["ProcessorInfo"]["SupportedArchitectures"] if known else []
    if runs and image["Architecture"] not in runs:
        types = keys_of(needs.config, launch.instance_type, suffix="_instance_type")
        yield refuse(
            f"the AMI {launch.ami} ({keys}) does not run on {launch.instance_type}",
            f"it is {image['Architecture']}, the type runs {', '.join(runs)}",
            f"set another instance type ({types}) or another {keys}",
        )
