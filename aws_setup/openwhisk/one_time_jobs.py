"""The chart's one-time jobs: which may run again, and how the database is never wiped twice.

The job `<release>-init-couchdb` deletes the databases of actions and activations and creates them
empty, each time it runs (apache/openwhisk-deploy-kube, configurationFiles/couchdb/initdb.sh). Helm
creates it again when its template changes, when it was deleted, and in a rollback. So what is
initialised is never initialised again: from then on it is left out of every revision.

Whether a database is initialised is read from the cluster, never from a file: a mark on the volume
and in the deployment's Secret, the finished job, controllers that run (they wait for the end of the
job), or a deployed revision that had the job. In doubt a database counts as initialised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import (
    CLAIM,
    DEPLOYMENT,
    JOB,
    SECRET,
    STATEFUL_SET,
    Json,
    ResourceType,
    is_being_deleted,
)
from aws_setup.openwhisk.release_records import (
    objects_of,
    records_of,
    remove_objects,
    status_of,
    unpack,
)
from aws_setup.openwhisk.secrets import of_release, secret_name


@dataclass(frozen=True)
class OneTimeJob:
    """A job of the chart, named after its release.

    `destroys` is what every run of it deletes, '' when it may run again. `off` are the values that
    leave it out of the release.
    """

    name: str
    destroys: str = ""
    off: Mapping[str, Any] = field(default_factory=dict)


JOBS = (
    OneTimeJob("gen-certs"),
    OneTimeJob("install-catalog"),
    OneTimeJob("install-packages"),
    OneTimeJob("install-routemgmt"),
    OneTimeJob(
        "init-couchdb",
        destroys="every registered action and activation",
        off={"db": {"wipeAndInit": False}},
    ),
)
"""The jobs of the chart (apache/openwhisk-deploy-kube, templates/*-job.yaml, also older ones)."""

RECREATED_PODS = ("wskadmin",)
"""Pods of the chart without a controller, which hold no data: a changed one is created again."""

MARK = "lambda-fs/database"
"""Annotation of the database's volume claim: INITIALISED or FAILED."""

INITIALISED = "initialised"
FAILED = "failed"
"""The first initialisation failed: it may be repeated."""

SECRET_MARK = "lambda-fs/initialised-database"
"""Annotation of the deployment's Secret: the uid of the volume claim that is initialised."""

APPLIED = ("deployed", "superseded")
"""States of revisions all of whose objects were created."""


def may_recreate(kind: str, name: str, release: str) -> bool:
    """Say whether a Job or Pod of the chart may be deleted and created again.

    A destructive job may as long as its first run has not ended: nothing is registered then.
    """
    names = [job.name for job in JOBS] if kind == "Job" else RECREATED_PODS
    return name in {f"{release}-{part}" for part in names}


def destructive_jobs(release: str) -> dict[str, OneTimeJob]:
    """Return the jobs that delete data, by full name."""
    return {f"{release}-{job.name}": job for job in JOBS if job.destroys}


def values_left_out(current: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of the values by which a release leaves out a destructive job."""
    flat = dict(flatten(current))
    return [
        name for job in JOBS for name, value in flatten(job.off) if flat.get(name, ...) == value
    ]


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted name."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find_initialised(ctx: Context) -> str:
    """Return why the database counts as initialised, '' when it certainly holds no data."""
    holder = _find_holder(ctx)
    if holder is None:
        return ""
    if _is_marked(ctx, holder):
        return "it is marked as initialised"
    client, config = kube_client(ctx), ctx.config
    release, namespace = config.openwhisk_release, config.openwhisk_namespace
    jobs = [client.get(JOB, name, namespace) for name in destructive_jobs(release)]
    live = [job for job in jobs if job]
    done = [job for job in live if is_complete(job) and not is_stale(job, holder.body)]
    if done:
        return f"the job {done[0]['metadata']['name']} is complete"
    controller = client.get(STATEFUL_SET, f"{release}-controller", namespace) or {}
    if int(controller.get("status", {}).get("readyReplicas") or 0):
        return "its controllers run"
    if live or holder.mark == FAILED:
        return ""
    created = any(_had_job(record, release) for record in records_of(client, release, namespace))
    return "an earlier revision has initialised it" if created else ""


@dataclass(frozen=True)
class Holder:
    """The object whose life is that of the database's data; it carries the mark."""

    kind: ResourceType
    body: Json

    @property
    def mark(self) -> str:
        """What the mark says, '' without one."""
        return str((self.body["metadata"].get("annotations") or {}).get(MARK, ""))

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


def _find_holder(ctx: Context) -> Holder | None:
    """Return the database's claim, without one its Deployment; None when neither exists.

    A claim that is being deleted takes its data along. A database outside the cluster has the
    deployment's Secret for it.
    """
    client, config = kube_client(ctx), ctx.config
    release, namespace = config.openwhisk_release, config.openwhisk_namespace
    for claim in client.list(CLAIM, namespace):
        if is_being_deleted(claim) or not of_release(claim, release):
            continue
        if "couchdb" in claim["metadata"]["name"]:
            return Holder(CLAIM, claim)
    deployment = client.get(DEPLOYMENT, f"{release}-couchdb", namespace)
    if deployment:
        return Holder(DEPLOYMENT, deployment)
    if any(_is_external(unpack(record)) for record in records_of(client, release, namespace)):
        secret = client.get(SECRET, secret_name(config), namespace)
        return Holder(SECRET, secret) if secret else None
    return None


def _is_external(revision: Json) -> bool:
    """Say whether a revision uses a database outside the cluster."""
    defaults = (revision.get("chart") or {}).get("values") or {}
    database = [(values or {}).get("db") or {} for values in (revision.get("config"), defaults)]
    return bool(database[0].get("external", database[1].get("external")))


def _is_marked(ctx: Context, holder: Holder) -> bool:
    """Say whether the claim's mark or the Secret's says that the database is initialised."""
    if holder.mark == INITIALISED:
        return True
    return _secret_mark(ctx) == str(holder.body["metadata"]["uid"])


def _secret_mark(ctx: Context) -> str:
    config = ctx.config
    secret = kube_client(ctx).get(SECRET, secret_name(config), config.openwhisk_namespace) or {}
    return str((secret.get("metadata", {}).get("annotations") or {}).get(SECRET_MARK, ""))


def is_complete(job: Json) -> bool:
    """Say whether a job has ended well."""
    status = job.get("status", {})
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or []}
    return conditions.get("Complete") == "True" or int(status.get("succeeded") or 0) >= 1


def is_stale(job: Json, holder: Json) -> bool:
    """Say whether a job is older than the database's volume: it has initialised another one."""
    created = (str(item["metadata"].get("creationTimestamp")) for item in (job, holder))
    return next(created) < next(created)


def _had_job(record: Json, release: str) -> bool:
    """Say whether a revision was applied to its end and had a job that deletes data."""
    return status_of(record) in APPLIED and _names_job(record, release)


def _names_job(record: Json, release: str) -> bool:
    return any(_is_destructive(item, release) for item in objects_of(record))


def _is_destructive(item: Json, release: str) -> bool:
    return item.get("kind") == "Job" and item["metadata"]["name"] in destructive_jobs(release)


def is_protected(ctx: Context) -> bool:
    """Say whether the database is marked and no revision of helm creates the job again."""
    holder = _find_holder(ctx)
    if holder is None or not _is_marked(ctx, holder):
        return False
    client, config = kube_client(ctx), ctx.config
    records = records_of(client, config.openwhisk_release, config.openwhisk_namespace)
    return not any(_names_job(record, config.openwhisk_release) for record in records)


def is_marked(ctx: Context) -> bool:
    """Say whether the database is marked as initialised."""
    holder = _find_holder(ctx)
    return holder is not None and _is_marked(ctx, holder)


def protect(ctx: Context) -> None:
    """Mark the database as initialised, and remove the job from every revision of helm.

    `helm rollback` to any revision then keeps the data. It may be repeated after a crash.
    """
    mark_initialised(ctx)
    client, config = kube_client(ctx), ctx.config
    release = config.openwhisk_release
    for record in records_of(client, release, config.openwhisk_namespace):
        remove_objects(client, record, lambda item: _is_destructive(item, release))


def mark_initialised(ctx: Context) -> None:
    """Mark the database as initialised, on its volume claim and in the deployment's Secret."""
    holder = _find_holder(ctx)
    if holder is None:
        return
    client, config = kube_client(ctx), ctx.config
    uid = holder.body["metadata"]["uid"]
    if holder.mark != INITIALISED:
        _write_mark(ctx, holder, INITIALISED)
    if _secret_mark(ctx) != uid:
        body: Json = {"metadata": {"annotations": {SECRET_MARK: uid}}}
        client.patch(SECRET, secret_name(config), body, config.openwhisk_namespace)


def mark_failed(ctx: Context) -> None:
    """Note that the first initialisation failed, before its job is deleted to be repeated."""
    holder = _find_holder(ctx)
    if holder and not _is_marked(ctx, holder):
        _write_mark(ctx, holder, FAILED)


def deleted_failed_job(ctx: Context) -> str:
    """Return the job of a failed first initialisation that was deleted, '' for none."""
    holder, config = _find_holder(ctx), ctx.config
    if holder is None or holder.mark != FAILED or find_initialised(ctx):
        return ""
    jobs = destructive_jobs(config.openwhisk_release)
    client, namespace = kube_client(ctx), config.openwhisk_namespace
    return next((name for name in jobs if client.get(JOB, name, namespace) is None), "")


def clear_failed(ctx: Context) -> None:
    """Remove that note, once the job exists again."""
    holder = _find_holder(ctx)
    if holder and holder.mark == FAILED:
        _write_mark(ctx, holder, None)


def _write_mark(ctx: Context, holder: Holder, value: str | None) -> None:
    body: Json = {"metadata": {"annotations": {MARK: value}}}
    kube_client(ctx).patch(holder.kind, holder.name, body, ctx.config.openwhisk_namespace)


def leave_out(ctx: Context, name: str) -> None:
    """Protect the database, and delete the job while its pods have not ended: they would wipe."""
    protect(ctx)
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    job = client.get(JOB, name, namespace)
    if job and not is_complete(job):
        client.delete(JOB, name, namespace)


def stale_jobs(ctx: Context) -> list[str]:
    """Return the destructive jobs that exist for another database than the present one."""
    client, config = kube_client(ctx), ctx.config
    holder, found = _find_holder(ctx), []
    for name in destructive_jobs(config.openwhisk_release):
        job = client.get(JOB, name, config.openwhisk_namespace)
        if job and (holder is None or is_stale(job, holder.body)):
            found.append(name)
    return found


def is_harmless(
    ctx: Context,
    name: str,
    before: Sequence[Sequence[Mapping[str, Any]]],
    changed: Collection[str],
) -> bool:
    """Say whether applying a destructive job changes nothing: its end exists as it was applied."""
    job = kube_client(ctx).get(JOB, name, ctx.config.openwhisk_namespace)
    # A revision that failed may have changed it, where the one before had left it out.
    applied = bool(before) and all(
        any(item.get("kind") == "Job" and item["metadata"]["name"] == name for item in manifest)
        for manifest in before
    )
    # A job with a time to live may be deleted before helm looks for it.
    ttl = (job or {}).get("spec", {}).get("ttlSecondsAfterFinished")
    lasts = bool(job and is_complete(job) and ttl is None)
    return lasts and applied and name not in changed
