"""The checks before an upgrade: what the chart renders, against the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.eks.storage import is_default
from aws_setup.errors import Problem, SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import (
    CLAIM,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    POD,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    STORAGE_CLASS,
)
from aws_setup.openwhisk import manifest_checks
from aws_setup.openwhisk.immutable_fields import Manifest, Refusal, refusals

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
            images, or fields that Kubernetes does not change.
    """
    live = live_objects(ctx, new, "StorageClass")
    classes = {name: item for (kind, name), item in live.items() if kind == "StorageClass"}
    broken, untagged = manifest_checks.image_problems(new)
    refused = [
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
    for problem in (*untagged, *manifest_checks.docker_problems(new, values)):
        ctx.warn(problem)


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
