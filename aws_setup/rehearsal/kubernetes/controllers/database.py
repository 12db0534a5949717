"""OpenWhisk's database in CouchDB: empty until the job init-couchdb has ended, wiped when it runs.

What the chart does (apache/openwhisk-deploy-kube): the job creates the databases and at its end the
one for which the init container wait-for-couchdb waits. It deletes what the databases held, each
time it runs.
"""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.faults import PodCrashes
from aws_setup.rehearsal.kubernetes.controllers.context import ControllerContext, part_of

INIT_JOB = "init-couchdb"
WAITING = "wait-for-couchdb"
"""Name of the init container of every pod that needs the database."""

AFTER_WAITING = frozenset({WAITING, "wait-for-controller"})
"""Init containers whose end implies that the database exists."""

USERS = frozenset({"controller", "scheduler"})
"""Parts that end with an error without the database, where they do not wait for it."""


def wipes(pod: KubeObject) -> bool:
    """Return whether a pod is of the job that wipes the database."""
    return part_of(pod)[1] == INIT_JOB


def _claim(context: ControllerContext, pod: KubeObject) -> KubeObject | None:
    release, namespace = part_of(pod)[0], pod["metadata"]["namespace"]
    return context.state.read("persistentvolumeclaims", f"{release}-couchdb-pvc", namespace)


def _key(context: ControllerContext, pod: KubeObject) -> str:
    """Return what identifies the database of a pod's release: its claim, else its names."""
    claim = _claim(context, pod)
    names = f"{pod['metadata']['namespace']}/{part_of(pod)[0]}"
    return str(claim["metadata"]["uid"]) if claim else names


def begin(context: ControllerContext, pod: KubeObject) -> None:
    """Delete the databases, when the pod is of the job."""
    if wipes(pod):
        context.initialised.discard(_key(context, pod))


def end(context: ControllerContext, pod: KubeObject) -> None:
    """Create the database that says that the others exist, when the pod is of the job."""
    if wipes(pod):
        context.initialised.add(_key(context, pod))


def awaited(context: ControllerContext, pod: KubeObject) -> str:
    """Return the job that a pod's init container waits for; empty for none."""
    names = [item.get("name") for item in pod["spec"].get("initContainers") or []]
    waits = WAITING in names and _key(context, pod) not in context.initialised
    return INIT_JOB if waits else ""


def missing(context: ControllerContext, pod: KubeObject) -> PodCrashes | None:
    """Return the crash of a pod that uses a database which does not exist; None without one."""
    names = {item.get("name") for item in pod["spec"].get("initContainers") or []}
    if part_of(pod)[1] not in USERS or names & AFTER_WAITING or _claim(context, pod) is None:
        return None
    if _key(context, pod) in context.initialised:
        return None
    return PodCrashes(pod=pod["metadata"]["name"], log="database whisks does not exist")
