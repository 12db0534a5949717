"""Checks a deployment that is to be repeated: which of its parts can still be had.

AMIs, Kubernetes version and zones have checks of their own, which apply to every configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.aws.session import Aws, pages
from aws_setup.config import Config
from aws_setup.config.lock_file import Lock
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.errors import SetupError
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn


def with_zones_of(aws: Aws, config: Config, lock: Lock) -> Config:
    """Return the configuration with the zones of a deployment, by the names of this account.

    A zone that this account does not have is left to `check`, which names it.
    """
    names = _zone_names(aws) if lock.zone_ids else {}
    zones = tuple(names[zone] for zone in lock.zone_ids if zone in names)
    return config.model_copy(update={"availability_zones": zones}) if len(zones) == 2 else config


def _zone_names(aws: Aws) -> dict[str, str]:
    zones: Any = aws.ec2.describe_availability_zones()["AvailabilityZones"]
    return {str(zone.get("ZoneId", "")): str(zone["ZoneName"]) for zone in zones}


def check(planned: PlannedResources) -> CheckResult:
    """Check what --from and eks_addon_versions ask for, for the first script."""
    ctx = planned.ctx
    findings: list[Finding] = []
    if "eks cluster" in planned.to_create or ctx.repeats:
        findings += _addons(ctx)
    if ctx.repeats:
        from aws_setup.preflight import recorded_images  # with the chart, which few runs ask for

        findings += [
            *_zones(ctx, ctx.repeats),
            *_chart(ctx, ctx.repeats),
            *recorded_images.check(ctx.repeats),
        ]
    return CheckResult.of(findings)


def findings_of_cluster(ctx: Context) -> list[Finding]:
    """Check what --from and eks_addon_versions ask for, for the second script."""
    findings = [*_addons(ctx)]
    if ctx.repeats:
        from aws_setup.preflight import recorded_images

        findings += [*_chart(ctx, ctx.repeats), *recorded_images.check(ctx.repeats)]
    return findings


def _zones(ctx: Context, lock: Lock) -> Iterator[Finding]:
    if not (lock.zone_ids and ctx.config.create_vpc):
        return
    absent = set(lock.zone_ids) - _zone_names(ctx.aws).keys()
    for zone in sorted(absent):
        yield refuse(
            f"{ctx.aws.region} has no zone {zone} for this account",
            f"{lock.path.name} names it, and EC2 does not list it",
            f"remove infrastructure.zones from {lock.path.name} to use other zones",
        )


def _addons(ctx: Context) -> Iterator[Finding]:
    """Refuse add-on versions that EKS does not offer for the Kubernetes version."""
    known = {spec.name for spec in ADDONS}
    place = f"cluster.addons of {ctx.repeats.path.name}" if ctx.repeats else "eks_addon_versions"
    cluster = cluster_of(ctx)
    kubernetes = str(cluster["version"]) if cluster else ctx.config.kubernetes_version or ""
    for name, version in ctx.config.eks_addon_versions.items():
        if name not in known:
            what = f"{place}: there is no add-on {name} here"
            why = f"the add-ons of the cluster are {', '.join(sorted(known))}"
            yield refuse(what, why, "correct its name, or remove it")
            continue
        offered = _offered(ctx, name, kubernetes)
        if version not in offered:
            release = f"Kubernetes {kubernetes}" if kubernetes else "any Kubernetes version"
            yield refuse(
                f"EKS no longer offers {name} {version} for {release}",
                f"it offers {', '.join(offered) or 'none'}",
                f"set one of these in {place}, or remove it to use EKS's default",
            )


def _offered(ctx: Context, name: str, kubernetes: str) -> list[str]:
    """Return the versions of an add-on, the newest first.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeAddonVersions.html
    """
    request = {"addonName": name} | ({"kubernetesVersion": kubernetes} if kubernetes else {})
    found = pages(ctx.aws.eks, "describe_addon_versions", "addons", **request)
    return [str(item["addonVersion"]) for addon in found for item in addon["addonVersions"]]


def _chart(ctx: Context, lock: Lock) -> Iterator[Finding]:
    """Refuse a commit of the chart that its repository no longer has; fetched, it is cached."""
    from aws_setup.openwhisk import chart

    config = ctx.config
    recorded = lock.configuration.get("openwhisk_chart")
    if not recorded:
        yield warn(
            f"{lock.path.name} does not say where OpenWhisk's chart is",
            "it was a folder on the computer of that deployment, or it was not installed",
            "compare the chart after configure: status --against shows its sha256",
        )
    if not chart.is_remote(config) or not chart.COMMIT.match(config.openwhisk_chart_ref):
        return
    try:
        chart.check_source(config)
        chart.chart_of(config)
    except SetupError as error:
        yield refuse(
            f"OpenWhisk's chart at commit {config.openwhisk_chart_ref} cannot be fetched",
            f"{error.problems[0].what}: {error.problems[0].why}",
            f"remove cluster.chart from {lock.path.name} to use the newest one",
        )
