"""The objects of the release that last as long as it: those of its record, and the live ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aws_setup.aws.context import Context
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import (
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    POD,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Json,
)
from aws_setup.openwhisk.immutable_fields import Manifest, key_of
from aws_setup.openwhisk.release_records import objects_of, status_of

LASTING = {
    "ConfigMap": CONFIG_MAP,
    "DaemonSet": DAEMON_SET,
    "Deployment": DEPLOYMENT,
    "Pod": POD,
    "Role": ROLE,
    "RoleBinding": ROLE_BINDING,
    "Secret": SECRET,
    "Service": SERVICE,
    "ServiceAccount": SERVICE_ACCOUNT,
    "StatefulSet": STATEFUL_SET,
}
"""Kinds that exist as long as their release.

A finished Job may be deleted, by its time to live or by hand. A volume claim that is missing had
data, which an upgrade does not restore: the pods that wait for it are reported instead.
"""

HOOK = "helm.sh/hook"
"""Annotation of objects that helm creates at a moment of its own; it may delete them afterwards."""


def lasting_objects(records: Sequence[Json], namespace: str) -> dict[tuple[str, str], Json]:
    """Return the deployed revision's objects that must exist in a namespace, by kind and name."""
    deployed = [record for record in records if status_of(record) == "deployed"]
    manifest: Manifest = list(objects_of(deployed[-1])) if deployed else []
    return {
        key_of(item): dict(item)
        for item in manifest
        if item["kind"] in LASTING
        and (item["metadata"].get("namespace") or namespace) == namespace
        and HOOK not in (item["metadata"].get("annotations") or {})
    }


def live_objects(ctx: Context, kinds: Iterable[str]) -> dict[tuple[str, str], Json]:
    """Return the objects of these kinds in OpenWhisk's namespace, by kind and name."""
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    return {
        (kind, str(item["metadata"]["name"])): {"kind": kind} | item
        for kind in sorted({*kinds} & LASTING.keys())
        for item in client.list(LASTING[kind], namespace)
    }
