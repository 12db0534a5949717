"""A release that a killed helm left between two states is cleared for the next operation."""

from __future__ import annotations

from aws_setup.aws.context import Context
from aws_setup.engine.wait import Pending
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import is_being_deleted
from aws_setup.openwhisk import one_time_jobs, release_records, uninstall
from aws_setup.openwhisk.helm import Helm
from aws_setup.openwhisk.immutable_fields import Manifest, key_of
from aws_setup.openwhisk.release_checks import live_objects
from aws_setup.openwhisk.release_records import Revision, newest, status_of


def recover(ctx: Context, helm: Helm, release: Revision) -> Revision | None:
    """Clear a release that a killed helm left pending; returns the release afterwards.

    Neither a rollback nor, after an interrupted installation, an uninstallation: the first would
    create one-time jobs again, the second would delete the volumes.
    """
    ctx.note(f"found an interrupted helm operation ({release.status}); cleaning up")
    if release.status == "uninstalling":
        helm.uninstall()
        _wait_deleted(ctx, release.manifest)
    else:
        config = ctx.config
        names = config.openwhisk_release, config.openwhisk_namespace
        release_records.delete_pending(kube_client(ctx), *names)
    return newest(uninstall.records(ctx))


def last_applied(ctx: Context) -> list[Manifest]:
    """Return the manifest of the newest revision that was applied to its end, none without one.

    Where a later one failed, what exists may be of either.
    """
    records = uninstall.records(ctx)
    for status in one_time_jobs.APPLIED:
        found = newest([record for record in records if status_of(record) == status])
        if found:
            return [found.manifest]
    return []


def _wait_deleted(ctx: Context, manifest: Manifest) -> None:
    """Return when no object of an uninstalled release is being deleted any more.

    helm does not wait for it: it would take over an object that its finalizers or a grace period
    still keep, such as a volume claim until its pod has ended, and which then vanishes.
    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
    """
    names = {key_of(item) for item in manifest}

    def gone() -> bool | Pending:
        live = live_objects(ctx, manifest)
        left = [key for key, item in live.items() if key in names and is_being_deleted(item)]
        left += [
            ("PersistentVolumeClaim", str(claim["metadata"]["name"]))
            for claim in uninstall.release_claims(ctx)
            if is_being_deleted(claim)
        ]
        return Pending(f"{' '.join(left[0])} is being deleted") if left else True

    what, hint = "the release is uninstalled", "delete the pods that use it, and run again"
    ctx.wait_until(what, gone, deadline=600, pause=3, hint=hint)
