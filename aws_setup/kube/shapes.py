"""The types of the fields of Kubernetes objects that this project reads, checked in every answer.

The API server's own answers always have them (it decodes objects into Go's types); a proxy's or a
damaged one need not, and no code behind this check has to expect that.
https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.33/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_setup.engine.decoding import Undecodable

OBJECTS = frozenset(
    {
        "configMapKeyRef", "configMapRef", "involvedObject", "loadBalancer", "metadata",
        "rollingUpdate", "spec", "template", "updateStrategy", "valueFrom", "waiting",
    }
)  # fmt: skip
LISTS = frozenset(
    {
        "conditions", "containerStatuses", "containers", "env", "envFrom", "ingress",
        "initContainerStatuses", "initContainers", "items", "ownerReferences", "ports", "taints",
        "volumeClaimTemplates", "volumes",
    }
)  # fmt: skip
"""Lists of objects."""

NUMBERS = frozenset(
    {
        "completions", "containerPort", "currentNumberScheduled", "desiredNumberScheduled",
        "failed", "generation", "nodePort", "numberReady", "observedGeneration", "partition",
        "readyReplicas", "replicas", "restartCount", "succeeded", "updatedNumberScheduled",
        "updatedReplicas",
    }
)  # fmt: skip
TEXTS = frozenset(
    {
        "apiVersion", "creationTimestamp", "deletionTimestamp", "eventTime", "hostname", "image",
        "ip", "kind", "lastTimestamp", "lastTransitionTime", "message", "name", "namespace",
        "nodeName", "phase", "provisioner", "reason", "resourceVersion", "type", "uid",
        "updateRevision", "volumeName",
    }
)  # fmt: skip
STRING_MAPS = frozenset({"annotations", "data", "labels"})
"""Objects whose keys are free and whose values are texts."""

READ_INSIDE = OBJECTS | LISTS | {"state", "status"}
"""Fields whose own fields are read. In others the same names mean other things: `uid` is a number
in the `user` of a container's status, `failed` a list in a job's `uncountedTerminatedPods`, and a
Service may select by a label `env`.
"""

OF_OTHER_KINDS = frozenset({("volumes", "image")})
"""Fields that are not read, and have the name of one that is: (the field around it, its name)."""

MAX_DEPTH = 64


def checked(answer: dict[str, Any], *, named: bool = False) -> dict[str, Any]:
    """Return an answer of the API server as it is.

    Args:
        answer: the answer.
        named: whether it must be an object with a name; else it may be of any kind.

    Raises:
        Undecodable: a field has another type than the API gives it; the text names it.
    """
    listed = answer.get("items")
    for item in listed if isinstance(listed, list) else [answer]:
        if isinstance(item, dict) and ("metadata" in item or named or listed is not None):
            _check_identity(item)
    _check(answer, "", 0)
    return answer


def _check_identity(item: Mapping[str, Any]) -> None:
    """Raise Undecodable for an object without a name; an answer of other kinds has no metadata."""
    metadata = item.get("metadata")
    named = isinstance(metadata, dict) and isinstance(metadata.get("name"), str)
    of_request = str(item.get("kind", "")).endswith(("List", "Status", "Review"))
    if not named and not of_request:
        raise Undecodable("an object in it has no metadata.name")
    # A condition's status is a text, as that of the answer to a deletion is.
    if not isinstance(item.get("status", {}), dict) and not of_request:
        raise _wrong("status", "an object")


def _check(value: Any, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Undecodable("it is nested too deeply")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_field(key, item, f"{path}.{key}" if path else key, depth)
    elif isinstance(value, list):
        for item in value:
            _check(item, path, depth + 1)


def _check_field(key: str, value: Any, path: str, depth: int) -> None:
    if value is None and key == "metadata":
        raise _wrong(path, "an object")
    if value is None or tuple(path.rsplit(".", 2)[-2:]) in OF_OTHER_KINDS:
        return
    if key in STRING_MAPS:
        if not isinstance(value, dict) or not all(
            text is None or isinstance(text, str) for text in value.values()
        ):
            raise _wrong(path, "an object of texts")
        return
    if key in NUMBERS and (not isinstance(value, int) or isinstance(value, bool)):
        raise _wrong(path, "a number")
    if key in TEXTS and not isinstance(value, str):
        raise _wrong(path, "a text")
    if key in OBJECTS and not isinstance(value, dict):
        raise _wrong(path, "an object")
    if key in LISTS and not (
        isinstance(value, list) and all(isinstance(item, dict) for item in value)
    ):
        raise _wrong(path, "a list of objects")
    if key in READ_INSIDE:
        _check(value, path, depth + 1)


def _wrong(path: str, expected: str) -> Undecodable:
    return Undecodable(f"its field {path[:100]} is not {expected}")
