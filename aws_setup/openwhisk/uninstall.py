"""Removes OpenWhisk's release and what would outlive it: load balancer, volume claims, volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.engine.temporary_files import NoTemporaryFile
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import Refused
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.load_balancers import load_balancers
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connect import kube_client
from aws_setup.kube.errors import KubeNotFound
from aws_setup.kube.objects import CLAIM, JOB, SECRET, SERVICE, VOLUME, Json, ResourceType
from aws_setup.openwhisk.addresses import chart_service, read_service
from aws_setup.openwhisk.helm_connection import helm_of, retry_when_unreachable
from aws_setup.openwhisk.one_time_jobs import destructive_jobs
from aws_setup.openwhisk.release_records import objects_of, records_of
from aws_setup.openwhisk.secrets import of_release


def records(ctx: Context) -> Sequence[Json]:
    """Return helm's records of the release; this works without helm."""
    config = ctx.config
    return records_of(kube_client(ctx), config.openwhisk_release, config.openwhisk_namespace)


def uninstall(ctx: Context) -> None:
    """Uninstall the release; where helm cannot run, delete what its records name.

    helm may be missing, or the disk may be full, to which its kubeconfig must be written. The
    finished job of the database is not in the records: it is deleted here.
    """
    config = ctx.config
    for name in destructive_jobs(config.openwhisk_release):
        kube_client(ctx).delete(JOB, name, config.openwhisk_namespace)
    try:
        retry_when_unreachable(ctx, lambda _: helm_of(ctx).uninstall())
    except (Refused, NoTemporaryFile) as error:
        ctx.note(f"{error.problems[0].what}: deleting the release's objects one by one")
        remove(kube_client(ctx), config.openwhisk_release, config.openwhisk_namespace)


def delete_service(ctx: Context, name: str, host: str) -> None:
    """Delete a Service, and return when its load balancer is gone too.

    Args:
        ctx: the step's context.
        name: the Service's name.
        host: the load balancer's host name, '' when it has none.
    """
    client, config = kube_client(ctx), ctx.config
    client.delete(SERVICE, name, config.openwhisk_namespace)

    def gone() -> bool | Pending:
        if client.get(SERVICE, name, config.openwhisk_namespace):
            return Pending("Kubernetes is deleting the load balancer")
        # The first label of an ELB's host name is its name and an id.
        own = host.removeprefix("internal-")
        left = [item for item in _load_balancer_names(ctx) if own.startswith(f"{item}-")]
        return Pending(f"load balancer {left[0]} is being deleted") if left else True

    what = "the load balancer is deleted"
    ctx.wait_until(what, gone, deadline=600, pause=8, usual=MEDIANS["load balancer deleted"])


def _load_balancer_names(ctx: Context) -> list[str]:
    cluster = active_cluster(ctx) or {}
    return load_balancers(ctx, str(cluster.get("resourcesVpcConfig", {}).get("vpcId", "")))


def remains(ctx: Context) -> str:
    """Return what is left of a release without records of helm, '' for nothing."""
    if release_claims(ctx):
        return "its volumes remain"
    return "its load balancer remains" if read_service(ctx, chart_service(ctx.config)) else ""


def release_claims(ctx: Context) -> list[Any]:
    """Return the release's volume claims: by its label, or by the name that a set gives them."""
    listed = kube_client(ctx).list(CLAIM, ctx.config.openwhisk_namespace)
    return [claim for claim in listed if of_release(claim, ctx.config.openwhisk_release)]


def delete_claims(ctx: Context) -> None:
    """Delete the volume claims, and return when their volumes are gone: they cost money.

    When the cluster is deleted too, its nodes end meanwhile, and with them the driver that would
    delete the volumes: they are deleted after the cluster and not waited for here.
    """
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    claims = release_claims(ctx)
    volumes = [str(claim.get("spec", {}).get("volumeName") or "") for claim in claims]
    for claim in claims:
        client.delete(CLAIM, claim["metadata"]["name"], namespace)
    if EksCluster.name in ctx.removed:
        return

    def gone() -> bool | Pending:
        left = len(release_claims(ctx))
        left += sum(1 for volume in volumes if volume and client.get(VOLUME, volume))
        return (
            Pending(f"being deleted: {count_of(left, 'volume or claim', 'volumes and claims')}")
            if left
            else True
        )

    what = "OpenWhisk's volumes are deleted"
    ctx.wait_until(what, gone, deadline=600, pause=3)


KEEP = "helm.sh/resource-policy"
"""Annotation of objects that outlive their release."""


def remove(client: KubeClient, release: str, namespace: str) -> None:
    """Delete every object that a record of the release names, then the records themselves."""
    records = records_of(client, release, namespace)
    kinds: dict[str, Mapping[str, ResourceType]] = {}
    for record in records:
        for item in objects_of(record):
            version = str(item["apiVersion"])
            if version not in kinds:
                kinds[version] = _resource_types(client, version)
            _delete(client, item, kinds[version], namespace)
    for record in records:
        client.delete(SECRET, record["metadata"]["name"], namespace)


def _resource_types(client: KubeClient, version: str) -> Mapping[str, ResourceType]:
    """Return the kinds of an API version by name; none when the API server no longer has it."""
    try:
        listed = client.request("GET", f"/api{'s' if '/' in version else ''}/{version}")
    except KubeNotFound:
        return {}
    return {
        str(item["kind"]): ResourceType(version, str(item["name"]), bool(item["namespaced"]))
        for item in listed.get("resources", [])
        if "/" not in item["name"]
    }


def _delete(
    client: KubeClient, item: Json, kinds: Mapping[str, ResourceType], namespace: str
) -> None:
    metadata, kind = item["metadata"], kinds.get(str(item["kind"]))
    if kind is None or (metadata.get("annotations") or {}).get(KEEP) == "keep":
        return
    name, in_namespace = str(metadata["name"]), str(metadata.get("namespace") or namespace)
    client.delete(kind, name, in_namespace if kind.namespaced else "")
