"""Pods: scheduled, pulled, started, ready, ended, gone."""

from __future__ import annotations

import copy

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.faults import ImagePullFails, PodCrashes, PodNotReady
from aws_setup.rehearsal.kubernetes.controllers import scheduling
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    conditions,
    is_being_deleted,
    is_ready,
    part_of,
)

ENDED = {"Succeeded", "Failed"}


def reconcile_pods(desk: ControllerContext) -> None:
    """Move every pod on."""
    for pod in desk.state.all("pods"):
        if is_being_deleted(pod):
            _stop(desk, pod)
        elif pod["status"].get("phase") in ENDED:
            continue
        elif not pod["spec"].get("nodeName"):
            _schedule(desk, pod)
        elif desk.state.get("nodes", pod["spec"]["nodeName"]) is None:
            desk.state.remove("pods", pod)
        else:
            _run(desk, pod)


def _stop(desk: ControllerContext, pod: KubeObject) -> None:
    grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
    placed = pod["spec"].get("nodeName")
    if not grace or not placed or desk.due(pod, "pod stops"):
        desk.state.remove("pods", pod)


def _schedule(desk: ControllerContext, pod: KubeObject) -> None:
    reason = _missing_claim(desk, pod)
    node = ""
    if not reason:
        node, reason = scheduling.find_node(desk, pod)
    if reason:
        _unschedulable(desk, pod, reason)
    elif _volumes_bound(desk, pod, node):
        placed = copy.deepcopy(pod)
        placed["spec"]["nodeName"] = node
        placed["status"]["conditions"] = conditions(
            pod, desk.state.now(), PodScheduled=(True, "", "")
        )
        desk.state.put("pods", placed)
        meta = pod["metadata"]
        where = f"{meta['namespace']}/{meta['name']}"
        desk.state.event(
            pod, reason="Scheduled", message=f"Successfully assigned {where} to {node}"
        )


def _unschedulable(desk: ControllerContext, pod: KubeObject, reason: str) -> None:
    found = conditions(pod, desk.state.now(), PodScheduled=(False, "Unschedulable", reason))
    if found != pod["status"].get("conditions"):
        desk.state.set_status("pods", pod, {"phase": "Pending", "conditions": found})
        desk.state.event(pod, reason="FailedScheduling", message=reason, warning=True)


def _missing_claim(desk: ControllerContext, pod: KubeObject) -> str:
    """Return what is wrong with a pod's claims that no node can mend."""
    there = {one["metadata"]["name"]: one for one in scheduling.existing_claims(desk, pod)}
    for name in scheduling.claim_names(pod):
        if name not in there:
            return f'persistentvolumeclaim "{name}" not found'
        held = there[name]
        if held["status"].get("phase") != "Bound" and not _waits_for_consumer(desk, held):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def _waits_for_consumer(desk: ControllerContext, claim: KubeObject) -> bool:
    held = desk.state.get("storageclasses", claim["spec"].get("storageClassName") or "")
    return held is not None and held.get("volumeBindingMode") == "WaitForFirstConsumer"


def _volumes_bound(desk: ControllerContext, pod: KubeObject, node: str) -> bool:
    """Name the node on the claims that wait for it; true when all claims are bound."""
    bound = True
    for claim in scheduling.existing_claims(desk, pod):
        if claim["status"].get("phase") == "Bound":
            continue
        bound = False
        annotations = claim["metadata"].setdefault("annotations", {})
        if scheduling.SELECTED not in annotations:
            annotations[scheduling.SELECTED] = node
            desk.state.put("persistentvolumeclaims", claim)
    return bound


def _run(desk: ControllerContext, pod: KubeObject) -> None:
    fault = desk.faults.pod(pod["metadata"]["name"]) or _missing_secret(desk, pod)
    if isinstance(fault, ImagePullFails):
        _cannot_pull(desk, pod, fault.message)
    elif not desk.due(pod, "image pulled") or not desk.due(pod, "container started"):
        _waiting(desk, pod, "ContainerCreating", "")
    elif isinstance(fault, PodCrashes):
        _crash(desk, pod, fault)
    elif isinstance(fault, PodNotReady):
        _started(desk, pod, ready=False)
        desk.state.event(pod, reason=fault.reason, message=fault.message, warning=True)
    elif blocker := _blocker(desk, pod):
        if _runs_to_completion(pod):
            _started(desk, pod, ready=True)
        else:
            _waiting(desk, pod, "PodInitializing", f"waiting for {blocker}")
    elif _runs_to_completion(pod) and desk.due(pod, "job pod runs"):
        _ended(desk, pod, "Succeeded", 0)
    else:
        _started(desk, pod, ready=True)


def _runs_to_completion(pod: KubeObject) -> bool:
    return bool(pod["spec"].get("restartPolicy", "Always") != "Always")


def _blocker(desk: ControllerContext, pod: KubeObject) -> str:
    """Return a part of its release that a pod waits for; empty when it waits for none."""
    release, part = part_of(pod)
    for wait in desk.waits:
        if not part or wait.part != part:
            continue
        others = desk.state.all("pods", pod["metadata"]["namespace"])
        found = [one for one in others if part_of(one) == (release, wait.on)]
        if not any(is_ready(one) for one in found):
            return wait.on
    return ""


def _missing_secret(desk: ControllerContext, pod: KubeObject) -> PodCrashes | None:
    """Return how a pod fails for lack of a Secret; None when it lacks none."""
    release, part = part_of(pod)
    for need in desk.needs:
        name = f"{release}-{need.secret}"
        there = desk.state.get("secrets", name, pod["metadata"]["namespace"])
        if part and need.part == part and there is None:
            return PodCrashes(pod=pod["metadata"]["name"], log=need.log)
    return None


def _cannot_pull(desk: ControllerContext, pod: KubeObject, message: str) -> None:
    image = pod["spec"]["containers"][0]["image"]
    _waiting(desk, pod, "ImagePullBackOff", f'Back-off pulling image "{image}": {message}')
    text = f'Failed to pull image "{image}": {message}'
    desk.state.event(pod, reason="Failed", message=text, warning=True)


def _crash(desk: ControllerContext, pod: KubeObject, fault: PodCrashes) -> None:
    if pod["spec"].get("restartPolicy") == "Never":
        _ended(desk, pod, "Failed", 1)
        return
    _started(
        desk,
        pod,
        ready=False,
        waiting={
            "reason": "CrashLoopBackOff",
            "message": fault.message,
        },
    )
    desk.state.event(pod, reason="BackOff", message=fault.message, warning=True)


def _waiting(desk: ControllerContext, pod: KubeObject, reason: str, message: str) -> None:
    waiting = {"reason": reason} | ({"message": message} if message else {})
    _set(desk, pod, "Pending", {"waiting": waiting}, ready=False)


def _started(
    desk: ControllerContext, pod: KubeObject, *, ready: bool, waiting: KubeObject | None = None
) -> None:
    started = {"startedAt": pod["status"].get("startTime", desk.state.now())}
    _set(
        desk, pod, "Running", {"waiting": waiting} if waiting else {"running": started}, ready=ready
    )


def _ended(desk: ControllerContext, pod: KubeObject, phase: str, code: int) -> None:
    reason = "Completed" if code == 0 else "Error"
    over = {"exitCode": code, "reason": reason, "finishedAt": desk.state.now()}
    _set(desk, pod, phase, {"terminated": over}, ready=False)


def _set(
    desk: ControllerContext, pod: KubeObject, phase: str, container: KubeObject, *, ready: bool
) -> None:
    spec, now = pod["spec"], desk.state.now()
    crashing = container.get("waiting", {}).get("reason") == "CrashLoopBackOff"
    over: KubeObject = {
        "exitCode": 1,
        "reason": "Error",
        "finishedAt": pod["status"].get("startTime", now),
    }
    statuses = [
        {
            "name": one["name"],
            "image": one["image"],
            "imageID": "",
            "ready": ready,
            "started": ready,
            "restartCount": 3 if crashing else 0,
            "state": container,
            "lastState": {"terminated": over} if crashing else {},
        }
        for one in spec["containers"]
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
    desk.state.set_status(
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


def pod_log(desk: ControllerContext, pod: KubeObject, *, tail: int) -> str:
    """Return the log of a pod: what a fault says, else a line that it runs."""
    fault = desk.faults.pod(pod["metadata"]["name"]) or _missing_secret(desk, pod)
    text = fault.log if isinstance(fault, PodNotReady | PodCrashes) else ""
    lines = (text or f"{pod['metadata']['name']}: running").splitlines()
    return "\n".join(lines[-tail:] if tail else lines) + "\n"
