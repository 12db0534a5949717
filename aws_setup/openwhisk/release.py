"""OpenWhisk's Helm release: installed, upgraded, recovered, removed with all that it made."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from aws_setup.config import Config
from aws_setup.engine.step import OWNER, Charge, Context, Drift, Found, Step
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import Refused, SetupError
from aws_setup.infrastructure.cleanup import load_balancers
from aws_setup.kube.client import CLAIM, JOB, SERVICE, VOLUME, Kube
from aws_setup.kube.connect import kube, living_cluster
from aws_setup.openwhisk import certificate_steps, release_records
from aws_setup.openwhisk.chart import Chart, chart_of, newer
from aws_setup.openwhisk.helm import Helm, Release, find_helm, jobs_that_change, through_outages
from aws_setup.openwhisk.secrets import Keys, of_release, ours, pin_chart, read_keys
from aws_setup.openwhisk.values import Facts, differing, mark, memory_of, merge, user_values, values

MARK = "lambda-fs "
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
    door = kube(ctx)
    return Helm(find_helm(), *names, kubeconfig=lambda: private_kubeconfig(door))


def private_kubeconfig(door: Kube) -> str:
    """Return a kubeconfig with a token, for one start of a program."""
    if door.reach is None:
        raise SetupError("no address of the cluster", "kubeconfig_path is in use", "")
    cluster = {
        "server": door.reach.server,
        "certificate-authority-data": base64.b64encode(door.reach.authority.encode()).decode(),
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
class Wanted:
    """What the release should be: chart, values, and the mark that names both."""

    chart: Chart
    values: Mapping[str, Any]

    @property
    def mark(self) -> str:
        """The description of the revision."""
        return MARK + mark(self.values, self.chart.pin)


def wanted(ctx: Context, keys: Keys, *, host: str) -> Wanted:
    """Return what the release should be, with the load balancer's name when it is known."""
    config = ctx.config
    facts = Facts(ctx.of("server certificate").id, invoker_memory(ctx), keys, host)
    whole = merge(values(config, facts), user_values(config))
    return Wanted(chart_of(config, pinned=keys.chart), whole)


def invoker_memory(ctx: Context) -> int:
    """Return how many MB of an invoker node its actions may use, by what EC2 says of its type."""
    kind = ctx.config.openwhisk_invoker_instance_type
    answer = ctx.aws.ec2.describe_instance_types(InstanceTypes=[kind])  # type: ignore[list-item]
    return memory_of(answer["InstanceTypes"][0])


def bring(ctx: Context, aim: Wanted) -> None:
    """Install the release or upgrade it, after clearing away what stands against that."""
    through_outages(ctx, lambda again: _bring(ctx, aim, own=again))


def _bring(ctx: Context, aim: Wanted, *, own: bool) -> None:
    """Bring the release; what is pending is our `own` helm's, or perhaps another run's."""
    helm = helm_of(ctx)
    release = helm.status() if own else settled(ctx, helm)
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


def settled(ctx: Context, helm: Helm) -> Release | None:
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
    door, namespace = kube(ctx), ctx.config.openwhisk_namespace
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
    removing: bool = False

    def find(self, ctx: Context) -> Found | None:
        """Return the release, compared by its mark with what the configuration wants."""
        if living_cluster(ctx) is None or (self.removing and not ours(ctx)):
            return None
        if not _records(ctx):
            return Found("left over", "claims") if self.removing and _claims(ctx) else None
        own = f"{ctx.config.openwhisk_namespace}/{ctx.config.openwhisk_release}"
        if self.removing:
            return Found(own, "there")
        release = through_outages(ctx, lambda _: helm_of(ctx).status())
        if release is None or release.status == "uninstalled":
            return None
        facts = {"revision": release.revision, "status": release.status}
        state = f"{release.status}, revision {release.revision}"
        return Found(own, state, facts, self._drift(ctx, release))

    def _drift(self, ctx: Context, release: Release) -> tuple[Drift, ...]:
        if release.status != "deployed":
            return (Drift("status", release.status, "deployed"),)
        keys = read_keys(ctx)
        if not release.description.startswith(MARK) and not (keys and keys.chart):
            mend = (
                f"it was installed by somebody else: helm uninstall {ctx.config.openwhisk_release} "
                f"-n {ctx.config.openwhisk_namespace}, or set another openwhisk_release"
            )
            return (Drift(OWNER, "another", ctx.config.deployment_name, mend),)
        if keys is None or "server certificate" not in ctx.found:
            return ()
        aim = wanted(ctx, keys, host=certificate_steps.elb_host(ctx))
        return () if release.description == aim.mark else _changed(ctx, keys, aim)

    def create(self, ctx: Context) -> Found:
        """Install or upgrade; pods are waited for later, where what blocks can be shown."""
        keys = read_keys(ctx)
        if keys is None:
            raise SetupError("OpenWhisk's keys are gone", "somebody deleted them", "run it again")
        bring(ctx, wanted(ctx, keys, host=certificate_steps.elb_host(ctx)))
        release = through_outages(ctx, lambda _: helm_of(ctx).status())
        facts = {"revision": release.revision if release else 0, "status": "deployed"}
        own = f"{ctx.config.openwhisk_namespace}/{ctx.config.openwhisk_release}"
        return Found(own, "deployed", facts)

    def update(self, ctx: Context, found: Found) -> Found:
        """Upgrade."""
        return self.create(ctx)

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove the load balancer first, then the release, then its volumes; each is waited for.

        The load balancer needs Kubernetes to go away, and it holds the certificate and the VPC.
        """
        door, config = kube(ctx), ctx.config
        host = certificate_steps.elb_host(ctx)
        door.delete(SERVICE, certificate_steps.nginx_secret(config), config.openwhisk_namespace)
        _wait_service(ctx, host)
        if _records(ctx):
            _uninstall(ctx)
        _delete_claims(ctx)

    def charges(self, config: Config) -> tuple[Charge, ...]:
        """The load balancer and the volumes."""
        return (Charge(self.part, "elb"), Charge(self.part, "gp3-gib", VOLUMES * 8.0))


def _changed(ctx: Context, keys: Keys, aim: Wanted) -> tuple[Drift, ...]:
    """Return what tells a release from its aim, whoever changed it: the chart, and which values."""
    names = differing(through_outages(ctx, lambda _: helm_of(ctx).values()), aim.values)
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
        release_records.remove(kube(ctx), config.openwhisk_release, config.openwhisk_namespace)
        return
    through_outages(ctx, lambda _: helm_of(ctx).uninstall())


def replace_service(ctx: Context, host: str) -> None:
    """Have Kubernetes make another load balancer: the Service goes, and helm makes it again."""
    config, keys = ctx.config, read_keys(ctx)
    kube(ctx).delete(SERVICE, certificate_steps.nginx_secret(config), config.openwhisk_namespace)
    _wait_service(ctx, host)
    if keys:
        bring(ctx, wanted(ctx, keys, host=""))


def _records(ctx: Context) -> bool:
    """Say whether helm keeps a record of the release: told without helm, which may be missing."""
    config = ctx.config
    door = kube(ctx)
    return bool(
        release_records.records_of(door, config.openwhisk_release, config.openwhisk_namespace)
    )


def _claims(ctx: Context) -> list[Any]:
    """Return the claims of the release: by its label, or by its name where a set made them."""
    listed = kube(ctx).list(CLAIM, ctx.config.openwhisk_namespace)
    return [claim for claim in listed if of_release(claim, ctx.config.openwhisk_release)]


def _wait_service(ctx: Context, host: str) -> None:
    """Wait until the Service and its load balancer are gone."""
    door, config = kube(ctx), ctx.config

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
    cluster = living_cluster(ctx) or {}
    return load_balancers(ctx, str(cluster.get("resourcesVpcConfig", {}).get("vpcId", "")))


def _delete_claims(ctx: Context) -> None:
    """Delete the claims, and wait until their volumes are gone: they cost money."""
    door, namespace = kube(ctx), ctx.config.openwhisk_namespace
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
