"""The objects of OpenWhisk's release in the cluster, and what each pod says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import (
    CLAIM,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    STATEFUL_SET,
    ResourceType,
)
from aws_setup.openwhisk.secrets import is_of_chart, of_release

Object = Mapping[str, Any]

WAITING = frozenset({"ContainerCreating", "PodInitializing", ""})
"""Reasons of a waiting container that pass by themselves."""


@dataclass(frozen=True)
class ReleaseStatus:
    """The objects of a release, as Kubernetes lists them."""

    claims: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    jobs: Sequence[Object] = ()
    sets: Sequence[Object] = ()
    deployments: Sequence[Object] = ()
    daemons: Sequence[Object] = ()


def release_status(ctx: Context) -> ReleaseStatus:
    """Return the release's objects, without what others run in its namespace.

    Pods that OpenWhisk starts for actions belong to none of its workloads.
    """
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    release = ctx.config.openwhisk_release

    def listed(kind: ResourceType) -> list[Object]:
        return [it for it in client.list(kind, namespace) if is_of_chart(it, release)]

    jobs, deployments = listed(JOB), listed(DEPLOYMENT)
    sets, daemons = listed(STATEFUL_SET), listed(DAEMON_SET)
    owners = {uid_of(owner) for owner in (*jobs, *sets, *daemons)}
    # A ReplicaSet is named after its Deployment, and its hash has no hyphen.
    owners |= {name_of(deployment) for deployment in deployments}
    return ReleaseStatus(
        claims=[it for it in client.list(CLAIM, namespace) if of_release(it, release)],
        pods=[
            pod
            for pod in client.list(POD, namespace)
            if is_of_chart(pod, release) or not owners.isdisjoint(_owners(pod))
        ],
        jobs=jobs,
        sets=sets,
        deployments=deployments,
        daemons=daemons,
    )


def _owners(pod: Object) -> Iterator[str]:
    """Yield uid of each owner of a pod, and the name of the Deployment of a ReplicaSet."""
    for owner in pod["metadata"].get("ownerReferences") or []:
        yield str(owner.get("uid"))
        if owner.get("kind") == "ReplicaSet":
            yield str(owner.get("name")).rpartition("-")[0]


def unready_reason(pod: Object) -> str:
    """Return why a pod is not ready, '' when it is."""
    status, phase = pod.get("status", {}), phase_of(pod)
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
        reason = [phase, status.get("reason", ""), status.get("message", "")]
        return unscheduled_reason(pod) or " ".join(filter(None, reason))
    ready = {c["type"]: c["status"] for c in status.get("conditions") or []}.get("Ready", "True")
    return "" if ready == "True" else "not ready"


def is_replaced(pod: Object) -> bool:
    """Say whether a pod is replaced, or ends: its workload then says when there is a ready one.

    A pod that the kubelet evicted or refused stays as Failed until it is garbage-collected.
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
    """
    owned = any(owner.get("controller") for owner in pod["metadata"].get("ownerReferences") or [])
    return "deletionTimestamp" in pod["metadata"] or (owned and phase_of(pod) == "Failed")


def phase_of(pod: Object) -> str:
    """Return a pod's phase, Pending where it has none yet."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def unscheduled_reason(pod: Object) -> str:
    """Return why the scheduler has found no node for a pod, '' where it has not said so."""
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
    return ""


def name_of(item: Object) -> str:
    """Return an object's name."""
    return str(item["metadata"]["name"])


def uid_of(item: Object) -> str:
    """Return an object's uid, '' where it has none."""
    return str(item["metadata"].get("uid", ""))
