"""Objects of the release that somebody has edited in the cluster: an upgrade sets them back."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import Json
from aws_setup.openwhisk.immutable_fields import Manifest, key_of
from aws_setup.openwhisk.missing_objects import LASTING
from aws_setup.openwhisk.secrets import read_secrets, without_keys

IDENTITY = ("apiVersion", "kind", "metadata", "status")
"""Parts of an object that are no settings, but for some of its metadata."""

METADATA = ("annotations", "labels")
"""Parts of the metadata that an owner sets."""


def keep_edited(ctx: Context, before: Sequence[Manifest]) -> None:
    """Keep a copy of the objects that differ from what helm applied, before it does so again.

    `before` are the manifests of which one, or each in part, is applied.

    helm 3 overwrites the fields of its manifest without a word, helm 4 after a conflict.
    https://helm.sh/docs/faq/changes_since_helm2/#improved-upgrade-strategy-3-way-strategic-merge-patches
    """
    edited = edited_objects(before, _live(ctx, [item for applied in before for item in applied]))
    if edited:
        names = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in edited)
        ctx.note(f"edited in the cluster since the last upgrade: {names}")
        items = without_keys(edited, ctx, read_secrets(ctx))
        ctx.keep("openwhisk objects", {"apiVersion": "v1", "kind": "List", "items": items})


def _live(ctx: Context, applied: Manifest) -> dict[tuple[str, str], Json]:
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    kinds = sorted({str(item.get("kind")) for item in applied} & LASTING.keys())
    return {
        (kind, str(item["metadata"]["name"])): {"kind": kind} | item
        for kind in kinds
        for item in client.list(LASTING[kind], namespace)
    }


def edited_objects(before: Sequence[Manifest], live: Mapping[tuple[str, str], Json]) -> list[Json]:
    """Return the live objects in which a value of each manifest is another one, or is gone."""
    edited: dict[tuple[str, str], bool] = {}
    for item in (item for applied in before for item in applied):
        key = key_of(item)
        if key in live and edited.get(key, True):
            edited[key] = differs(_settings(item), _settings(live[key]))
    return [live[key] for key, is_edited in edited.items() if is_edited]


def _settings(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an owner sets of an object; of a Secret as Kubernetes stores it."""
    metadata = item.get("metadata") or {}
    found = {key: value for key, value in item.items() if key not in IDENTITY}
    found |= {key: metadata.get(key) for key in METADATA}
    plain = found.pop("stringData", None) or {}
    if plain:
        coded = {key: base64.b64encode(str(text).encode()).decode() for key, text in plain.items()}
        found["data"] = {**(found.get("data") or {}), **coded}
    return found


def differs(applied: Any, live: Any) -> bool:
    """Say whether what was applied is no longer so; what Kubernetes adds is no difference."""
    if isinstance(applied, Mapping):
        fields = live if isinstance(live, Mapping) else {}
        return any(differs(value, fields.get(key)) for key, value in applied.items())
    if isinstance(applied, list):
        items = live if isinstance(live, list) else []
        return len(applied) != len(items) or any(map(differs, applied, items))
    # Kubernetes drops null and empty values.
    return applied not in (None, "", False) and str(applied) != str(live)
