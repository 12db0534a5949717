"""PersistentVolumeClaims: bound to a volume of their class's driver; reclaim policies.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

import re

from aws_setup.rehearsal.kubernetes.api import admission, deletion
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.controllers import scheduling
from aws_setup.rehearsal.kubernetes.controllers.context import (
    EBS_DRIVER,
    CloudProviderError,
    ControllerContext,
    is_being_deleted,
    labels_of,
)

IN_TREE = "kubernetes.io/aws-ebs"
"""The in-tree provisioner; since Kubernetes 1.23 the CSI driver handles it."""

UNITS = {
    "": 1,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
}


def reconcile_claims(context: ControllerContext) -> None:
    """Bind pending claims, release unused ones, and reclaim volumes."""
    for claim in context.state.all("persistentvolumeclaims"):
        with context.guard(claim):
            if is_being_deleted(claim):
                _release_unused(context, claim)
            elif claim["status"].get("phase") == "Bound":
                _lose(context, claim)
            elif claim["status"].get("phase") != "Lost":
                _bind(context, claim)
    for volume in context.state.all("persistentvolumes"):
        with context.guard(volume):
            _reclaim(context, volume)


def _lose(context: ControllerContext, claim: KubeObject) -> None:
    """Mark a claim whose volume is gone: it stays Lost (syncBoundClaim in pv_controller.go)."""
    volume = claim["spec"].get("volumeName")
    if volume and context.state.get("persistentvolumes", volume) is None:
        status = claim["status"] | {"phase": "Lost"}
        context.state.put("persistentvolumeclaims", claim | {"status": status})
        message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        context.state.event(claim, reason="ClaimLost", message=message, warning=True)


def _release_unused(context: ControllerContext, claim: KubeObject) -> None:
    meta = claim["metadata"]
    users = context.state.all("pods", meta["namespace"])
    if not any(meta["name"] in scheduling.claim_names(user) for user in users):
        deletion.remove_finalizer(
            context.state, "persistentvolumeclaims", claim, deletion.CLAIM_IN_USE
        )


def _bind(context: ControllerContext, claim: KubeObject) -> None:
    name = claim["spec"].get("storageClassName")
    if name is None:
        name = admission.default_class(context.state)
        if name:
            spec = claim["spec"] | {"storageClassName": name}
            context.state.put("persistentvolumeclaims", claim | {"spec": spec})
            return
    held = context.state.get("storageclasses", name or "")
    if held is None:
        _report_unbound(context, claim, name or "")
        return
    late = held.get("volumeBindingMode") == "WaitForFirstConsumer"
    node = (claim["metadata"].get("annotations") or {}).get(scheduling.SELECTED, "")
    if late and not node:
        message = "waiting for first consumer to be created before binding"
        context.state.event(claim, reason="WaitForFirstConsumer", message=message)
    else:
        _provision(context, claim, held, node)


def _report_unbound(context: ControllerContext, claim: KubeObject, name: str) -> None:
    if name:
        message = f'storageclass.storage.k8s.io "{name}" not found'
        context.state.event(claim, reason="ProvisioningFailed", message=message, warning=True)
    else:
        message = "no persistent volumes available for this claim and no storage class is set"
        context.state.event(claim, reason="FailedBinding", message=message)


def _provision(context: ControllerContext, claim: KubeObject, held: KubeObject, node: str) -> None:
    driver = EBS_DRIVER if held["provisioner"] == IN_TREE else held["provisioner"]
    if driver not in context.drivers:
        message = (
            f"Waiting for a volume to be created either by the external provisioner '{driver}' or "
            "manually by the system administrator. If volume creation is delayed, please verify "
            "that the provisioner is running and correctly registered."
        )
        context.state.event(claim, reason="ExternalProvisioning", message=message)
        return
    if fault := context.faults.claim(claim["metadata"]["name"]):
        context.state.event(claim, reason="ProvisioningFailed", message=fault, warning=True)
        return
    if context.due(claim, "volume created"):
        try:
            volume = _volume(context, claim, held, driver, node)
        except CloudProviderError as error:
            message = f"failed to provision volume: {error}"
            context.state.event(claim, reason="ProvisioningFailed", message=message, warning=True)
            context.retry()
            return
        _bound(context, claim, volume)


def _volume(
    context: ControllerContext, claim: KubeObject, held: KubeObject, driver: str, node: str
) -> KubeObject:
    at = context.state.get("nodes", node)
    zone = labels_of(at).get(scheduling.ZONE, "") if at else ""
    storage = claim["spec"]["resources"]["requests"]["storage"]
    handle = context.cloud_provider.create_volume(
        claim, size=gibibytes(storage), zone=zone, parameters=held.get("parameters") or {}
    )
    meta = claim["metadata"]
    return context.state.put(
        "persistentvolumes",
        {
            "metadata": {
                "name": f"pvc-{meta['uid']}",
                "labels": {scheduling.ZONE: zone} if zone else {},
                "annotations": {"pv.kubernetes.io/provisioned-by": driver},
            },
            "spec": {
                "capacity": {"storage": storage},
                "accessModes": claim["spec"].get("accessModes", ["ReadWriteOnce"]),
                "claimRef": {
                    "kind": "PersistentVolumeClaim",
                    "name": meta["name"],
                    "namespace": meta["namespace"],
                    "uid": meta["uid"],
                },
                "csi": {"driver": driver, "volumeHandle": handle},
                "persistentVolumeReclaimPolicy": held.get("reclaimPolicy", "Delete"),
                "storageClassName": held["metadata"]["name"],
            },
            "status": {"phase": "Bound"},
        },
    )


def _bound(context: ControllerContext, claim: KubeObject, volume: KubeObject) -> None:
    kept = copy_json(claim)
    kept["spec"]["volumeName"] = volume["metadata"]["name"]
    kept["status"] = {
        "phase": "Bound",
        "accessModes": volume["spec"]["accessModes"],
        "capacity": volume["spec"]["capacity"],
    }
    context.state.put("persistentvolumeclaims", kept)
    name = volume["metadata"]["name"]
    message = f"Successfully provisioned volume {name}"
    context.state.event(kept, reason="ProvisioningSucceeded", message=message)


def _reclaim(context: ControllerContext, volume: KubeObject) -> None:
    """Release a volume without its claim; then its driver deletes it, which runs on nodes.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reclaiming
    https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/install.md
    """
    desired = volume["spec"].get("claimRef")
    if not desired or volume["status"].get("phase") not in ("Bound", "Released"):
        return
    claim = context.state.read("persistentvolumeclaims", desired["name"], desired["namespace"])
    if claim is not None and claim["metadata"]["uid"] == desired.get("uid"):
        return
    if volume["status"]["phase"] == "Bound":
        context.state.set_status("persistentvolumes", volume, {"phase": "Released"})
    if volume["spec"].get("persistentVolumeReclaimPolicy") == "Retain":
        return
    source = volume["spec"]["csi"]
    if source["driver"] not in context.drivers or not context.state.all("nodes"):
        return
    context.cloud_provider.delete_volume(source["volumeHandle"])
    context.state.remove("persistentvolumes", volume)


def gibibytes(quantity: str) -> int:
    """Return a quantity such as `512Mi` in whole GiB, rounded up."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(quantity))
    if not found or found[2] not in UNITS:
        raise ValueError(f"no such quantity: {quantity!r}")
    return max(1, -int(-float(found[1]) * UNITS[found[2]] // 2**30))
