"""OpenWhisk's volumes, pods and jobs: the step that waits for them, and what blocks them first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import Context, Step
from aws_setup.eks.storage import last_event
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.connect import active_cluster, kube_client
from aws_setup.kube.objects import CLAIM, DEPLOYMENT, JOB, POD, STATEFUL_SET
from aws_setup.openwhisk.certificate_steps import load_balancer_host
from aws_setup.openwhisk.release import apply_release, desired_release, release_id
from aws_setup.openwhisk.secrets import read_secrets

Object = Mapping[str, Any]

ORDER = ("couchdb", "zookeeper", "kafka", "redis", "controller", "nginx", "invoker")
"""Parts of OpenWhisk: each needs those before it."""

WAITING = frozenset({"ContainerCreating", "PodInitializing", ""})
"""Reasons of a waiting container that pass by themselves."""

LONGEST_LINE = 200
"""Characters of a log line that are shown."""


@dataclass(frozen=True)
class ReleaseStatus:
    """The objects of a release, as Kubernetes lists them."""

    claims: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    jobs: Sequence[Object] = ()
    sets: Sequence[Object] = ()
    deployments: Sequence[Object] = ()


@dataclass(frozen=True)
class Blocker:
    """The first object that is not ready; `failed` is True when waiting cannot help."""

    kind: str
    name: str
    state: str
    failed: bool = False


@dataclass(frozen=True)
class OpenWhiskReady(Step):
    """Every part of OpenWhisk is ready, up to the last job of the chart."""

    name: str = "openwhisk ready"
    needs: tuple[str, ...] = ("node labels",)
    follows: tuple[str, ...] = ("openwhisk address",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return whether every part is ready; None when there is no release."""
        if active_cluster(ctx) is None or "openwhisk release" not in ctx.found:
            return None
        blocker = find_blocker(ctx)
        if blocker is None:
            return Found(release_id(ctx.config), "ready")
        drift = (Drift(blocker.name, blocker.state, "complete"),) if blocker.failed else ()
        facts = {"notes": unready_pods(ctx)}
        return Found(release_id(ctx.config), describe(ctx, blocker), facts, drift, ready=False)

    def create(self, ctx: Context) -> Found:
        """Return the release as starting; `wait` then polls its parts."""
        return Found(release_id(ctx.config), "starting", ready=False)

    def update(self, ctx: Context, found: Found) -> Found:
        """Re-create a failed job: delete it, and let helm create it again."""
        blocker = find_blocker(ctx)
        if blocker and blocker.failed:
            ctx.note(f"job {blocker.name} failed; re-creating it")
            kube_client(ctx).delete(JOB, blocker.name, ctx.config.openwhisk_namespace)
            keys = read_secrets(ctx)
            if keys:
                apply_release(ctx, desired_release(ctx, keys, host=load_balancer_host(ctx)))
        return Found(found.id, "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when nothing blocks any more; notes name the first blocker and its reason."""

        def probe() -> Found | Pending:
            blocker = find_blocker(ctx)
            if blocker is None:
                return Found(release_id(ctx.config), "ready")
            text = describe(ctx, blocker)
            if blocker.failed:
                raise SetupError(
                    f"OpenWhisk's {blocker.kind} {blocker.name} {blocker.state}",
                    text,
                    "run `configure` again to re-create the job",
                )
            return Pending(text)

        return ctx.wait_until(
            "OpenWhisk becomes ready",
            probe,
            deadline=2400,
            pause=10,
            hint="find the cause in docs/configure.md, fix it and run `configure` again",
        )


def find_blocker(ctx: Context) -> Blocker | None:
    """Return what OpenWhisk waits for; None when every part is ready."""
    client, config = kube_client(ctx), ctx.config
    namespace = config.openwhisk_namespace
    status = ReleaseStatus(
        claims=client.list(CLAIM, namespace),
        pods=_release_pods(ctx),
        jobs=client.list(JOB, namespace),
        sets=client.list(STATEFUL_SET, namespace),
        deployments=client.list(DEPLOYMENT, namespace),
    )
    return first_blocker(status, release=config.openwhisk_release)


def unready_pods(ctx: Context) -> list[str]:
    """Return the pods of OpenWhisk that are not ready, each with the reason, for `status`."""
    reasons = [(_name(pod), unready_reason(pod)) for pod in _release_pods(ctx)]
    return [f"pod {name}: {reason}" for name, reason in reasons if reason]


def _release_pods(ctx: Context) -> list[dict[str, Any]]:
    """Return the pods of the namespace without those that OpenWhisk starts for actions."""
    return [
        pod
        for pod in kube_client(ctx).list(POD, ctx.config.openwhisk_namespace)
        if "user-action-pod" not in str(_labels(pod).values()) and not _name(pod).startswith("wsk")
    ]


def describe(ctx: Context, blocker: Blocker) -> str:
    """Return a blocker with its newest event and, where it has a log, the log's last line."""
    line = _last_log_line(ctx, blocker) if blocker.kind in ("pod", "job") else ""
    parts = [
        f"{blocker.kind} {blocker.name}: {blocker.state}",
        last_event(ctx, blocker.name, ctx.config.openwhisk_namespace),
        f"(log: {line[:LONGEST_LINE]})" if line else "",
    ]
    return " ".join(part for part in parts if part)


def _last_log_line(ctx: Context, blocker: Blocker) -> str:
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    if blocker.kind == "pod":
        return client.last_line(blocker.name, namespace)
    pods = client.list(POD, namespace, labels=f"job-name={blocker.name}")
    return client.last_line(_name(pods[-1]), namespace) if pods else ""


def first_blocker(status: ReleaseStatus, *, release: str) -> Blocker | None:
    """Return what a release waits for, in the order of dependence; None when it is ready."""
    for claim in sorted(status.claims, key=_name):
        phase = claim.get("status", {}).get("phase", "Pending")
        if phase != "Bound":
            return Blocker("claim", _name(claim), f"volume {phase}")
    for pod in sorted(status.pods, key=lambda pod: (_rank(_name(pod)), _name(pod))):
        reason = unready_reason(pod)
        if reason and not _of_job(pod):
            return Blocker("pod", _name(pod), reason)
    for job in sorted(status.jobs, key=lambda job: _name(job).endswith("install-packages")):
        blocker = _job_blocker(job, status.pods)
        if blocker:
            return blocker
    return _missing_replicas(status) or _missing_last_job(status, release)


def _missing_replicas(status: ReleaseStatus) -> Blocker | None:
    for kind, objects in (("StatefulSet", status.sets), ("Deployment", status.deployments)):
        for item in sorted(objects, key=lambda item: _rank(_name(item))):
            desired = int(item.get("spec", {}).get("replicas", 1))
            ready = int(item.get("status", {}).get("readyReplicas") or 0)
            if ready < desired:
                return Blocker(kind, _name(item), f"{ready} of {desired} ready")
    return None


def _missing_last_job(status: ReleaseStatus, release: str) -> Blocker | None:
    """Return the chart's last job while it does not exist: only its end makes OpenWhisk usable."""
    name = f"{release}-install-packages"
    if any(_name(job) == name for job in status.jobs):
        return None
    return Blocker("job", name, "not created yet")


def _job_blocker(job: Object, pods: Sequence[Object]) -> Blocker | None:
    name, status = _name(job), job.get("status", {})
    for condition in status.get("conditions") or []:
        if condition.get("status") == "True" and condition.get("type") == "Failed":
            reason = condition.get("message") or condition.get("reason") or ""
            return Blocker("job", name, f"failed: {reason}", failed=True)
    if int(status.get("succeeded") or 0) >= 1:
        return None
    job_pods = [pod for pod in pods if (_labels(pod).get("job-name") == name)]
    reasons = [reason for pod in job_pods if (reason := unready_reason(pod))]
    return Blocker("job", name, f"running {reasons[-1]}".strip() if reasons else "running")


def unready_reason(pod: Object) -> str:
    """Return why a pod is not ready, '' when it is."""
    status = pod.get("status", {})
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        return ""
    for container in [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason", "") not in WAITING:
            return f"{waiting['reason']} {waiting.get('message', '')}".strip()
    if phase != "Running":
        return _unscheduled(status) or str(phase)
    ready = {c["type"]: c["status"] for c in status.get("conditions") or []}.get("Ready", "True")
    return "" if ready == "True" else "not ready"


def _unscheduled(status: Object) -> str:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
    return ""


def _rank(name: str) -> int:
    return next((index for index, part in enumerate(ORDER) if part in name), len(ORDER))


def _of_job(pod: Object) -> bool:
    return "job-name" in _labels(pod)


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}
