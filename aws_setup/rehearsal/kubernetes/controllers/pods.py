"""Pods: scheduled, pulled, started, ready, ended, deleted."""

from __future__ import annotations

from aws_setup.rehearsal.core.image_registry import canonical, digest_of
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.faults import ImagePullFails, PodCrashes, PodNotReady
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.controllers import database, pod_set, scheduling
from aws_setup.rehearsal.kubernetes.controllers.connection_pods import connection_output
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    conditions,
    is_being_deleted,
    is_ready,
    part_of,
)

ENDED = {"Succeeded", "Failed"}

ROOT_USER: KubeObject = {"uid": 0, "gid": 0, "supplementalGroups": [0]}
"""Whom a container runs as (KEP-3619): numbers, unlike the uid of an object."""


def reconcile_pods(context: ControllerContext) -> None:
    """Reconcile every pod."""
    for pod in context.state.all("pods"):
        with context.guard(pod):
            if is_being_deleted(pod):
                _stop(context, pod)
            elif pod["status"].get("phase") in ENDED:
                continue
            elif not pod["spec"].get("nodeName"):
                if context.acts("scheduler", pod):
                    _schedule(context, pod)
            elif ("nodes", "", pod["spec"]["nodeName"]) not in context.state.objects:
                context.state.remove("pods", pod)
            elif _is_evicted(context, pod):
                _evict(context, pod)
            elif not _waits_for_kubelet(context, pod):
                _run(context, pod)


def _waits_for_kubelet(context: ControllerContext, pod: KubeObject) -> bool:
    """Return whether a pod is not started yet, and its node's kubelet or network does not work.

    A pod that tolerates all taints is scheduled to such a node, and stays there.
    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """
    placed = context.state.get("nodes", pod["spec"]["nodeName"])
    started = pod["status"].get("containerStatuses") or pod["spec"].get("hostNetwork")
    return not started and placed is not None and not is_ready(placed)


def _is_evicted(context: ControllerContext, pod: KubeObject) -> bool:
    """Return whether a taint ends a pod; one that it tolerates for some seconds does not.

    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
    """
    placed = context.state.get("nodes", pod["spec"]["nodeName"])
    return placed is not None and not scheduling.tolerates(
        pod["spec"], placed, effects=("NoExecute",)
    )


def _evict(context: ControllerContext, pod: KubeObject) -> None:
    meta = pod["metadata"]
    message = f"Marking for deletion Pod {meta['namespace']}/{meta['name']}"
    context.state.event(pod, reason="TaintManagerEviction", message=message)
    pod_set.delete_pod(context, pod)


def _stop(context: ControllerContext, pod: KubeObject) -> None:
    grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
    placed = pod["spec"].get("nodeName")
    if not grace or not placed or context.due(pod, "pod stops"):
        context.state.remove("pods", pod)


def _schedule(context: ControllerContext, pod: KubeObject) -> None:
    reason = _missing_claim(context, pod)
    node = ""
    if not reason:
        node, reason = scheduling.find_node(context, pod)
    if reason:
        _unschedulable(context, pod, reason)
    elif _volumes_bound(context, pod, node):
        placed = copy_json(pod)
        placed["spec"]["nodeName"] = node
        placed["status"]["conditions"] = conditions(
            pod, context.state.now(), PodScheduled=(True, "", "")
        )
        context.state.put("pods", placed)
        meta = pod["metadata"]
        full_name = f"{meta['namespace']}/{meta['name']}"
        context.state.event(
            pod, reason="Scheduled", message=f"Successfully assigned {full_name} to {node}"
        )


def _unschedulable(context: ControllerContext, pod: KubeObject, reason: str) -> None:
    found = conditions(pod, context.state.now(), PodScheduled=(False, "Unschedulable", reason))
    if found != pod["status"].get("conditions"):
        context.state.set_status("pods", pod, {"phase": "Pending", "conditions": found})
        context.state.event(pod, reason="FailedScheduling", message=reason, warning=True)


def _missing_claim(context: ControllerContext, pod: KubeObject) -> str:
    """Return the problem of a pod's claims that no node can resolve; empty for none."""
    claims = {
        claim["metadata"]["name"]: claim for claim in scheduling.existing_claims(context, pod)
    }
    for name in scheduling.claim_names(pod):
        if name not in claims:
            return f'persistentvolumeclaim "{name}" not found'
        held = claims[name]
        if held["status"].get("phase") != "Bound" and not _waits_for_consumer(context, held):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def _waits_for_consumer(context: ControllerContext, claim: KubeObject) -> bool:
    held = context.state.get("storageclasses", claim["spec"].get("storageClassName") or "")
    return held is not None and held.get("volumeBindingMode") == "WaitForFirstConsumer"


def _volumes_bound(context: ControllerContext, pod: KubeObject, node: str) -> bool:
    """Set the node on the claims that wait for one; returns whether all claims are bound."""
    bound = True
    for claim in scheduling.existing_claims(context, pod):
        if claim["status"].get("phase") == "Bound":
            continue
        bound = False
        annotations = claim["metadata"].setdefault("annotations", {})
        if scheduling.SELECTED not in annotations:
            annotations[scheduling.SELECTED] = node
            context.state.put("persistentvolumeclaims", claim)
    return bound


def _run(context: ControllerContext, pod: KubeObject) -> None:
    fault = (
        context.faults.pod(pod["metadata"]["name"])
        or _missing_secret(context, pod)
        or database.missing(context, pod)
    )
    if isinstance(fault, ImagePullFails):
        _cannot_pull(context, pod, fault.message)
    elif not context.due(pod, "image pulled") or not context.due(pod, "container started"):
        _waiting(context, pod, "ContainerCreating", "")
    elif isinstance(fault, PodCrashes):
        _crash(context, pod, fault)
    elif isinstance(fault, PodNotReady):
        _started(context, pod, ready=False)
        context.state.event(pod, reason=fault.reason, message=fault.message, warning=True)
    elif blocker := _blocker(context, pod):
        if _runs_to_completion(pod):
            _started(context, pod, ready=True)
        else:
            _waiting(context, pod, "PodInitializing", f"waiting for {blocker}")
    elif _runs_to_completion(pod):
        _run_job(context, pod)
    else:
        _started(context, pod, ready=True)


def _run_job(context: ControllerContext, pod: KubeObject) -> None:
    """Run the program of a Job's pod: its effect comes first, its end after a while."""
    if context.once(pod, "job effect"):
        database.begin(context, pod)
        for effect in context.job_effects:
            effect(pod)
    if context.due(pod, "job pod runs"):
        _ended(context, pod, "Succeeded", 0)
        database.end(context, pod)
    else:
        _started(context, pod, ready=True)


def _runs_to_completion(pod: KubeObject) -> bool:
    return bool(pod["spec"].get("restartPolicy", "Always") != "Always")


def _blocker(context: ControllerContext, pod: KubeObject) -> str:
    """Return the part of its release that a pod waits for; empty for none."""
    release, part = part_of(pod)
    for wait in context.pod_dependencies:
        if not part or wait.part != part:
            continue
        others = context.state.all("pods", pod["metadata"]["namespace"])
        found = [item for item in others if part_of(item) == (release, wait.on)]
        if not any(is_ready(item) for item in found):
            return wait.on
    return database.awaited(context, pod)


def _missing_secret(context: ControllerContext, pod: KubeObject) -> PodCrashes | None:
    """Return the crash of a pod for a missing Secret; None without one."""
    release, part = part_of(pod)
    for need in context.secret_dependencies:
        name = f"{release}-{need.secret}"
        key = ("secrets", pod["metadata"]["namespace"], name)
        if part and need.part == part and key not in context.state.objects:
            return PodCrashes(pod=pod["metadata"]["name"], log=need.log)
    return None


def _cannot_pull(context: ControllerContext, pod: KubeObject, message: str) -> None:
    image = pod["spec"]["containers"][0]["image"]
    _waiting(context, pod, "ImagePullBackOff", f'Back-off pulling image "{image}": {message}')
    text = f'Failed to pull image "{image}": {message}'
    context.state.event(pod, reason="Failed", message=text, warning=True)


def _crash(context: ControllerContext, pod: KubeObject, fault: PodCrashes) -> None:
    if pod["spec"].get("restartPolicy") == "Never":
        _ended(context, pod, "Failed", 1)
        return
    _started(
        context,
        pod,
        ready=False,
        waiting={
            "reason": "CrashLoopBackOff",
            "message": fault.message,
        },
    )
    context.state.event(pod, reason="BackOff", message=fault.message, warning=True)


def _waiting(context: ControllerContext, pod: KubeObject, reason: str, message: str) -> None:
    waiting = {"reason": reason} | ({"message": message} if message else {})
    _set(context, pod, "Pending", {"waiting": waiting}, ready=False)


def _started(
    context: ControllerContext, pod: KubeObject, *, ready: bool, waiting: KubeObject | None = None
) -> None:
    started = {"startedAt": pod["status"].get("startTime", context.state.now())}
    _set(
        context,
        pod,
        "Running",
        {"waiting": waiting} if waiting else {"running": started},
        ready=ready,
    )


def _ended(context: ControllerContext, pod: KubeObject, phase: str, code: int) -> None:
    reason = "Completed" if code == 0 else "Error"
    terminated = {"exitCode": code, "reason": reason, "finishedAt": context.state.now()}
    _set(context, pod, phase, {"terminated": terminated}, ready=False)


def _image_id(image: str) -> str:
    """Return an image as the container runtime identifies it, once pulled: with its digest.

    https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#containerstatus-v1-core
    """
    name = canonical(image)
    repository = name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
    return f"{repository}@{digest_of(image)}"


def _set(
    context: ControllerContext, pod: KubeObject, phase: str, container: KubeObject, *, ready: bool
) -> None:
    spec, now = pod["spec"], context.state.now()
    crashing = container.get("waiting", {}).get("reason") == "CrashLoopBackOff"
    terminated: KubeObject = {
        "exitCode": 1,
        "reason": "Error",
        "finishedAt": pod["status"].get("startTime", now),
    }
    statuses = [
        {
            "name": item["name"],
            "image": item["image"],
            "imageID": _image_id(item["image"]) if crashing or "waiting" not in container else "",
            "ready": ready,
            "started": ready,
            "restartCount": 3 if crashing else 0,
            "state": container,
            "lastState": {"terminated": terminated} if crashing else {},
            # Of a container that has started; containerd tells it since 2.0.
            **({} if "waiting" in container else {"user": {"linux": ROOT_USER}}),
        }
        for item in spec["containers"]
    ]
    reason = "" if ready else "ContainersNotReady"
    found = conditions(
        pod,
        now,
        PodScheduled=(True, "", ""),
        Initialized=(phase != "Pending", "", ""),
        ContainersReady=(ready, reason, ""),
        Ready=(ready, "PodCompleted" if phase == "Succeeded" else reason, ""),
    )
    context.state.set_status(
        "pods",
        pod,
        {
            "phase": phase,
            "conditions": found,
            "containerStatuses": statuses,
            "startTime": pod["status"].get("startTime", now),
            "podIP": "10.0.0.10",
            "hostIP": "10.0.0.1",
        },
    )


def pod_log(context: ControllerContext, pod: KubeObject, *, tail: int) -> str:
    """Return the log of a pod: that of its fault, its output, else a line that it is running."""
    fault = context.faults.pod(pod["metadata"]["name"]) or _missing_secret(context, pod)
    text = fault.log if isinstance(fault, PodNotReady | PodCrashes) else ""
    text = text or connection_output(context.cloud_provider, pod)
    lines = (text or f"{pod['metadata']['name']}: running").splitlines()
    return "\n".join(lines[-tail:] if tail else lines) + "\n"
