"""Deployments and their ReplicaSets; a new template brings a new ReplicaSet."""

from __future__ import annotations

import copy

from aws_setup.rehearsal.kubernetes.api import deletion
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.state import owner_reference
from aws_setup.rehearsal.kubernetes.controllers import pod_set
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    conditions,
    is_being_deleted,
    is_ready,
    template_hash,
)

DEPLOYMENT_HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def reconcile_deployments(context: ControllerContext) -> None:
    """Move Deployments and ReplicaSets on."""
    for one in context.state.all("deployments"):
        if not is_being_deleted(one):
            _deployment(context, one)
    for one in context.state.all("replicasets"):
        if not is_being_deleted(one):
            _replica_set(context, one)


def _deployment(context: ControllerContext, one: KubeObject) -> None:
    wanted = one["spec"].get("replicas", 1)
    own = template_hash(one["spec"]["template"])
    sets = context.state.owned(one["metadata"]["uid"], "replicasets")
    new = next(
        (held for held in sets if held["metadata"]["labels"][DEPLOYMENT_HASH_LABEL] == own), None
    )
    old = [held for held in sets if held is not new]
    recreate = (one["spec"].get("strategy") or {}).get("type") == "Recreate"
    if recreate and any(pod_set.active_pods(context, held) for held in old):
        _scale(context, old, 0)
        return
    if new is None:
        new = _new_set(context, one, own, revision=len(sets) + 1)
    _scale(context, [new], wanted)
    if new.get("status", {}).get("readyReplicas", 0) >= wanted:
        _scale(context, old, 0)
    _update_deployment_status(context, one, new, old, wanted)


def _new_set(context: ControllerContext, one: KubeObject, own: str, *, revision: int) -> KubeObject:
    template = copy.deepcopy(one["spec"]["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[DEPLOYMENT_HASH_LABEL] = own
    selector = copy.deepcopy(one["spec"]["selector"])
    selector.setdefault("matchLabels", {})[DEPLOYMENT_HASH_LABEL] = own
    meta = one["metadata"]
    return context.state.put(
        "replicasets",
        {
            "metadata": {
                "name": f"{meta['name']}-{own}",
                "namespace": meta["namespace"],
                "labels": dict(labels),
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [owner_reference(one)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        },
    )


def _scale(context: ControllerContext, sets: list[KubeObject], wanted: int) -> None:
    for one in sets:
        if one["spec"]["replicas"] != wanted:
            context.state.put("replicasets", one | {"spec": one["spec"] | {"replicas": wanted}})


def _update_deployment_status(
    context: ControllerContext, one: KubeObject, new: KubeObject, old: list[KubeObject], wanted: int
) -> None:
    fresh = pod_set.active_pods(context, new)
    pods = fresh + [pod for held in old for pod in pod_set.active_pods(context, held)]
    ready, meta = pod_set.count_ready(pods), one["metadata"]
    enough = ready >= wanted
    done = pod_set.count_ready(fresh) >= wanted and len(pods) == len(fresh)
    found = conditions(
        one,
        context.state.now(),
        Available=(enough, "MinimumReplicas" + ("Available" if enough else "Unavailable"), ""),
        Progressing=(True, "NewReplicaSetAvailable" if done else "ReplicaSetUpdated", ""),
    )
    context.state.set_status(
        "deployments",
        one,
        {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(fresh),
            "readyReplicas": ready or None,
            "availableReplicas": ready or None,
            "unavailableReplicas": max(0, wanted - ready) or None,
            "conditions": found,
        },
    )


def _replica_set(context: ControllerContext, one: KubeObject) -> None:
    pods, wanted = pod_set.active_pods(context, one), one["spec"].get("replicas", 1)
    for _ in range(wanted - len(pods)):
        pod_set.create_pod(context, one)
    for pod in pods[wanted:]:
        pod_set.delete_pod(context, pod)
    pods = pod_set.active_pods(context, one)
    ready = pod_set.count_ready(pods)
    context.state.set_status(
        "replicasets",
        one,
        {
            "observedGeneration": one["metadata"]["generation"],
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        },
    )


STATEFULSET_HASH_LABEL = "controller-revision-hash"


def reconcile_statefulsets(context: ControllerContext) -> None:
    """Move StatefulSets on."""
    for one in context.state.all("statefulsets"):
        if not is_being_deleted(one):
            _numbered(context, one)
            _update_statefulset_status(context, one)


def _numbered(context: ControllerContext, one: KubeObject) -> None:
    wanted, meta = one["spec"].get("replicas", 1), one["metadata"]
    own = _revision(one)
    ordered = one["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    for pod in pod_set.active_pods(context, one):
        number = int(pod["metadata"]["name"].rpartition("-")[2])
        if number >= wanted:
            pod_set.delete_pod(context, pod)
    for number in range(wanted):
        name = f"{meta['name']}-{number}"
        there = context.state.get("pods", name, meta["namespace"])
        pod = there or _new_statefulset_pod(context, one, name, number, own)
        if pod["metadata"]["labels"].get(STATEFULSET_HASH_LABEL) != own and not is_being_deleted(
            pod
        ):
            pod_set.delete_pod(context, pod)
            return
        if ordered and not is_ready(pod):
            return


def _revision(one: KubeObject) -> str:
    return f"{one['metadata']['name']}-{template_hash(one['spec']['template'])}"


def _new_statefulset_pod(
    context: ControllerContext, one: KubeObject, name: str, number: int, own: str
) -> KubeObject:
    volumes = list(one["spec"]["template"]["spec"].get("volumes") or [])
    for template in one["spec"].get("volumeClaimTemplates") or []:
        title = template["metadata"]["name"]
        claim = f"{title}-{name}"
        volumes.append({"name": title, "persistentVolumeClaim": {"claimName": claim}})
        _claim(context, one, template, claim)
    labels = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(number),
        STATEFULSET_HASH_LABEL: own,
    }
    return pod_set.create_pod(
        context, one, name=name, labels=labels, volumes=volumes, hostname=name
    )


def _claim(context: ControllerContext, one: KubeObject, template: KubeObject, name: str) -> None:
    namespace = one["metadata"]["namespace"]
    if context.state.get("persistentvolumeclaims", name, namespace) is None:
        labels = one["spec"]["selector"].get("matchLabels", {})
        context.state.put(
            "persistentvolumeclaims",
            {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": dict(labels),
                    "finalizers": ["kubernetes.io/pvc-protection"],
                },
                "spec": copy.deepcopy(template["spec"]),
                "status": {"phase": "Pending"},
            },
        )


def _update_statefulset_status(context: ControllerContext, one: KubeObject) -> None:
    pods, own = pod_set.active_pods(context, one), _revision(one)
    fresh = [pod for pod in pods if pod["metadata"]["labels"].get(STATEFULSET_HASH_LABEL) == own]
    ready = pod_set.count_ready(pods)
    done = pod_set.count_ready(fresh) >= one["spec"].get("replicas", 1)
    current = own if done else one["status"].get("currentRevision", own)
    context.state.set_status(
        "statefulsets",
        one,
        {
            "observedGeneration": one["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": len(fresh),
            "updatedReplicas": len(fresh),
            "currentRevision": current,
            "updateRevision": own,
        },
    )


DAEMONSET_HASH_LABEL = "controller-revision-hash"


def reconcile_daemonsets(context: ControllerContext) -> None:
    """Move DaemonSets on."""
    for one in context.state.all("daemonsets"):
        if not is_being_deleted(one):
            _daemon(context, one)


def _daemon(context: ControllerContext, one: KubeObject) -> None:
    selector = one["spec"]["template"]["spec"].get("nodeSelector") or {}
    wanted = {
        node["metadata"]["name"]
        for node in context.state.all("nodes")
        if is_ready(node) and selector.items() <= node["metadata"]["labels"].items()
    }
    own = template_hash(one["spec"]["template"])
    for pod in pod_set.active_pods(context, one):
        at = pod["spec"].get("nodeName")
        if at not in wanted or pod["metadata"]["labels"].get(DAEMONSET_HASH_LABEL) != own:
            pod_set.delete_pod(context, pod)
    there = {pod["spec"].get("nodeName") for pod in pod_set.active_pods(context, one)}
    for node in sorted(wanted - there):
        pod_set.create_pod(context, one, labels={DAEMONSET_HASH_LABEL: own}, nodeName=node)
    pods = pod_set.active_pods(context, one)
    ready = pod_set.count_ready(pods)
    context.state.set_status(
        "daemonsets",
        one,
        {
            "observedGeneration": one["metadata"]["generation"],
            "desiredNumberScheduled": len(wanted),
            "currentNumberScheduled": len(pods),
            "updatedNumberScheduled": len(pods),
            "numberReady": ready,
            "numberAvailable": ready,
            "numberMisscheduled": 0,
            "numberUnavailable": len(wanted) - ready or None,
        },
    )


BACKOFF_LIMIT = 6


def reconcile_jobs(context: ControllerContext) -> None:
    """Move Jobs on."""
    for job in context.state.all("jobs"):
        if is_being_deleted(job):
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
    """Delete a finished Job whose ttlSecondsAfterFinished are over."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    if context.due(job, "job pod retry", stage="ttl", times=ttl / context.delays["job pod retry"]):
        deletion.delete_object(context.state, "jobs", job)
