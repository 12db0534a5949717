"""The pods in which OpenWhisk runs the actions: why one of them has no container."""

from __future__ import annotations

from collections.abc import Iterable

from aws_setup.aws.context import Context
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import EVENT, POD, Json
from aws_setup.openwhisk.release_objects import name_of, unready_reason

LABEL = "user-action-pod=true"
"""The label of every pod of an action.
https://github.com/apache/openwhisk/blob/3e6138d/core/invoker/src/main/scala/org/apache/openwhisk/core/containerpool/kubernetes/WhiskPodBuilder.scala
"""

PREFIX = "wsk"
"""The start of these pods' names; the end is the action's, or `prewarm-` and a kind.
https://github.com/apache/openwhisk/blob/3e6138d/core/invoker/src/main/scala/org/apache/openwhisk/core/containerpool/kubernetes/KubernetesContainerFactory.scala
"""

NO_ROOM = "Insufficient"
"""Is in what the scheduler says of a pod that requests more than any node has left."""


def waiting_pod(ctx: Context, action: str) -> str:
    """Return the pod of an action that does not run, and why; '' where every pod runs.

    Raises:
        SetupError: the cluster cannot be asked.
    """
    pods = kube_client(ctx).list(POD, ctx.config.openwhisk_namespace, labels=LABEL)
    for pod in _own_first(pods, action):
        if reason := unready_reason(pod):
            return f"pod {name_of(pod)}: {reason}"
    return ""


def last_failure(ctx: Context, action: str) -> str:
    """Return the newest warning about a pod of an action, '' without one.

    An invoker deletes a pod that has not started within its minute; the events stay for an hour.
    https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/ (event-ttl)

    Raises:
        SetupError: the cluster cannot be asked.
    """
    events = kube_client(ctx).list(EVENT, ctx.config.openwhisk_namespace)
    about = [
        event
        for event in events
        if event.get("type") == "Warning" and _pod(event).startswith(PREFIX)
    ]
    about.sort(key=lambda event: (_pod(event).endswith(f"-{action.lower()}"), _moment(event)))
    if not about:
        return ""
    newest = about[-1]
    return f"pod {_pod(newest)}: {newest.get('reason')} {newest.get('message')}"


def fix_of(ctx: Context, cause: str) -> str:
    """Return the fix of a pod that does not run."""
    if NO_ROOM in cause:
        return (
            "set a larger openwhisk_invoker_instance_type, more num_openwhisk_invoker_vms or a "
            "smaller openwhisk_action_memory, then run python configure_eks_cluster.py"
        )
    return f"look at them: kubectl describe pods -l {LABEL} -n {ctx.config.openwhisk_namespace}"


def _own_first(pods: Iterable[Json], action: str) -> list[Json]:
    return sorted(pods, key=lambda pod: not name_of(pod).endswith(f"-{action.lower()}"))


def _pod(event: Json) -> str:
    about = event.get("involvedObject") or {}
    return str(about.get("name") or "") if about.get("kind") == "Pod" else ""


def _moment(event: Json) -> str:
    moment = event.get("lastTimestamp") or event.get("eventTime")
    return str(moment or event["metadata"].get("creationTimestamp") or "")
