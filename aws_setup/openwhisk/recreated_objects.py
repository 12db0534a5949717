"""Jobs and pods that an upgrade changes: deleted first, so that helm creates them again."""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.context import Context
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import JOB, POD
from aws_setup.openwhisk import one_time_jobs
from aws_setup.openwhisk.immutable_fields import Changed, Manifest, immutable_changes
from aws_setup.openwhisk.one_time_jobs import stale_jobs

KINDS = {"Job": JOB, "Pod": POD}
"""Kinds of the chart that Kubernetes cannot change in place."""


def delete_immutable(ctx: Context, before: Sequence[Manifest], new: Manifest) -> None:
    """Delete what Kubernetes cannot change in place; helm then creates it again.

    Raises:
        SetupError: a job or pod changes, and it is not known whether it may run again.
    """
    release, client = ctx.config.openwhisk_release, kube_client(ctx)
    namespace = ctx.config.openwhisk_namespace
    stale = {Changed("Job", name, "belongs to a deleted volume") for name in stale_jobs(ctx)}
    changed = {item for item in immutable_changes(before, new) if _exists(ctx, item)} | stale
    for item in sorted(changed):
        if not one_time_jobs.may_recreate(item.kind, item.name, release):
            kind = item.kind.lower()
            raise SetupError(
                f"the {kind} {item.name} changes, and Kubernetes cannot change it in place",
                "it is not OpenWhisk's, so it is not known whether it may run again",
                f"if it may, delete it: kubectl delete {kind} {item.name} -n {namespace}",
            )
    for item in sorted(changed):
        if item.kind == "Job" and item.name in one_time_jobs.destructive_jobs(release):
            one_time_jobs.mark_failed(ctx)
        ctx.note(f"deleting the {item.kind.lower()} {item.name}: {item.why}")
        client.delete(KINDS[item.kind], item.name, namespace)

    def gone() -> bool | Pending:
        left = [item.name for item in sorted(changed) if _exists(ctx, item)]
        return Pending(f"{', '.join(left)} being deleted") if left else True

    what = "what Kubernetes cannot change is deleted"
    ctx.wait_until(what, gone, deadline=120, pause=1)


def _exists(ctx: Context, item: Changed) -> bool:
    found = kube_client(ctx).get(KINDS[item.kind], item.name, ctx.config.openwhisk_namespace)
    return found is not None
