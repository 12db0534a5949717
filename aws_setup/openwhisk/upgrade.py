"""What OpenWhisk's Helm release should be, and how it gets there: install, upgrade, recover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import JOB
from aws_setup.openwhisk.chart import Chart, chart_of, newer
from aws_setup.openwhisk.helm import Helm, Release, jobs_that_change
from aws_setup.openwhisk.helm_connection import helm_of, retry_when_unreachable
from aws_setup.openwhisk.secrets import OpenWhiskSecrets, pin_chart
from aws_setup.openwhisk.values import (
    ValuesInput,
    fingerprint,
    memory_of,
    merge,
    user_values,
    values,
)

FINGERPRINT_PREFIX = "lambda-fs "
"""Start of a revision's description; the fingerprint of chart and values follows."""

OTHER_RUN = 60.0
"""Seconds for which a pending release may be another run's; after that it was interrupted."""

PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
"""States of a release while a helm works on it, or after that helm was killed."""


@dataclass(frozen=True)
class DesiredRelease:
    """What the release should be: its chart and its values."""

    chart: Chart
    values: Mapping[str, Any]

    @property
    def description(self) -> str:
        """The description of the revision: it identifies chart and values."""
        return FINGERPRINT_PREFIX + fingerprint(self.values, self.chart.pin)


def desired_release(
    ctx: Context, keys: OpenWhiskSecrets, *, host: str, certificate_arn: str = ""
) -> DesiredRelease:
    """Return what the release should be.

    Args:
        ctx: the step's context.
        keys: OpenWhisk's keys and the pinned chart.
        host: the load balancer's host name, '' while it has none.
        certificate_arn: the load balancer's certificate; by default that of the step
            "server certificate".
    """
    config = ctx.config
    arn = certificate_arn or ctx.of("server certificate").id
    defaults = values(config, ValuesInput(arn, invoker_memory(ctx), keys, host))
    return DesiredRelease(chart_of(config, pinned=keys.chart), merge(defaults, user_values(config)))


def invoker_memory(ctx: Context) -> int:
    """Return how many MB of an invoker node its actions may use, from EC2's data on its type."""
    kind = ctx.config.openwhisk_invoker_instance_type
    answer = ctx.aws.ec2.describe_instance_types(InstanceTypes=[kind])  # type: ignore[list-item]
    return memory_of(answer["InstanceTypes"][0])


def apply_release(ctx: Context, desired: DesiredRelease) -> None:
    """Install or upgrade the release, after clearing an interrupted helm operation."""
    retry_when_unreachable(ctx, lambda retried: _apply_once(ctx, desired, retried=retried))


def _apply_once(ctx: Context, desired: DesiredRelease, *, retried: bool) -> None:
    """Install or upgrade once; in a retry a pending release is this run's, else maybe another's."""
    helm, chart = helm_of(ctx), desired.chart
    release = helm.status() if retried else wait_settled(ctx, helm)
    if release and release.status in PENDING:
        release = recover(ctx, helm, release)
    if release:
        new = helm.rendered(chart.path, desired.values)
        _delete_jobs(ctx, jobs_that_change(helm.manifest(), new))
    _note_newer_chart(ctx, chart)
    pin_chart(ctx, chart.pin)
    ctx.note("upgrading the Helm release" if release else "installing the Helm release")
    helm.upgrade(chart.path, desired.values, description=desired.description)


def _note_newer_chart(ctx: Context, chart: Chart) -> None:
    commit = newer(ctx.config, chart.pin)
    if commit:
        ctx.note(
            f"{ctx.config.openwhisk_chart_ref} is now at {commit[:10]}; the release stays at "
            f"{chart.pin[-40:][:10]} (--update-chart upgrades it)"
        )


def wait_settled(ctx: Context, helm: Helm) -> Release | None:
    """Return the release; while it is pending, wait a short time for another run to end."""
    began = ctx.clock.now()

    def probe() -> list[Release | None] | Pending:
        release = helm.status()
        pending = release is not None and release.status in PENDING
        if pending and release and ctx.clock.now() - began < OTHER_RUN:
            return Pending(f"the release is {release.status}: waiting for another run to end")
        return [release]

    return wait_until(
        "no helm operation is pending",
        probe,
        clock=ctx.clock,
        deadline=OTHER_RUN * 2,
        pause=3,
        note=ctx.note,
    )[0]


def recover(ctx: Context, helm: Helm, release: Release) -> Release | None:
    """Clear a release that a killed helm left pending; returns the release afterwards."""
    ctx.note(f"found an interrupted helm operation ({release.status}); cleaning up")
    if release.status in {"pending-upgrade", "pending-rollback"}:
        before = helm.manifest(release.revision - 1)
        _delete_jobs(ctx, jobs_that_change(helm.manifest(), before))
        helm.rollback()
    else:
        helm.uninstall()
    return helm.status()


def _delete_jobs(ctx: Context, names: Sequence[str]) -> None:
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    for name in names:
        ctx.note(f"deleting the job {name}: its template changes")
        client.delete(JOB, name, namespace)

    def gone() -> bool | Pending:
        left = [name for name in names if client.get(JOB, name, namespace)]
        return Pending(f"{', '.join(left)} being deleted") if left else True

    what = "the old jobs are deleted"
    wait_until(what, gone, clock=ctx.clock, deadline=120, pause=1, note=ctx.note)
