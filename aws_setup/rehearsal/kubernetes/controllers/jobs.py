"""Jobs: pods until the completions are reached or the backoff limit is exceeded."""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api import deletion
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers import pod_set
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    conditions,
    is_being_deleted,
)

BACKOFF_LIMIT = 6


def reconcile_jobs(context: ControllerContext) -> None:
    """Reconcile Jobs."""
    for job in context.state.all("jobs"):
        with context.guard(job):
            if is_being_deleted(job) or not context.acts("jobs", job):
                continue
            if job["status"].get("conditions"):
                _expire(context, job)
            else:
                _sync_job(context, job)


def _sync_job(context: ControllerContext, job: KubeObject) -> None:
    spec, state = job["spec"], context.state
    pods = state.owned(job["metadata"]["uid"], "pods")
    phases = [pod["status"].get("phase") for pod in pods]
    succeeded, failed = phases.count("Succeeded"), phases.count("Failed")
    missing = spec.get("completions", 1) - succeeded
    active = pod_set.active_pods(context, job)
    if failed > spec.get("backoffLimit", BACKOFF_LIMIT):
        message = "Job has reached the specified backoff limit"
        _finish_job(context, job, "Failed", "BackoffLimitExceeded", message)
    elif missing <= 0:
        _finish_job(context, job, "Complete", "CompletionsReached", "")
    elif not failed or context.due(job, "job pod retry", stage=f"again {failed}", times=2**failed):
        for _ in range(min(missing, spec.get("parallelism", 1)) - len(active)):
            _new_job_pod(context, job)
    active = pod_set.active_pods(context, job)
    state.set_status(
        "jobs",
        job,
        {
            "startTime": job["status"].get("startTime", state.now()),
            "active": len(active) or None,
            "ready": pod_set.count_ready(active),
            "succeeded": succeeded or None,
            "failed": failed or None,
            "uncountedTerminatedPods": {},
        },
    )


def _new_job_pod(context: ControllerContext, job: KubeObject) -> None:
    meta = job["metadata"]
    labels = {
        "job-name": meta["name"],
        "batch.kubernetes.io/job-name": meta["name"],
        "controller-uid": meta["uid"],
        "batch.kubernetes.io/controller-uid": meta["uid"],
    }
    pod_set.create_pod(context, job, labels=labels)


def _finish_job(
    context: ControllerContext, job: KubeObject, kind: str, reason: str, message: str
) -> None:
    found = conditions(job, context.state.now(), **{kind: (True, reason, message)})
    status: KubeObject = {"conditions": found}
    if kind == "Complete":
        status["completionTime"] = context.state.now()
    context.state.set_status("jobs", job, status)
    if kind == "Failed":
        context.state.event(job, reason=reason, message=message, warning=True)


def _expire(context: ControllerContext, job: KubeObject) -> None:
    """Delete a finished Job after its ttlSecondsAfterFinished."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    if context.due(job, "job pod retry", stage="ttl", times=ttl / context.delays["job pod retry"]):
        deletion.delete_object(
            context.state, "jobs", job, options={"propagationPolicy": "Background"}
        )
