"""The volume claims of the release: those that are lost, being deleted or missing are drift.

Kubernetes makes no data again. A claim of the database is therefore never replaced by itself: the
registered actions are in it. The others hold what their programs make again.
https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.context import Context
from aws_setup.engine.step import Drift
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import CLAIM, Json
from aws_setup.openwhisk.immutable_fields import Manifest
from aws_setup.openwhisk.release_records import objects_of, status_of
from aws_setup.openwhisk.secrets import of_release

DATABASE = "couchdb"
"""Part of the name of the database's claim."""

BEGIN_AGAIN = (
    "restore its volume from a snapshot; or, without its data, run "
    '`python configure_eks_cluster.py destroy --only "openwhisk release"`, '
    "`python configure_eks_cluster.py` and `python whisk_helper.py --create` again"
)


def claim_drift(ctx: Context, records: Sequence[Json]) -> tuple[Drift, ...]:
    """Return the drift of the claims of the deployed revision."""
    namespace = ctx.config.openwhisk_namespace
    deployed = [record for record in records if status_of(record) == "deployed"]
    manifest: Manifest = list(objects_of(deployed[-1])) if deployed else []
    live = {str(it["metadata"]["name"]): it for it in kube_client(ctx).list(CLAIM, namespace)}
    of_sets = {name for name, it in live.items() if of_release(it, ctx.config.openwhisk_release)}
    names = sorted({*claims_of(manifest, namespace), *of_sets})
    return tuple(drift for name in names for drift in _drift(name, live.get(name), namespace))


def claims_of(manifest: Manifest, namespace: str) -> set[str]:
    """Return the names of a manifest's own claims.

    Those of a StatefulSet's pods are made by its controller, which makes missing ones again.
    """
    return {
        str(item["metadata"]["name"])
        for item in manifest
        if item["kind"] == "PersistentVolumeClaim"
        and (item["metadata"].get("namespace") or namespace) == namespace
    }


def _drift(name: str, claim: Json | None, namespace: str) -> list[Drift]:
    """Return what is wrong with a claim: a conflict, except where an upgrade makes it again."""
    what, database = f"claim {name}", DATABASE in name
    if claim is None:
        fix = BEGIN_AGAIN if database else ""
        return [Drift(what, "missing, and its data with it", "a volume", fix)]
    if claim["metadata"].get("deletionTimestamp"):
        fix = f"{_delete(name, namespace)}, then configure again: it gets a new volume"
        has = "being deleted: gone when its pod ends, which nothing can undo"
        return [Drift(what, has, "a volume", BEGIN_AGAIN if database else fix)]
    if claim.get("status", {}).get("phase") == "Lost":
        volume = claim.get("spec", {}).get("volumeName", "")
        fix = f"{_delete(name, namespace)}, then configure again: it gets a new volume"
        has = f"lost: its volume {volume} is gone, and the data with it"
        return [Drift(what, has, "a volume", BEGIN_AGAIN if database else fix)]
    return []


def _delete(name: str, namespace: str) -> str:
    return f"run `kubectl -n {namespace} delete pvc {name}` and delete the pod that uses it"
