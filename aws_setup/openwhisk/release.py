"""OpenWhisk's Helm release: what it should be, and the step that applies and deletes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.objects import Json
from aws_setup.openwhisk import (
    certificate_steps,
    kept_keys,
    one_time_jobs,
    release_checks,
    uninstall,
)
from aws_setup.openwhisk.addresses import chart_port, chart_service, load_balancer_host
from aws_setup.openwhisk.chart import COMMIT, Chart, chart_of, is_remote, newer
from aws_setup.openwhisk.claims import claim_drift
from aws_setup.openwhisk.edited_objects import changed_objects, keep_edited
from aws_setup.openwhisk.helm import Helm
from aws_setup.openwhisk.helm_connection import helm_of, retry_when_unreachable
from aws_setup.openwhisk.immutable_fields import Manifest, at, immutable_changes
from aws_setup.openwhisk.interrupted_release import last_applied, recover
from aws_setup.openwhisk.invoker_cpu import with_cpu_share
from aws_setup.openwhisk.invoker_memory import invoker_node
from aws_setup.openwhisk.namenode_image import with_namenode_runtimes
from aws_setup.openwhisk.public_address import apply_public_service
from aws_setup.openwhisk.recreated_objects import delete_immutable
from aws_setup.openwhisk.release_records import PENDING, Revision, newest
from aws_setup.openwhisk.secrets import (
    OpenWhiskSecrets,
    is_owned,
    pin_chart,
    read_secrets,
    require_secrets,
    without_keys,
)
from aws_setup.openwhisk.user_values import user_values
from aws_setup.openwhisk.values import (
    ValuesInput,
    changed_keys,
    fingerprint,
    merge,
    values,
)

MAX_NAMES = 4
"""Names of changed values that are shown."""

VOLUMES = 7
"""Volumes of OpenWhisk's chart (facts of the chart), of 8 GiB on average."""


@dataclass(frozen=True)
class HelmRelease(Step):
    """The release with chart and values of the configuration; drift is fixed by an upgrade.

    It is installed while the nodes start: its pods are Pending until they join.
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
    """

    name: str = "openwhisk release"
    needs: tuple[str, ...] = ("nginx secret", "gp3 storage class")
    follows: tuple[str, ...] = (
        "core-nodes",
        "invoker-nodes",
        "coredns add-on",
        "aws-ebs-csi-driver add-on",
    )
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the release, compared by its description with the desired one."""
        if active_cluster(ctx) is None or (ctx.owned_only and not is_owned(ctx)):
            return None
        resource_id = release_id(ctx.config)
        records = uninstall.records(ctx)
        if not records:
            remains = ctx.owned_only and uninstall.remains(ctx)
            return Found(resource_id, f"uninstalled, {remains}") if remains else None
        if ctx.owned_only:
            return Found(resource_id, "installed")
        release = newest(records)
        if release is None or release.status == "uninstalled":
            return None
        facts = {"revision": release.number, "status": release.status}
        state = f"{release.status}, revision {release.number}"
        return Found(resource_id, state, facts, self._drift(ctx, release, records))

    def _drift(self, ctx: Context, release: Revision, records: Sequence[Json]) -> tuple[Drift, ...]:
        by_hand = not release.description.startswith(FINGERPRINT_PREFIX)
        keys, config = read_secrets(ctx), ctx.config
        if release.status != "deployed":
            # helm describes a revision that did not end itself: this run's values are not others'.
            others = by_hand and not _is_desired(ctx, keys, release)
            kept = without_keys(release.values, ctx, keys) if others else None
            return (Drift("status", release.status, "deployed", replaces=kept),)
        if by_hand and not (keys and keys.chart):
            fix = (
                f"uninstall it (helm uninstall {config.openwhisk_release} "
                f"-n {config.openwhisk_namespace}), or set another openwhisk_release"
            )
            return (Drift("owner", "another", config.deployment_name, fix, DriftKey.OWNER),)
        changed = (
            *changed_objects(ctx, records),
            *claim_drift(ctx, records),
            *certificate_steps.replaced(ctx),
        )
        if keys is None or "server certificate" not in ctx.found:
            return changed
        desired = desired_release(ctx, keys, host=load_balancer_host(ctx))
        if release.description != desired.description:
            current = release.values
            replaced = kept_keys.replaced_keys(ctx, current, desired.values)
            changes = _changes(ctx, keys, desired, current=current, by_hand=by_hand)
            return (*(replaced or changes), *changed)
        return changed

    def create(self, ctx: Context) -> Found:
        """Install or upgrade; pods are waited for in a later step, which shows what blocks them.

        The public Service then gets the certificate and leads to the pods, and certificates that
        a renewal replaced are deleted: nothing uses them any more.
        """
        keys, config = require_secrets(ctx), ctx.config
        apply_release(ctx, desired_release(ctx, keys, host=load_balancer_host(ctx)))
        if not config.openwhisk_internal:
            apply_public_service(ctx)
        if not config.openwhisk_tls_arn:
            certificate_steps.delete_others(ctx, ctx.of("server certificate").id)
        release = newest(uninstall.records(ctx))
        facts = {"revision": release.number if release else 0, "status": "deployed"}
        return Found(release_id(ctx.config), "deployed", facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the load balancer, then the release, then its volumes, waiting for each.

        Only Kubernetes can delete the load balancer, which uses the certificate and the VPC.
        """
        uninstall.delete_service(ctx, chart_service(ctx.config), load_balancer_host(ctx))
        if uninstall.records(ctx):
            uninstall.uninstall(ctx)
        uninstall.delete_claims(ctx)

    def details(self, ctx: Context) -> str:
        """Return the commit of the chart, or its folder."""
        config = ctx.config
        if not is_remote(config):
            return f"chart {config.openwhisk_chart}"
        commit = ctx.defaults.chart_commit or config.openwhisk_chart_ref
        return f"chart {commit[:12] if COMMIT.match(commit) else commit}"

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """Return the load balancer of the chart's Service, and the volumes."""
        return (CostItem(self.part, "elb"), CostItem(self.part, "gp3-gib", VOLUMES * 8.0))


def release_id(config: Config) -> str:
    """Return the id of the release: namespace and name."""
    return f"{config.openwhisk_namespace}/{config.openwhisk_release}"


def _changes(
    ctx: Context,
    keys: OpenWhiskSecrets,
    desired: DesiredRelease,
    *,
    current: Mapping[str, Any],
    by_hand: bool,
) -> tuple[Drift, ...]:
    """Return how a release differs from the desired one, whoever changed it: chart and values.

    A copy is kept of `current` values that were set `by_hand`, with helm.
    """
    left_out, names = one_time_jobs.values_left_out(current), _changed(current, desired)
    drift = [Drift("chart", "another", "as configured")] if keys.chart != desired.chart.pin else []
    if names or not drift:
        shown = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
        has = f"{shown} changed" if shown else "changed"
        kept = without_keys(current, ctx, keys) if by_hand else None
        drift.append(Drift("values", has, "as configured", replaces=kept))
    if not left_out and one_time_jobs.find_initialised(ctx):
        drift[-1] = replace(drift[-1], wants=f"{drift[-1].wants} ({LEFT_OUT})")
    return tuple(drift)


def _is_desired(ctx: Context, keys: OpenWhiskSecrets | None, release: Revision) -> bool:
    """Return whether a release has the desired values; not where those cannot be found out."""
    if keys is None or not keys.chart or "server certificate" not in ctx.found:
        return False
    desired = desired_release(ctx, keys, host=load_balancer_host(ctx))
    return not _changed(release.values, desired)


def _changed(current: Mapping[str, Any], desired: DesiredRelease) -> list[str]:
    """Return the names of the values that an upgrade would change."""
    left_out = one_time_jobs.values_left_out(current)
    return [name for name in changed_keys(current, desired.values) if name not in left_out]


LEFT_OUT = "without the job init-couchdb, which has ended: its data stays, pods restart once"
"""What an upgrade does about an initialised database: the job's values also remove an init
container from the pods that wait for the job, so Kubernetes replaces these pods."""


FINGERPRINT_PREFIX = "lambda-fs "
"""Start of a revision's description; the fingerprint of chart and values follows."""

OTHER_RUN = 60.0
"""Seconds for which a pending release may be another run's; after that it was interrupted."""


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
    ctx: Context, keys: OpenWhiskSecrets, *, host: str, certificate_arn: str | None = None
) -> DesiredRelease:
    """Return what the release should be.

    Args:
        ctx: the step's context.
        keys: OpenWhisk's keys and the pinned chart.
        host: the load balancer's host name, '' while it has none.
        certificate_arn: the load balancer's certificate, '' while there is none; by default
            that of the step "server certificate".
    """
    config = ctx.config
    arn = ctx.of("server certificate").id if certificate_arn is None else certificate_arn
    node, memory = invoker_node(ctx), config.openwhisk_action_memory
    defaults = values(config, ValuesInput(arn, node.memory, keys, host, chart_port(ctx)))
    chart = chart_of(config, pinned=keys.chart, shown=ctx.defaults.chart_commit)
    own = user_values(config)
    merged = with_cpu_share(chart.path, merge(defaults, own), node, memory=memory)
    cells = None if at(own, "whisk.runtimes") else memory
    chart, merged = with_namenode_runtimes(chart, merged, image=config.namenode_image, memory=cells)
    return DesiredRelease(chart, merged)


def apply_release(ctx: Context, desired: DesiredRelease) -> None:
    """Install or upgrade the release, after clearing an interrupted helm operation."""
    retry_when_unreachable(ctx, lambda retried: _apply_once(ctx, desired, retried=retried))


def _apply_once(ctx: Context, desired: DesiredRelease, *, retried: bool) -> None:
    """Install or upgrade once; in a retry a pending release is this run's, else maybe another's."""
    helm, chart = helm_of(ctx), desired.chart
    release = newest(uninstall.records(ctx)) if retried else wait_settled(ctx)
    before: list[Manifest] = [release.manifest] if release else []
    if release and release.status in PENDING:
        release = recover(ctx, helm, release)
        before += [release.manifest] if release else []
    if release and release.status != "deployed":
        before += last_applied(ctx)
    values, new = protected_values(ctx, helm, desired, before)
    release_checks.check_upgrade(ctx, before, new, values)
    keep_edited(ctx, before)
    delete_immutable(ctx, before, new)
    _note_newer_chart(ctx, chart)
    pin_chart(ctx, chart.pin)
    ctx.note("upgrading the Helm release" if release else "installing the Helm release")
    helm.upgrade(chart.path, values, description=desired.description)
    one_time_jobs.clear_failed(ctx)


def protected_values(
    ctx: Context, helm: Helm, desired: DesiredRelease, before: Sequence[Manifest]
) -> tuple[Mapping[str, Any], Manifest]:
    """Return the values with which an upgrade loses no data, and what the chart renders from them.

    Once the database is initialised, the job that initialises it is left out. While it exists as
    it was applied, it may stay: the pods that wait for it then need no restart.

    Raises:
        SetupError: the chart renders the job whatever the values say.
    """
    values: Mapping[str, Any] = desired.values
    new = helm.rendered(desired.chart.path, values)
    for name, job in one_time_jobs.destructive_jobs(ctx.config.openwhisk_release).items():
        changed = immutable_changes(before, new)
        if not _renders_job(new, name) or not (why := one_time_jobs.find_initialised(ctx)):
            continue
        if one_time_jobs.is_harmless(ctx, name, before, [item.name for item in changed]):
            continue
        ctx.note(f"leaving out the job {name}, which runs once: {why}")
        one_time_jobs.leave_out(ctx, name)
        values = merge(values, job.off)
        new = helm.rendered(desired.chart.path, values)
        if _renders_job(new, name):
            raise SetupError(
                f"the chart would run the job {name} again, which deletes {job.destroys}",
                f"{why}, and the chart ignores {', '.join(dict(one_time_jobs.flatten(job.off)))}",
                "use a chart that leaves the job out, as apache/openwhisk-deploy-kube does",
            )
    return values, new


def _renders_job(manifest: Manifest, name: str) -> bool:
    return any(item.get("kind") == "Job" and item["metadata"]["name"] == name for item in manifest)


def _note_newer_chart(ctx: Context, chart: Chart) -> None:
    commit = newer(ctx.config, chart.pin)
    if commit:
        ctx.note(
            f"{ctx.config.openwhisk_chart_ref} is now at {commit[:10]}; the release stays at "
            f"{chart.pin[-40:][:10]} (--update-chart upgrades it)"
        )


def wait_settled(ctx: Context) -> Revision | None:
    """Return the release; while it is pending, wait a short time for another run to end."""
    began = ctx.clock.now()

    def probe() -> list[Revision | None] | Pending:
        release = newest(uninstall.records(ctx))
        pending = release is not None and release.status in PENDING
        if pending and release and ctx.clock.now() - began < OTHER_RUN:
            return Pending(f"the release is {release.status}: waiting for another run to end")
        return [release]

    return ctx.wait_until("no helm operation is pending", probe, deadline=OTHER_RUN * 2, pause=3)[0]
