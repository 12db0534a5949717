"""OpenWhisk's volumes, pods and jobs: the step that waits for them, and what blocks them first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.eks.storage import NotBound, StorageProbe, last_event
from aws_setup.eks.volume_hints import volume_hint
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import JOB, POD
from aws_setup.kube.rollout import unready
from aws_setup.openwhisk import one_time_jobs
from aws_setup.openwhisk.addresses import load_balancer_host
from aws_setup.openwhisk.one_time_jobs import may_recreate
from aws_setup.openwhisk.release import apply_release, desired_release, release_id
from aws_setup.openwhisk.release_objects import (
    Object,
    ReleaseStatus,
    is_replaced,
    name_of,
    phase_of,
    release_status,
    uid_of,
    unready_reason,
)
from aws_setup.openwhisk.secrets import read_secrets
from aws_setup.openwhisk.unplaced_pods import UnplacedPods

ORDER = ("couchdb", "zookeeper", "kafka", "redis", "controller", "nginx", "invoker")
"""Parts of OpenWhisk: each needs those before it."""

LONGEST_LINE = 200
"""Characters of a log line that are shown."""


@dataclass(frozen=True)
class Blocker:
    """The first object that is not ready; `failed` is True when waiting cannot help."""

    kind: str
    name: str
    state: str
    failed: bool = False
    uid: str = field(default="", compare=False)


@dataclass(frozen=True)
class OpenWhiskReady(Step):
    """Every part of OpenWhisk is ready, up to the last job of the chart."""

    name: str = "openwhisk ready"
    needs: tuple[str, ...] = ("node labels",)
    follows: tuple[str, ...] = ("openwhisk release",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return whether every part is ready; None when there is no release."""
        if active_cluster(ctx) is None or "openwhisk release" not in ctx.found:
            return None
        blocker = find_blocker(ctx)
        if blocker is None:
            return Found(release_id(ctx.config), "ready", drift=_unprotected(ctx))
        drift = (Drift(blocker.name, blocker.state, "complete"),) if blocker.failed else ()
        facts = {"notes": unready_pods(ctx)}
        return Found(release_id(ctx.config), describe(ctx, blocker), facts, drift, ready=False)

    def create(self, ctx: Context) -> Found:
        """Return the release as starting; `wait` then polls its parts."""
        return Found(release_id(ctx.config), "starting", ready=False)

    def update(self, ctx: Context, found: Found) -> Found:
        """Re-create a failed job by helm, unless it would wipe; protect what is initialised."""
        blocker = find_blocker(ctx)
        if blocker is None:
            one_time_jobs.protect(ctx)
            return Found(found.id, "ready")
        if blocker.failed:
            _recreate(ctx, blocker)
        return Found(found.id, "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when nothing blocks any more; notes name the first blocker and its reason."""
        unplaced = UnplacedPods(ctx)

        def probe() -> Found | Pending:
            blocker = find_blocker(ctx)
            if blocker is None:
                if _unprotected(ctx):
                    one_time_jobs.protect(ctx)
                return Found(release_id(ctx.config), "ready")
            text = describe(ctx, blocker)
            if blocker.failed:
                if _destroys(ctx, blocker.name) and not one_time_jobs.find_initialised(ctx):
                    one_time_jobs.mark_failed(ctx)
                raise SetupError(
                    f"OpenWhisk's {blocker.kind} {blocker.name} {blocker.state}",
                    text,
                    f"run `configure` again to re-create the {blocker.kind}",
                )
            unplaced.check(f"{blocker.kind} {blocker.name}")
            probed = ctx.failed.get(StorageProbe.name)
            if blocker.kind == "claim" and isinstance(probed, NotBound):
                raise SetupError(
                    f"OpenWhisk's volume of {blocker.name} is not bound",
                    f"nor was the one of the {StorageProbe.name}, which failed before",
                    f"do what the error of the {StorageProbe.name} says",
                )
            return Pending(text, volume_hint(text) if blocker.kind == "claim" else "")

        return ctx.wait_until(
            "OpenWhisk becomes ready",
            probe,
            deadline=2400,
            pause=3,
            hint="find the cause in docs/configure.md, fix it and run `configure` again",
        )


def _destroys(ctx: Context, name: str) -> bool:
    return name in one_time_jobs.destructive_jobs(ctx.config.openwhisk_release)


def _unprotected(ctx: Context) -> tuple[Drift, ...]:
    """Return a drift while helm could initialise again what is initialised."""
    if one_time_jobs.is_protected(ctx) or not one_time_jobs.find_initialised(ctx):
        return ()
    return (Drift("database", "initialised", "protected from another initialisation"),)


def _recreate(ctx: Context, blocker: Blocker) -> None:
    """Delete a failed job or pod and let helm create it again, unless that would delete data."""
    name = blocker.name
    if not _destroys(ctx, name):
        ctx.note(f"{blocker.kind} {name} failed; re-creating it")
    elif why := one_time_jobs.find_initialised(ctx):
        ctx.note(f"job {name} failed and is not repeated, because it would delete data: {why}")
    else:
        ctx.note(f"job {name} failed; repeating the first initialisation")
        one_time_jobs.mark_failed(ctx)
    kind = POD if blocker.kind == "pod" else JOB
    kube_client(ctx).delete(kind, name, ctx.config.openwhisk_namespace)
    keys = read_secrets(ctx)
    if keys:
        apply_release(ctx, desired_release(ctx, keys, host=load_balancer_host(ctx)))


def find_blocker(ctx: Context) -> Blocker | None:
    """Return what OpenWhisk waits for; None when every part is ready."""
    release = ctx.config.openwhisk_release
    blocker = first_blocker(release_status(ctx), release=release)
    if blocker and not blocker.failed and (name := one_time_jobs.deleted_failed_job(ctx)):
        return Blocker("job", name, "failed and was deleted", failed=True)
    # A finished job may be deleted; before its first end the database is not marked.
    if blocker == missing_last_job(release) and one_time_jobs.is_marked(ctx):
        return None
    return blocker


def unready_pods(ctx: Context) -> list[str]:
    """Return the pods of OpenWhisk that are not ready, each with the reason, for `status`."""
    pods = [pod for pod in release_status(ctx).pods if not is_replaced(pod)]
    reasons = [(name_of(pod), unready_reason(pod)) for pod in pods]
    return [f"pod {name}: {reason}" for name, reason in reasons if reason]


def describe(ctx: Context, blocker: Blocker) -> str:
    """Return a blocker with its newest event and, where it has a log, the log's last line."""
    line = _last_log_line(ctx, blocker) if blocker.kind in ("pod", "job") else ""
    parts = [
        f"{blocker.kind} {blocker.name}: {blocker.state}",
        last_event(ctx, blocker.name, ctx.config.openwhisk_namespace, uid=blocker.uid),
        f"(log: {line[:LONGEST_LINE]})" if line else "",
    ]
    return " ".join(part for part in parts if part)


def _last_log_line(ctx: Context, blocker: Blocker) -> str:
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    if blocker.kind == "pod":
        return client.last_line(blocker.name, namespace)
    labels = f"job-name={blocker.name}"
    pods = [pod for pod in client.list(POD, namespace, labels=labels) if _is_of(pod, blocker.uid)]
    return client.last_line(name_of(pods[-1]), namespace) if pods else ""


def first_blocker(status: ReleaseStatus, *, release: str) -> Blocker | None:
    """Return what a release waits for, in the order of dependence; None when it is ready.

    A failed job comes first: what waits for it would wait for ever.
    """
    for job in status.jobs:
        blocker = _job_blocker(job, status.pods)
        if blocker and blocker.failed:
            return blocker
    for claim in sorted(status.claims, key=name_of):
        phase = claim.get("status", {}).get("phase", "Pending")
        if phase != "Bound":
            return Blocker("claim", name_of(claim), f"volume {phase}", uid=uid_of(claim))
    for pod in sorted(status.pods, key=lambda pod: (_rank(name_of(pod)), name_of(pod))):
        reason = unready_reason(pod)
        if reason and not _of_job(pod) and not is_replaced(pod):
            failed = phase_of(pod) == "Failed" and may_recreate("Pod", name_of(pod), release)
            return Blocker("pod", name_of(pod), reason, failed=failed, uid=uid_of(pod))
    for job in sorted(status.jobs, key=lambda job: name_of(job).endswith("install-packages")):
        blocker = _job_blocker(job, status.pods)
        if blocker:
            return blocker
    last = missing_last_job(release)
    exists = any(name_of(job) == last.name for job in status.jobs)
    return _rolling_out(status) or (None if exists else last)


def _rolling_out(status: ReleaseStatus) -> Blocker | None:
    """Return the first workload whose newest generation is not ready."""
    for kind, objects in (
        ("StatefulSet", status.sets),
        ("Deployment", status.deployments),
        ("DaemonSet", status.daemons),
    ):
        for item in sorted(objects, key=lambda item: _rank(name_of(item))):
            state = unready(kind, item)
            if state:
                return Blocker(kind, name_of(item), state, uid=uid_of(item))
    return None


def missing_last_job(release: str) -> Blocker:
    """Return the chart's last job while it does not exist: only its end makes OpenWhisk usable."""
    return Blocker("job", f"{release}-install-packages", "not created yet")


def _job_blocker(job: Object, pods: Sequence[Object]) -> Blocker | None:
    name, state = name_of(job), unready("Job", job)
    if state.startswith("failed"):
        return Blocker("job", name, state, failed=True, uid=uid_of(job))
    if not state:
        return None
    job_pods = [
        pod for pod in pods if _labels(pod).get("job-name") == name and _is_of(pod, uid_of(job))
    ]
    reasons = [reason for pod in job_pods if (reason := unready_reason(pod))]
    shown = f"{state} {reasons[-1]}".strip() if reasons else state
    return Blocker("job", name, shown, uid=uid_of(job))


def _rank(name: str) -> int:
    return next((index for index, part in enumerate(ORDER) if part in name), len(ORDER))


def _is_of(pod: Object, uid: str) -> bool:
    """Say whether an object owns a pod, and not a former object of the same name."""
    owners = [owner.get("uid") for owner in pod["metadata"].get("ownerReferences") or []]
    return not uid or not owners or uid in owners


def _of_job(pod: Object) -> bool:
    return "job-name" in _labels(pod)


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}
