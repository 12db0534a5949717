"""The checks before an upgrade: what the chart renders, against the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import ROLE_LABEL
from aws_setup.eks.storage import is_default
from aws_setup.errors import Problem, SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import (
    CLAIM,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    NODE,
    POD,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    STORAGE_CLASS,
)
from aws_setup.openwhisk import manifest_checks, value_checks
from aws_setup.openwhisk.addresses import chart_service
from aws_setup.openwhisk.immutable_fields import Manifest, Refusal, key_of, refusals

Live = dict[tuple[str, str], Mapping[str, Any]]

TYPES = {
    "ConfigMap": CONFIG_MAP,
    "DaemonSet": DAEMON_SET,
    "Deployment": DEPLOYMENT,
    "PersistentVolumeClaim": CLAIM,
    "Pod": POD,
    "Secret": SECRET,
    "Service": SERVICE,
    "StatefulSet": STATEFUL_SET,
    "StorageClass": STORAGE_CLASS,
}
"""Kinds that are read before an upgrade."""


def live_objects(ctx: Context, manifest: Manifest, *also: str) -> Live:
    """Return the objects of the namespace that are of a manifest's kinds, by kind and name."""
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    kinds = ({str(item.get("kind")) for item in manifest} | set(also)) & set(TYPES)
    return {
        (kind, str(item["metadata"]["name"])): item
        for kind in sorted(kinds)
        for item in client.list(TYPES[kind], namespace if TYPES[kind].namespaced else "")
    }


def check_upgrade(
    ctx: Context, before: Sequence[Manifest], new: Manifest, values: Mapping[str, Any]
) -> None:
    """Warn about, or refuse, what the chart renders, before anything of it is applied.

    Raises:
        SetupError: runtimes without NameNodes, claims of a missing class, names that are no
            images, fields that Kubernetes does not change, claims that would be deleted, an
            address that is none or public, or a part without pods.
    """
    config, release = ctx.config, ctx.config.openwhisk_release
    live = live_objects(ctx, new, "StorageClass", "PersistentVolumeClaim")
    classes = {name: item for (kind, name), item in live.items() if kind == "StorageClass"}
    broken, untagged = manifest_checks.image_problems(new)
    nodes = kube_client(ctx).list(NODE)
    configured = config.num_openwhisk_invoker_vms
    hosts = value_checks.invoker_hosts(nodes, ROLE_LABEL, configured)
    empty, unequal = value_checks.replica_problems(new, release, hosts=hosts, configured=configured)
    refused = [
        *value_checks.lost_claims(before, new, live),
        *address_problems(config, new),
        *empty,
        *manifest_checks.runtimes_problems(new),
        *manifest_checks.class_problems(
            new,
            classes,
            default=any(map(is_default, classes.values())),
            existing={
                name for kind, name in live if kind in ("PersistentVolumeClaim", "StatefulSet")
            },
        ),
        *broken,
        *(_unchangeable(ctx, item) for item in refusals(before, new, live)),
    ]
    if refused:
        raise SetupError.all(refused)
    for problem in (
        *untagged,
        *unequal,
        *value_checks.volatile_database(new, release),
        *manifest_checks.docker_problems(new, values),
    ):
        ctx.warn(problem)


def address_problems(config: Config, manifest: Manifest) -> list[Problem]:
    """Return why the chart's Service would not be OpenWhisk's internal address: each refused."""
    key = ("Service", chart_service(config))
    services = [item for item in manifest if key_of(item) == key]
    return [problem for item in services for problem in value_checks.service_problems(item)]


def _unchangeable(ctx: Context, refusal: Refusal) -> Problem:
    kind, name, namespace = refusal.kind, refusal.name, ctx.config.openwhisk_namespace
    delete = f"kubectl delete {kind.lower()} {name} -n {namespace}"
    if kind == "StatefulSet":
        delete += " --cascade=orphan (its pods and volumes stay)"
    if kind == "PersistentVolumeClaim":
        delete += " (this deletes its data)"
    return Problem(
        f"the upgrade would change the {kind} {name} where Kubernetes does not allow it",
        ", ".join(refusal.fields),
        f"restore these fields in openwhisk_values or the chart, or delete the object: {delete}",
    )
