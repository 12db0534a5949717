"""Deletion of objects: finalizers, grace period, propagation to dependants, namespaces.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/
https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
"""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.kinds import KINDS
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
CLAIM_IN_USE = "kubernetes.io/pvc-protection"
GRACE = 30
"""Default grace period of a pod, in seconds."""

PLURALS = {kind.name: kind.plural for kind in KINDS.values()}


def delete_object(
    state: ObjectStore, plural: str, obj: KubeObject, *, options: KubeObject | None = None
) -> KubeObject:
    """Delete an object, or mark it while finalizers or grace keep it; returns its new state."""
    options = options or {}
    policy = options.get("propagationPolicy") or DEFAULT_POLICY.get(plural, "Background")
    marked = copy_json(obj)
    meta = marked["metadata"]
    others = [item for item in meta.get("finalizers", []) if item not in {FOREGROUND, ORPHAN}]
    # The collector takes both finalizers away once it has seen to the dependants.
    meta["finalizers"] = others + {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
    grace = _grace(plural, marked, options)
    if not meta["finalizers"]:
        del meta["finalizers"]
    if not meta.get("finalizers") and not grace and plural != "namespaces":
        state.remove(plural, marked)
        return marked
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = state.now()
        meta["deletionGracePeriodSeconds"] = grace
        if plural == "namespaces":
            marked["status"] = {"phase": "Terminating"}
    return state.put(plural, marked)


def _grace(plural: str, obj: KubeObject, options: KubeObject) -> int:
    """Return the grace period in seconds; 0 for all but pods on a node."""
    spec = obj.get("spec") or {}
    if plural != "pods" or not spec.get("nodeName"):
        return 0
    requested = options.get("gracePeriodSeconds")
    if obj.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    return int(spec.get("terminationGracePeriodSeconds", GRACE) if requested is None else requested)


DEFAULT_POLICY = {"jobs": "Orphan"}
"""Policy of a deletion that names none: batch/v1 keeps the pods (Jobs: strategy.go)."""


def _orphan_dependents(state: ObjectStore, owner: KubeObject) -> None:
    uid = owner["metadata"]["uid"]
    for item in state.owned(uid):
        kept = copy_json(item)
        references = kept["metadata"]["ownerReferences"]
        kept["metadata"]["ownerReferences"] = [ref for ref in references if ref.get("uid") != uid]
        state.put(PLURALS[item["kind"]], kept)


def collect_garbage(state: ObjectStore) -> None:
    """Collect garbage: dependants of deleted owners, marked objects, terminating namespaces."""
    alive = {obj["metadata"]["uid"] for obj in state.objects.values()}
    for (plural, _, _), obj in list(state.objects.items()):
        meta = obj["metadata"]
        owners = [reference.get("uid") for reference in meta.get("ownerReferences", [])]
        if owners and not alive & set(owners) and "deletionTimestamp" not in meta:
            delete_object(state, plural, obj)
        elif "deletionTimestamp" in meta:
            _finish(state, plural, obj)
    for namespace in state.all("namespaces"):
        if "deletionTimestamp" in namespace["metadata"]:
            _empty_namespace(state, namespace)


def _finish(state: ObjectStore, plural: str, obj: KubeObject) -> None:
    """Remove a marked object without finalizers and dependants."""
    meta = obj["metadata"]
    if ORPHAN in meta.get("finalizers", []):
        _orphan_dependents(state, obj)
        remove_finalizer(state, plural, obj, ORPHAN)
        return
    if FOREGROUND in meta.get("finalizers", []):
        dependants = state.owned(meta["uid"])
        for dependant in dependants:
            if "deletionTimestamp" not in dependant["metadata"]:
                delete_object(state, PLURALS[dependant["kind"]], dependant)
        if not dependants:
            remove_finalizer(state, plural, obj, FOREGROUND)
    elif not meta.get("finalizers") and plural not in {"pods", "namespaces"}:
        state.remove(plural, obj)


def remove_finalizer(state: ObjectStore, plural: str, obj: KubeObject, finalizer: str) -> None:
    """Remove a finalizer; a marked object without finalizers is deleted."""
    kept = copy_json(obj)
    rest = [item for item in kept["metadata"].get("finalizers", []) if item != finalizer]
    kept["metadata"]["finalizers"] = rest
    state.put(plural, kept)
    gone = not rest and "deletionTimestamp" in kept["metadata"]
    if gone and plural not in {"pods", "namespaces"}:
        state.remove(plural, kept)


def _empty_namespace(state: ObjectStore, namespace: KubeObject) -> None:
    """Delete the objects of a namespace, or the namespace itself when it is empty."""
    name = namespace["metadata"]["name"]
    inside = [(key, obj) for key, obj in state.objects.items() if key[1] == name]
    if not inside:
        state.remove("namespaces", namespace)
    for (plural, _, _), obj in inside:
        if "deletionTimestamp" not in obj["metadata"]:
            delete_object(state, plural, obj)
