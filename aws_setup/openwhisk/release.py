"""OpenWhisk's Helm release as a step: found, compared, applied and deleted."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.kube.connect import active_cluster
from aws_setup.openwhisk import uninstall
from aws_setup.openwhisk.certificate_steps import load_balancer_host
from aws_setup.openwhisk.helm import Release
from aws_setup.openwhisk.helm_connection import helm_of, retry_when_unreachable
from aws_setup.openwhisk.secrets import OpenWhiskSecrets, is_owned, read_secrets, require_secrets
from aws_setup.openwhisk.upgrade import (
    FINGERPRINT_PREFIX,
    DesiredRelease,
    apply_release,
    desired_release,
)
from aws_setup.openwhisk.values import changed_keys

MAX_NAMES = 4
"""Names of changed values that are shown."""

VOLUMES = 7
"""Volumes of OpenWhisk's chart (facts of the chart), of 8 GiB on average."""


@dataclass(frozen=True)
class HelmRelease(Step):
    """The release with chart and values of the configuration; drift is fixed by an upgrade."""

    name: str = "openwhisk release"
    needs: tuple[str, ...] = (
        "nginx secret",
        "gp3 storage class",
        "core-nodes",
        "invoker-nodes",
        "node labels",
        "coredns add-on",
        "aws-ebs-csi-driver add-on",
    )
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the release, compared by its description with the desired one."""
        if active_cluster(ctx) is None or (ctx.owned_only and not is_owned(ctx)):
            return None
        resource_id = release_id(ctx.config)
        if not uninstall.has_records(ctx):
            remains = ctx.owned_only and uninstall.release_claims(ctx)
            return Found(resource_id, "uninstalled, its volumes remain") if remains else None
        if ctx.owned_only:
            return Found(resource_id, "installed")
        release = retry_when_unreachable(ctx, lambda _: helm_of(ctx).status())
        if release is None or release.status == "uninstalled":
            return None
        facts = {"revision": release.revision, "status": release.status}
        state = f"{release.status}, revision {release.revision}"
        return Found(resource_id, state, facts, self._drift(ctx, release))

    def _drift(self, ctx: Context, release: Release) -> tuple[Drift, ...]:
        if release.status != "deployed":
            return (Drift("status", release.status, "deployed"),)
        keys, config = read_secrets(ctx), ctx.config
        if not release.description.startswith(FINGERPRINT_PREFIX) and not (keys and keys.chart):
            fix = (
                f"uninstall it (helm uninstall {config.openwhisk_release} "
                f"-n {config.openwhisk_namespace}), or set another openwhisk_release"
            )
            return (Drift("owner", "another", config.deployment_name, fix, DriftKey.OWNER),)
        if keys is None or "server certificate" not in ctx.found:
            return ()
        desired = desired_release(ctx, keys, host=load_balancer_host(ctx))
        return () if release.description == desired.description else _changes(ctx, keys, desired)

    def create(self, ctx: Context) -> Found:
        """Install or upgrade; pods are waited for in a later step, which shows what blocks them."""
        keys = require_secrets(ctx)
        apply_release(ctx, desired_release(ctx, keys, host=load_balancer_host(ctx)))
        release = retry_when_unreachable(ctx, lambda _: helm_of(ctx).status())
        facts = {"revision": release.revision if release else 0, "status": "deployed"}
        return Found(release_id(ctx.config), "deployed", facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the load balancer, then the release, then its volumes, waiting for each.

        Only Kubernetes can delete the load balancer, which uses the certificate and the VPC.
        """
        uninstall.delete_service(ctx, load_balancer_host(ctx))
        if uninstall.has_records(ctx):
            uninstall.uninstall(ctx)
        uninstall.delete_claims(ctx)

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """Return the load balancer and the volumes."""
        return (CostItem(self.part, "elb"), CostItem(self.part, "gp3-gib", VOLUMES * 8.0))


def release_id(config: Config) -> str:
    """Return the id of the release: namespace and name."""
    return f"{config.openwhisk_namespace}/{config.openwhisk_release}"


def _changes(ctx: Context, keys: OpenWhiskSecrets, desired: DesiredRelease) -> tuple[Drift, ...]:
    """Return how a release differs from the desired one, whoever changed it: chart and values."""
    current = retry_when_unreachable(ctx, lambda _: helm_of(ctx).values())
    names = changed_keys(current, desired.values)
    drift = [Drift("chart", "another", "as configured")] if keys.chart != desired.chart.pin else []
    if names or not drift:
        shown = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
        drift.append(Drift("values", f"{shown} changed" if shown else "changed", "as configured"))
    return tuple(drift)
