"""On which nodes a pod may run, as far as its own specification says.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Object = Mapping[str, Any]

ZONE_LABEL = "topology.kubernetes.io/zone"
"""Node label with the zone, set by EKS."""

_OPERATORS: Mapping[str, Callable[[str | None, Collection[str]], bool]] = {
    "In": lambda value, values: value is not None and value in values,
    "NotIn": lambda value, values: value is None or value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
}
"""Operators of a node selector; Gt and Lt, which compare numbers, are taken as met."""


def is_selected(node: Object, spec: Object) -> bool:
    """Return whether a pod's node selector and required node affinity let it run on a node."""
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or []
    return not terms or any(_meets(labels, term) for term in terms)


def _meets(labels: Mapping[str, str], term: Object) -> bool:
    for rule in term.get("matchExpressions") or []:
        met = _OPERATORS.get(rule["operator"])
        if met and not met(labels.get(rule["key"]), rule.get("values") or []):
            return False
    return True


def tolerates(taint: Object, spec: Object) -> bool:
    """Return whether a pod tolerates a taint."""
    return any(_tolerates(taint, toleration) for toleration in spec.get("tolerations") or [])


def _tolerates(taint: Object, toleration: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    key = toleration.get("key")
    if toleration.get("operator") == "Exists":
        return not key or bool(key == taint["key"])
    same = (key, toleration.get("value") or "")
    return same == (taint["key"], taint.get("value") or "")
