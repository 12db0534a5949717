"""Events of the group events.k8s.io, which are those of the core group with other field names.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.kinds import EVENTS, KINDS, ResourceKind

NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController",
}
"""Field of the core group -> field of events.k8s.io."""

CORE_NAMES = {new: old for old, new in NAMES.items()}


def shown(kind: ResourceKind, obj: KubeObject) -> KubeObject:
    """Return a stored object as the kind of the request names its fields."""
    if kind is not EVENTS:
        return obj
    named = {NAMES.get(key, key): value for key, value in obj.items()}
    return named | {"apiVersion": EVENTS.group_version, "kind": EVENTS.name}


def stored(kind: ResourceKind, obj: KubeObject) -> KubeObject:
    """Return an object of a request as it is stored."""
    if kind is not EVENTS:
        return obj
    named = {CORE_NAMES.get(key, key): value for key, value in obj.items()}
    return named | {"apiVersion": KINDS["events"].group_version, "kind": EVENTS.name}
