"""OpenWhisk's Helm release: installed, upgraded, recovered, removed with all that it made."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import Refused, SetupError
from aws_setup.infrastructure.load_balancers import load_balancers
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connect import active_cluster, kube_client
from aws_setup.kube.objects import CLAIM, JOB, SERVICE, VOLUME
from aws_setup.openwhisk import certificate_steps, release_records
from aws_setup.openwhisk.chart import Chart, chart_of, newer
from aws_setup.openwhisk.helm import (
    Helm,
    Release,
    find_helm,
    jobs_that_change,
    retry_when_unreachable,
)
from aws_setup.openwhisk.secrets import (
    OpenWhiskSecrets,
    is_owned,
    of_release,
    pin_chart,
    read_secrets,
)
from aws_setup.openwhisk.values import (
    ValuesInput,
    changed_keys,
    fingerprint,
    memory_of,
    merge,
    user_values,
    values,
)

FINGERPRINT_NOTE = "lambda-fs "
"""Beginning of the description by which a revision says from which values it was made."""

OTHER_RUN = 60.0
"""Seconds for which a pending release may be the work of another run; then it was cut short."""

PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
SHOWN = 4
"""Names of changed values that are shown."""

VOLUMES = 7
"""Volumes of OpenWhisk's chart (facts of the chart), of 8 GiB on average."""


def helm_of(ctx: Context) -> Helm:
    """Return helm for the release of this deployment.

    Raises:
        Refused: helm is missing or too old.
    """
    config = ctx.config
    names = (config.openwhisk_release, config.openwhisk_namespace)
    if config.kubeconfig_path or config.kube_context:
        path = ("--kubeconfig", config.kubeconfig_path) if config.kubeconfig_path else ()
        context = ("--kube-context", config.kube_context) if config.kube_context else ()
        return Helm(find_helm(), *names, arguments=(*path, *context))
    door = kube_client(ctx)
    return Helm(find_helm(), *names, kubeconfig=lambda: private_kubeconfig(door))


def private_kubeconfig(door: KubeClient) -> str:
    """Return a kubeconfig with a token, for one start of a program."""
    if door.endpoint is None:
        raise SetupError("no address of the cluster", "kubeconfig_path is in use", "")
    cluster = {
        "server": door.endpoint.server,
        "certificate-authority-data": base64.b64encode(door.endpoint.authority.encode()).decode(),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lambda-fs", "cluster": cluster}],
        "users": [{"name": "lambda-fs", "user": {"token": door.token()}}],
        "contexts": [
            {"name": "lambda-fs", "context": {"cluster": "lambda-fs", "user": "lambda-fs"}}
        ],
        "current-context": "lambda-fs",
    }
    return yaml.safe_dump(document)


@dataclass(frozen=True)
class DesiredRelease:
    """What the release should be: chart, values, and the mark that names both."""

    chart: Chart
    values: Mapping[str, Any]

    @property
    def mark(self) -> str:
        """The description of the revision."""
        return FINGERPRINT_NOTE + fingerprint(self.values, self.chart.pin)


def desired_release(ctx: Context, keys: OpenWhiskSecrets, *, host: str) -> DesiredRelease:
    """Return what the release should be, with the load balancer's name when it is known."""
    config = ctx.config
    facts = ValuesInput(ctx.of("server certificate").id, invoker_memory(ctx), keys, host)
    whole = merge(values(config, facts), user_values(config))
    return DesiredRelease(chart_of(config, pinned=keys.chart), whole)


def invoker_memory(ctx: Context) -> int:
    """Return how many MB of an invoker node its actions may use, by what EC2 says of its type."""
    kind = ctx.config.openwhisk_invoker_instance_type
    answer = ctx.aws.ec2.describe_instance_types(InstanceTypes=[kind])  # type: ignore[list-item]
    return memory_of(answer["InstanceTypes"][0])


def apply_release(ctx: Context, aim: DesiredRelease) -> None:
    """Install the release or upgrade it, after clearing away what stands against that."""
    retry_when_unreachable(ctx, lambda again: _apply_once(ctx, aim, own=again))


def _apply_once(ctx: Context, aim: DesiredRelease, *, own: bool) -> None:
    """Bring the release; what is pending is our `own` helm's, or perhaps another run's."""
    helm = helm_of(ctx)
    release = helm.status() if own else wait_settled(ctx, helm)
    if release and release.status in PENDING:
        release = recover(ctx, helm, release)
    if release:
        _remove_jobs(
            ctx, jobs_that_change(helm.manifest(), helm.rendered(aim.chart.path, aim.values))
        )
    moved = newer(ctx.config, aim.chart.pin)
    if moved:
        ctx.note(
            f"{ctx.config.openwhisk_chart_ref} has moved on to {moved[:10]}; the release stays at "
            f"{aim.chart.pin[-40:][:10]}, --update-chart takes the new one"
        )
    pin_chart(ctx, aim.chart.pin)
    ctx.note("helm upgrades the release" if release else "helm installs the release")
    helm.upgrade(aim.chart.path, aim.values, description=aim.mark)


def wait_settled(ctx: Context, helm: Helm) -> Release | None:
    """Return the release; while it is pending another run may be at it, for a short while."""
    began = ctx.clock.now()

    def probe() -> list[Release | None] | Pending:
        release = helm.status()
        pending = release is not None and release.status in PENDING
        if pending and release and ctx.clock.now() - began < OTHER_RUN:
            return Pending(f"{release.status}: waiting whether another run ends it")
        return [release]

    what = "the release is settled"
    limit = OTHER_RUN * 2
    return wait_until(what, probe, clock=ctx.clock, deadline=limit, pause=3, note=ctx.note)[0]


def recover(ctx: Context, helm: Helm, release: Release) -> Release | None:
    """Clear a release that a killed helm left pending; returns what is there afterwards."""
    ctx.note(f"the release is {release.status}: an earlier helm was cut short, clearing it")
    if release.status in {"pending-upgrade", "pending-rollback"}:
        before = helm.manifest(release.revision - 1)
        _remove_jobs(ctx, jobs_that_change(helm.manifest(), before))
        helm.rollback()
    else:
        helm.uninstall()
    return helm.status()


def _remove_jobs(ctx: Context, names: Sequence[str]) -> None:
    door, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    for name in names:
        ctx.note(f"removing the job {name}: its template changes")
        door.delete(JOB, name, namespace)

    def gone() -> bool | Pending:
        left = [name for name in names if door.get(JOB, name, namespace)]
        return Pending(f"{', '.join(left)} being deleted") if left else True

    wait_until("old jobs are gone", gone, clock=ctx.clock, deadline=120, pause=1, note=ctx.note)


@dataclass(frozen=True)
class HelmRelease(Step):
    """The release, made from the values; what drifts from them is upgraded."""

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
        """Return the release, compared by its mark with what the configuration wants."""
        if active_cluster(ctx) is None or (ctx.owned_only and not is_owned(ctx)):
            return None
        if not _records(ctx):
            return Found("left over", "claims") if ctx.owned_only and _claims(ctx) else None
        own = f"{ctx.config.openwhisk_namespace}/{ctx.config.openwhisk_release}"
        if ctx.owned_only:
            return Found(own, "there")
        release = retry_when_unreachable(ctx, lambda _: helm_of(ctx).status())
        if release is None or release.status == "uninstalled":
            return None
        facts = {"revision": release.revision, "status": release.status}
        state = f"{release.status}, revision {release.revision}"
        return Found(own, state, facts, self._drift(ctx, release))

    def _drift(self, ctx: Context, release: Release) -> tuple[Drift, ...]:
        if release.status != "deployed":
            return (Drift("status", release.status, "deployed"),)
        keys = read_secrets(ctx)
        if not release.description.startswith(FINGERPRINT_NOTE) and not (keys and keys.chart):
            mend = (
                f"it was installed by somebody else: helm uninstall {ctx.config.openwhisk_release} "
                f"-n {ctx.config.openwhisk_namespace}, or set another openwhisk_release"
            )
            return (Drift("owner", "another", ctx.config.deployment_name, mend, DriftKey.OWNER),)
        if keys is None or "server certificate" not in ctx.found:
            return ()
        aim = desired_release(ctx, keys, host=certificate_steps.load_balancer_host(ctx))
        return () if release.description == aim.mark else _changed(ctx, keys, aim)

    def create(self, ctx: Context) -> Found:
        """Install or upgrade; pods are waited for later, where what blocks can be shown."""
        keys = read_secrets(ctx)
        if keys is None:
            raise SetupError("OpenWhisk's keys are gone", "somebody deleted them", "run it again")
        apply_release(
            ctx, desired_release(ctx, keys, host=certificate_steps.load_balancer_host(ctx))
        )
        release = retry_when_unreachable(ctx, lambda _: helm_of(ctx).status())
        facts = {"revision": release.revision if release else 0, "status": "deployed"}
        own = f"{ctx.config.openwhisk_namespace}/{ctx.config.openwhisk_release}"
        return Found(own, "deployed", facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove the load balancer first, then the release, then its volumes; each is waited for.

        The load balancer needs Kubernetes to go away, and it holds the certificate and the VPC.
        """
        door, config = kube_client(ctx), ctx.config
        host = certificate_steps.load_balancer_host(ctx)
        door.delete(SERVICE, certificate_steps.nginx_secret(config), config.openwhisk_namespace)
        _wait_service(ctx, host)
        if _records(ctx):
            _uninstall(ctx)
        _delete_claims(ctx)

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The load balancer and the volumes."""
        return (CostItem(self.part, "elb"), CostItem(self.part, "gp3-gib", VOLUMES * 8.0))


def _changed(ctx: Context, keys: OpenWhiskSecrets, aim: DesiredRelease) -> tuple[Drift, ...]:
    """Return what tells a release from its aim, whoever changed it: the chart, and which values."""
    names = changed_keys(retry_when_unreachable(ctx, lambda _: helm_of(ctx).values()), aim.values)
    drift = [Drift("chart", "another", "as configured")] if keys.chart != aim.chart.pin else []
    if names or not drift:
        shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
        drift.append(Drift("values", f"{shown or 'set'} by another", "as configured"))
    return tuple(drift)


def _uninstall(ctx: Context) -> None:
    """Uninstall the release; without helm, what its records name is deleted one by one."""
    config = ctx.config
    try:
        find_helm()
    except Refused as missing:
        ctx.note(f"{missing.problems[0].what}: removing one by one what it made")
        release_records.remove(
            kube_client(ctx), config.openwhisk_release, config.openwhisk_namespace
        )
        return
    retry_when_unreachable(ctx, lambda _: helm_of(ctx).uninstall())


def replace_service(ctx: Context, host: str) -> None:
    """Have Kubernetes make another load balancer: the Service goes, and helm makes it again."""
    config, keys = ctx.config, read_secrets(ctx)
    kube_client(ctx).delete(
        SERVICE, certificate_steps.nginx_secret(config), config.openwhisk_namespace
    )
    _wait_service(ctx, host)
    if keys:
        apply_release(ctx, desired_release(ctx, keys, host=""))


def _records(ctx: Context) -> bool:
    """Say whether helm keeps a record of the release: told without helm, which may be missing."""
    config = ctx.config
    door = kube_client(ctx)
    return bool(
        release_records.records_of(door, config.openwhisk_release, config.openwhisk_namespace)
    )


def _claims(ctx: Context) -> list[Any]:
    """Return the claims of the release: by its label, or by its name where a set made them."""
    listed = kube_client(ctx).list(CLAIM, ctx.config.openwhisk_namespace)
    return [claim for claim in listed if of_release(claim, ctx.config.openwhisk_release)]


def _wait_service(ctx: Context, host: str) -> None:
    """Wait until the Service and its load balancer are gone."""
    door, config = kube_client(ctx), ctx.config

    def gone() -> bool | Pending:
        if door.get(SERVICE, certificate_steps.nginx_secret(config), config.openwhisk_namespace):
            return Pending("Kubernetes takes the load balancer away")
        # The first label of an ELB's host name is its name and an id.
        left = [name for name in _balancers(ctx) if host and host.startswith(name)]
        left += [name for name in _balancers(ctx) if host.startswith(f"internal-{name}")]
        return Pending(f"load balancer {left[0]} is being deleted") if left else True

    what = "the load balancer is gone"
    wait_until(what, gone, clock=ctx.clock, deadline=600, pause=4, note=ctx.note)


def _balancers(ctx: Context) -> list[str]:
    cluster = active_cluster(ctx) or {}
    return load_balancers(ctx, str(cluster.get("resourcesVpcConfig", {}).get("vpcId", "")))


def _delete_claims(ctx: Context) -> None:
    """Delete the claims, and wait until their volumes are gone: they cost money."""
    door, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    claims = _claims(ctx)
    volumes = [str(claim.get("spec", {}).get("volumeName") or "") for claim in claims]
    for claim in claims:
        door.delete(CLAIM, claim["metadata"]["name"], namespace)

    def gone() -> bool | Pending:
        left = len(_claims(ctx))
        left += sum(1 for volume in volumes if volume and door.get(VOLUME, volume))
        return Pending(f"{left} volumes and claims are being deleted") if left else True

    what = "OpenWhisk's volumes are gone"
    wait_until(what, gone, clock=ctx.clock, deadline=600, pause=3, note=ctx.note)
