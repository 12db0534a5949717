"""Deployments and their ReplicaSets, and StatefulSets."""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.kinds import KINDS
from aws_setup.rehearsal.kubernetes.api.state import owner_reference
from aws_setup.rehearsal.kubernetes.api.validation import validate
from aws_setup.rehearsal.kubernetes.controllers import pod_set
from aws_setup.rehearsal.kubernetes.controllers.context import (
    ControllerContext,
    conditions,
    is_being_deleted,
    is_ready,
)

DEPLOYMENT_HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def reconcile_deployments(context: ControllerContext) -> None:
    """Reconcile Deployments and ReplicaSets."""
    for deployment in context.state.all("deployments"):
        with context.guard(deployment):
            if not is_being_deleted(deployment) and context.acts("deployments", deployment):
                _deployment(context, deployment)
    for replica_set in context.state.all("replicasets"):
        with context.guard(replica_set):
            if not is_being_deleted(replica_set) and context.acts("replicasets", replica_set):
                _replica_set(context, replica_set)


def _deployment(context: ControllerContext, deployment: KubeObject) -> None:
    desired = deployment["spec"].get("replicas", 1)
    revision_hash = context.hash_of_template(deployment)
    sets = context.state.owned(deployment["metadata"]["uid"], "replicasets")
    new = next(
        (
            held
            for held in sets
            if held["metadata"]["labels"][DEPLOYMENT_HASH_LABEL] == revision_hash
        ),
        None,
    )
    old = [held for held in sets if held is not new]
    recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
    if recreate and any(pod_set.active_pods(context, held) for held in old):
        _scale(context, old, 0)
        return
    if new is None:
        new = _new_set(context, deployment, revision_hash, revision=len(sets) + 1)
    _scale(context, [new], desired)
    if new.get("status", {}).get("readyReplicas", 0) >= desired:
        _scale(context, old, 0)
    _update_deployment_status(context, deployment, new, old, desired)


def _new_set(
    context: ControllerContext, deployment: KubeObject, revision_hash: str, *, revision: int
) -> KubeObject:
    template = copy_json(deployment["spec"]["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[DEPLOYMENT_HASH_LABEL] = revision_hash
    selector = copy_json(deployment["spec"]["selector"])
    selector.setdefault("matchLabels", {})[DEPLOYMENT_HASH_LABEL] = revision_hash
    meta = deployment["metadata"]
    return context.state.put(
        "replicasets",
        {
            "metadata": {
                "name": f"{meta['name']}-{revision_hash}",
                "namespace": meta["namespace"],
                "labels": dict(labels),
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        },
    )


def _scale(context: ControllerContext, sets: list[KubeObject], desired: int) -> None:
    for replica_set in sets:
        if replica_set["spec"]["replicas"] != desired:
            context.state.put(
                "replicasets", replica_set | {"spec": replica_set["spec"] | {"replicas": desired}}
            )


def _update_deployment_status(
    context: ControllerContext,
    deployment: KubeObject,
    new: KubeObject,
    old: list[KubeObject],
    desired: int,
) -> None:
    fresh = pod_set.active_pods(context, new)
    pods = fresh + [pod for held in old for pod in pod_set.active_pods(context, held)]
    ready, meta = pod_set.count_ready(pods), deployment["metadata"]
    enough = ready >= desired
    done = pod_set.count_ready(fresh) >= desired and len(pods) == len(fresh)
    found = conditions(
        deployment,
        context.state.now(),
        Available=(enough, "MinimumReplicas" + ("Available" if enough else "Unavailable"), ""),
        Progressing=(True, "NewReplicaSetAvailable" if done else "ReplicaSetUpdated", ""),
    )
    context.state.set_status(
        "deployments",
        deployment,
        {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(fresh),
            "readyReplicas": ready or None,
            "availableReplicas": ready or None,
            "unavailableReplicas": max(0, desired - ready) or None,
            "conditions": found,
        },
    )


def _replica_set(context: ControllerContext, replica_set: KubeObject) -> None:
    pods, desired = (
        pod_set.active_pods(context, replica_set),
        replica_set["spec"].get("replicas", 1),
    )
    for _ in range(desired - len(pods)):
        pod_set.create_pod(context, replica_set)
    for pod in pods[desired:]:
        pod_set.delete_pod(context, pod)
    pods = pod_set.active_pods(context, replica_set)
    ready = pod_set.count_ready(pods)
    context.state.set_status(
        "replicasets",
        replica_set,
        {
            "observedGeneration": replica_set["metadata"]["generation"],
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        },
    )


STATEFULSET_HASH_LABEL = "controller-revision-hash"


def reconcile_statefulsets(context: ControllerContext) -> None:
    """Reconcile StatefulSets."""
    for statefulset in context.state.all("statefulsets"):
        with context.guard(statefulset):
            if not is_being_deleted(statefulset) and context.acts("statefulsets", statefulset):
                _numbered(context, statefulset)
                _update_statefulset_status(context, statefulset)


def _numbered(context: ControllerContext, statefulset: KubeObject) -> None:
    desired, meta = statefulset["spec"].get("replicas", 1), statefulset["metadata"]
    revision_hash = _revision(context, statefulset)
    ordered = statefulset["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    for pod in pod_set.active_pods(context, statefulset):
        number = int(pod["metadata"]["name"].rpartition("-")[2])
        if number >= desired:
            pod_set.delete_pod(context, pod)
    for number in range(desired):
        name = f"{meta['name']}-{number}"
        current = context.state.read("pods", name, meta["namespace"])
        held = current or _new_statefulset_pod(context, statefulset, name, number, revision_hash)
        if held is None or (ordered and not is_ready(held)):
            break
    _roll(context, statefulset, revision_hash)


def _roll(context: ControllerContext, statefulset: KubeObject, revision_hash: str) -> None:
    """Replace the pod with the highest number that is old; each waits until those above are ready.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates
    """
    meta = statefulset["metadata"]
    for number in reversed(range(statefulset["spec"].get("replicas", 1))):
        pod = context.state.read("pods", f"{meta['name']}-{number}", meta["namespace"])
        if pod is None or is_being_deleted(pod):
            return
        if pod["metadata"]["labels"].get(STATEFULSET_HASH_LABEL) != revision_hash:
            pod_set.delete_pod(context, pod)
            return
        if not is_ready(pod):
            return


def _revision(context: ControllerContext, statefulset: KubeObject) -> str:
    return f"{statefulset['metadata']['name']}-{context.hash_of_template(statefulset)}"


def _new_statefulset_pod(
    context: ControllerContext, statefulset: KubeObject, name: str, number: int, revision_hash: str
) -> KubeObject | None:
    """Create a pod with its claims; None when the API server would refuse one of them."""
    volumes = list(statefulset["spec"]["template"]["spec"].get("volumes") or [])
    for template in statefulset["spec"].get("volumeClaimTemplates") or []:
        title = (template.get("metadata") or {}).get("name", "")
        claim = f"{title}-{name}"
        if why := _refusal(template, claim):
            pod = f"Pod {name} in StatefulSet {statefulset['metadata']['name']}"
            message = f"create Claim {claim} for {pod} failed error: {why}"
            context.state.event(statefulset, reason="FailedCreate", message=message, warning=True)
            return None
        volumes.append({"name": title, "persistentVolumeClaim": {"claimName": claim}})
        _claim(context, statefulset, template, claim)
    labels = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(number),
        STATEFULSET_HASH_LABEL: revision_hash,
    }
    return pod_set.create_pod(
        context, statefulset, name=name, labels=labels, volumes=volumes, hostname=name
    )


def _refusal(template: KubeObject, name: str) -> str:
    """Return why the API server refuses a claim; StatefulSets are created with any templates.

    kubernetes/kubernetes, pkg/apis/apps/validation: templates of claims are not validated.
    """
    kind = KINDS["persistentvolumeclaims"]
    metadata = {**(template.get("metadata") or {}), "name": name, "namespace": "default"}
    try:
        validate(kind, {**template, "metadata": metadata})
    except ApiError as error:
        return str(error)
    return ""


def _claim(
    context: ControllerContext, statefulset: KubeObject, template: KubeObject, name: str
) -> None:
    namespace = statefulset["metadata"]["namespace"]
    if context.state.get("persistentvolumeclaims", name, namespace) is None:
        labels = statefulset["spec"]["selector"].get("matchLabels", {})
        context.state.put(
            "persistentvolumeclaims",
            {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": dict(labels),
                    "finalizers": ["kubernetes.io/pvc-protection"],
                },
                "spec": copy_json(template["spec"]),
                "status": {"phase": "Pending"},
            },
        )


def _update_statefulset_status(context: ControllerContext, statefulset: KubeObject) -> None:
    pods, revision_hash = pod_set.active_pods(context, statefulset), _revision(context, statefulset)
    fresh = [
        pod
        for pod in pods
        if pod["metadata"]["labels"].get(STATEFULSET_HASH_LABEL) == revision_hash
    ]
    ready = pod_set.count_ready(pods)
    done = pod_set.count_ready(fresh) >= statefulset["spec"].get("replicas", 1)
    current = revision_hash if done else statefulset["status"].get("currentRevision", revision_hash)
    context.state.set_status(
        "statefulsets",
        statefulset,
        {
            "observedGeneration": statefulset["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": len(fresh),
            "updatedReplicas": len(fresh),
            "currentRevision": current,
            "updateRevision": revision_hash,
        },
    )
