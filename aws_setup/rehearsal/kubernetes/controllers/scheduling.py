"""Schedules pods: cordoned nodes, taints, node selectors, affinity, zones of volumes.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.selectors import expression, matches
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    is_being_deleted,
    is_ready,
    labels_of,
)

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
SELECTED = "volume.kubernetes.io/selected-node"


def find_node(context: ControllerContext, pod: KubeObject) -> tuple[str, str]:
    """Return (node, '') for a pod, or ('', the reason why no node fits)."""
    nodes = context.state.all("nodes")
    if not nodes:
        return "", "no nodes available to schedule pods"
    reasons: Counter[str] = Counter()
    good = []
    for node in nodes:
        reason = _rejection_reason(context, pod, node)
        if reason:
            reasons[reason] += 1
        else:
            good.append(node)
    if good:
        best = max(good, key=lambda item: (_score(pod, item), -_count_similar_pods(context, item)))
        return str(best["metadata"]["name"]), ""
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return "", f"0/{len(nodes)} nodes are available: {listed}."


def _rejection_reason(context: ControllerContext, pod: KubeObject, node: KubeObject) -> str:
    """Return why a node does not fit the pod; empty when it fits.

    The first plugin that rejects a node ends the examination, in this order:
    https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/apis/config/v1/default_plugins.go
    """
    return _barred(pod["spec"], node) or _conflict(context, pod, node)


def _barred(spec: KubeObject, node: KubeObject) -> str:
    """Return why a node is not for such a pod, whatever else runs."""
    if node["spec"].get("unschedulable") and not _is_tolerated(CORDONED, spec):
        return "node(s) were unschedulable"
    if not is_ready(node) and not _is_tolerated(NOT_READY, spec):
        return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    if not tolerates(spec, node, effects=("NoSchedule", "NoExecute")):
        return "node(s) had untolerated taint(s)"
    labels, selector = labels_of(node), spec.get("nodeSelector") or {}
    terms = (_affinity(spec, "nodeAffinity").get(REQUIRED) or {}).get("nodeSelectorTerms")
    if any(labels.get(key) != value for key, value in selector.items()) or (
        terms and not any(_term(item, labels) for item in terms)
    ):
        return "node(s) didn't match Pod's node affinity/selector"
    return ""


def _conflict(context: ControllerContext, pod: KubeObject, node: KubeObject) -> str:
    """Return which volume or other pod keeps a pod from a node that is for it."""
    spec, labels = pod["spec"], labels_of(node)
    if not _matches_volume_zones(context, pod, labels.get(ZONE, "")):
        return "node(s) had volume node affinity conflict"
    for term in _affinity(spec, "podAntiAffinity").get(REQUIRED, []):
        if _violates_anti_affinity(context, pod, node, term):
            return "node(s) didn't match pod anti-affinity rules"
    return ""


def _affinity(spec: KubeObject, kind: str) -> KubeObject:
    found: KubeObject = (spec.get("affinity") or {}).get(kind) or {}
    return found


def _term(term: KubeObject, labels: dict[str, str]) -> bool:
    return all(expression(requirement, labels) for requirement in term.get("matchExpressions", []))


def tolerates(spec: KubeObject, node: KubeObject, *, effects: Collection[str]) -> bool:
    """Return whether a pod tolerates the taints of a node that have one of these effects."""
    taints = [item for item in node["spec"].get("taints") or [] if item.get("effect") in effects]
    return all(_is_tolerated(taint, spec) for taint in taints)


def _is_tolerated(taint: KubeObject, spec: KubeObject) -> bool:
    return any(_tolerated(taint, item) for item in spec.get("tolerations") or [])


def _tolerated(taint: KubeObject, toleration: KubeObject) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    desired = (toleration.get("key"), toleration.get("value", ""))
    return desired == (taint["key"], taint.get("value", ""))


def _violates_anti_affinity(
    context: ControllerContext, pod: KubeObject, node: KubeObject, term: KubeObject
) -> bool:
    """Return whether a pod that matches the term is on a node of the same topology."""
    key = term.get("topologyKey", HOST)
    topology_value = labels_of(node).get(key)
    for other in context.state.all("pods", pod["metadata"]["namespace"]):
        if other["metadata"]["uid"] == pod["metadata"]["uid"] or is_being_deleted(other):
            continue
        at = context.state.get("nodes", other["spec"].get("nodeName", ""))
        same = at is not None and labels_of(at).get(key) == topology_value
        if same and matches(term.get("labelSelector") or {}, labels_of(other)):
            return True
    return False


def _matches_volume_zones(context: ControllerContext, pod: KubeObject, zone: str) -> bool:
    """Return whether the volumes of the pod's claims are in the zone."""
    for claim in existing_claims(context, pod):
        volume = context.state.get("persistentvolumes", claim["spec"].get("volumeName", ""))
        if volume and labels_of(volume).get(ZONE, zone) != zone:
            return False
    return True


def claim_names(pod: KubeObject) -> list[str]:
    """Return the names of the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or []
    found = [volume.get("persistentVolumeClaim") for volume in volumes]
    return [str(item["claimName"]) for item in found if item]


def existing_claims(context: ControllerContext, pod: KubeObject) -> list[KubeObject]:
    """Return the existing claims of a pod."""
    found = [
        context.state.get("persistentvolumeclaims", name, pod["metadata"]["namespace"])
        for name in claim_names(pod)
    ]
    return [item for item in found if item is not None]


def _score(pod: KubeObject, node: KubeObject) -> int:
    preferences = _affinity(pod["spec"], "nodeAffinity").get(PREFERRED) or []
    labels = labels_of(node)
    return sum(
        preference["weight"]
        for preference in preferences
        if _term(preference["preference"], labels)
    )


def _count_similar_pods(context: ControllerContext, node: KubeObject) -> int:
    name = node["metadata"]["name"]
    return sum(pod["spec"].get("nodeName") == name for pod in context.state.all("pods"))
