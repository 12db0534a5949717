"""What blocks OpenWhisk: the first thing in the order in which its parts depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

ORDER = ("couchdb", "zookeeper", "kafka", "redis", "controller", "nginx", "invoker")
"""Each needs those before it: data store, messages, controller, entrance, invokers."""

WAITING = frozenset({"ContainerCreating", "PodInitializing", ""})


@dataclass(frozen=True)
class ReleaseStatus:
    """What Kubernetes shows of a release."""

    claims: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    jobs: Sequence[Object] = ()
    sets: Sequence[Object] = ()
    deployments: Sequence[Object] = ()


@dataclass(frozen=True)
class Blocker:
    """The first thing that is not well: its kind, its name, its state, whether it is hopeless."""

    kind: str
    name: str
    state: str
    hopeless: bool = False


def first_blocker(sight: ReleaseStatus, *, release: str) -> Blocker | None:
    """Return what OpenWhisk waits for; None when everything is well."""
    for claim in sorted(sight.claims, key=_name):
        phase = claim.get("status", {}).get("phase", "Pending")
        if phase != "Bound":
            return Blocker("claim", _name(claim), f"volume {phase}")
    for pod in sorted(sight.pods, key=lambda pod: (_rank(_name(pod)), _name(pod))):
        state = unready_reason(pod)
        if state and not _of_job(pod):
            return Blocker("pod", _name(pod), state)
    for job in sorted(sight.jobs, key=lambda job: _name(job).endswith("install-packages")):
        blocker = _job(job, sight.pods)
        if blocker:
            return blocker
    return _counts(sight) or _no_packages(sight, release)


def _counts(sight: ReleaseStatus) -> Blocker | None:
    for kind, things in (("StatefulSet", sight.sets), ("Deployment", sight.deployments)):
        for thing in sorted(things, key=lambda thing: _rank(_name(thing))):
            wanted = int(thing.get("spec", {}).get("replicas", 1))
            ready = int(thing.get("status", {}).get("readyReplicas") or 0)
            if ready < wanted:
                return Blocker(kind, _name(thing), f"{ready} of {wanted} ready")
    return None


def _no_packages(sight: ReleaseStatus, release: str) -> Blocker | None:
    """Return the missing criterion of the chart itself: its last job."""
    name = f"{release}-install-packages"
    if any(_name(job) == name for job in sight.jobs):
        return None
    return Blocker("job", name, "not there yet")


def _job(job: Object, pods: Sequence[Object]) -> Blocker | None:
    name, status = _name(job), job.get("status", {})
    for condition in status.get("conditions") or []:
        if condition.get("status") == "True" and condition.get("type") == "Failed":
            why = condition.get("message") or condition.get("reason") or ""
            return Blocker("job", name, f"failed: {why}", hopeless=True)
    if int(status.get("succeeded") or 0) >= 1:
        return None
    own = [pod for pod in pods if (_labels(pod).get("job-name") == name)]
    states = [state for pod in own if (state := unready_reason(pod))]
    return Blocker("job", name, f"running {states[-1]}".strip() if states else "running")


def unready_reason(pod: Object) -> str:
    """Return why a pod is not well, '' when it is."""
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


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _labels(thing: Object) -> Mapping[str, str]:
    return thing["metadata"].get("labels") or {}
