"""Volumes that the cluster still has: destroy of its nodes keeps them, and names whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aws_setup.aws.advice import advice
from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.errors import Problem
from aws_setup.infrastructure.cleanup import UNATTACHED
from aws_setup.infrastructure.cluster_parts import volumes
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import VOLUME, Json


def unclaimed_volumes(ctx: Context) -> list[Item]:
    """Return the volumes of the deployment that no machine and no claim of the cluster uses.

    Without nodes no volume is attached, also that of a user's claim, which binds again when there
    are nodes: such volumes are named as kept. Where the cluster does not say what it has, all are.
    """
    found = volumes(ctx, UNATTACHED)
    if not found or cluster_of(ctx) is None:
        return found

    def unknown(why: str) -> dict[str, str]:
        return {str(item["VolumeId"]): f"not known ({why})" for item in found}

    owners = advice(lambda: dict(_owners(ctx)), unknown)
    kept = {name: owners[name] for item in found if (name := str(item["VolumeId"])) in owners}
    if kept:
        ctx.warn(_kept(kept))
    return [item for item in found if item["VolumeId"] not in kept]


def _kept(owners: Mapping[str, str]) -> Problem:
    """Return the warning about volumes that stay with the cluster."""
    names = "; ".join(f"{volume} of {owner}" for volume, owner in owners.items())
    return Problem(
        f"kept: {', '.join(owners)}",
        f"the cluster stays, and has a PersistentVolume of each, with data ({names}); they cost "
        "what their disks cost",
        "to delete one, run configure again and delete its claim with kubectl; "
        "`python create_aws_infrastructure.py destroy` deletes them with the cluster",
    )


def _owners(ctx: Context) -> Iterator[tuple[str, str]]:
    """Yield the volumes of EBS that a PersistentVolume keeps, each with its claim.

    One whose claim is gone (Released) and whose policy is Delete keeps nothing: its driver had no
    time to delete the volume.
    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reclaiming
    """
    for volume in kube_client(ctx).list(VOLUME):
        spec, phase = volume["spec"], volume.get("status", {}).get("phase")
        ends = spec.get("persistentVolumeReclaimPolicy") == "Delete"
        if not (ends and phase in ("Released", "Failed")):
            yield _disk_of(spec), _claim_of(spec)


def _disk_of(spec: Json) -> str:
    """Return the id of a PersistentVolume's disk; volumes from before CSI have their zone, too."""
    source = spec.get("csi", {}).get("volumeHandle")
    old = spec.get("awsElasticBlockStore", {}).get("volumeID")
    return str(source or old or "").rpartition("/")[2]


def _claim_of(spec: Json) -> str:
    claim = spec.get("claimRef") or {}
    return f"claim {claim.get('namespace')}/{claim.get('name')}" if claim else "no claim"
