"""Jobs: pods until enough of them succeeded, or too many failed."""

from __future__ import annotations

from aws_setup.rehearsal.kube import deletion
from aws_setup.rehearsal.kube.controllers import replicas
from aws_setup.rehearsal.kube.controllers.desk import ControllerContext, conditions, is_being_deleted
from aws_setup.rehearsal.kube.errors import KubeObject

BACKOFF_LIMIT = 6


def reconcile_jobs(desk: ControllerContext) -> None:
    """Move Jobs on."""
    for job in desk.state.all("jobs"):
        if is_being_deleted(job):
            continue
        if job["status"].get("conditions"):
            _expire(desk, job)
        else:
            _sync_job(desk, job)


def _sync_job(desk: ControllerContext, job: KubeObject) -> None:
    spec, state = job["spec"], desk.state
    pods = state.owned(job["metadata"]["uid"], "pods")
    phases = [pod["status"].get("phase") for pod in pods]
    succeeded, failed = phases.count("Succeeded"), phases.count("Failed")
    missing = spec.get("completions", 1) - succeeded
    active = replicas.active_pods(desk, job)
    if failed > spec.get("backoffLimit", BACKOFF_LIMIT):
        message = "Job has reached the specified backoff limit"
        _finish_job(desk, job, "Failed", "BackoffLimitExceeded", message)
    elif missing <= 0:
        _finish_job(desk, job, "Complete", "CompletionsReached", "")
    elif not failed or desk.due(job, "job pod again", stage=f"again {failed}", times=2**failed):
        for _ in range(min(missing, spec.get("parallelism", 1)) - len(active)):
            _new_job_pod(desk, job)
    active = replicas.active_pods(desk, job)
    state.set_status(
        "jobs",
        job,
        {
            "startTime": job["status"].get("startTime", state.now()),
            "active": len(active) or None,
            "ready": replicas.count_ready(active),
            "succeeded": succeeded or None,
            "failed": failed or None,
            "uncountedTerminatedPods": {},
        },
    )


def _new_job_pod(desk: ControllerContext, job: KubeObject) -> None:
    meta = job["metadata"]
    labels = {
        "job-name": meta["name"],
        "batch.kubernetes.io/job-name": meta["name"],
        "controller-uid": meta["uid"],
        "batch.kubernetes.io/controller-uid": meta["uid"],
    }
    replicas.create_pod(desk, job, labels=labels)


def _finish_job(desk: ControllerContext, job: KubeObject, kind: str, reason: str, message: str) -> None:
    found = conditions(job, desk.state.now(), **{kind: (True, reason, message)})
    status: KubeObject = {"conditions": found}
    if kind == "Complete":
        status["completionTime"] = desk.state.now()
    desk.state.set_status("jobs", job, status)
    if kind == "Failed":
        desk.state.event(job, reason=reason, message=message, warning=True)


def _expire(desk: ControllerContext, job: KubeObject) -> None:
    """Delete a finished Job whose ttlSecondsAfterFinished are over."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    if desk.due(job, "job pod again", stage="ttl", times=ttl / desk.delays["job pod again"]):
        deletion.delete_object(desk.state, "jobs", job)
