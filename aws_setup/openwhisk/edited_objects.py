"""Objects of the release that somebody has deleted or edited in the cluster: an upgrade mends them.

helm itself reports neither.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.engine.step import Drift
from aws_setup.kube.objects import Json
from aws_setup.openwhisk.immutable_fields import Manifest, key_of, same_value
from aws_setup.openwhisk.lasting_objects import lasting_objects, live_objects
from aws_setup.openwhisk.secrets import read_secrets, without_keys

IDENTITY = ("apiVersion", "kind", "metadata", "status")
"""Parts of an object that are no settings, but for some of its metadata."""

METADATA = ("annotations", "labels")
"""Parts of the metadata that an owner sets."""


MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "ip")
"""What identifies an entry of a list into which Kubernetes merges, the first that an entry has.

helm changes and restores its own entries of such a list and leaves those of others, so those are
no difference that an upgrade could end. Lists of other entries are replaced as a whole.
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#how-different-types-of-fields-are-merged
"""

ADMITTED = frozenset(("Pod",))
"""Kinds to whose own lists the API server adds: a token's volume to those of a Pod."""


def changed_objects(ctx: Context, records: Sequence[Json]) -> tuple[Drift, ...]:
    """Return the deployed revision's objects that are missing or edited: an upgrade mends them.

    What others have added to an object is theirs: an upgrade leaves it.
    """
    applied = lasting_objects(records, ctx.config.openwhisk_namespace)
    live = live_objects(ctx, {kind for kind, _ in applied})
    found = []
    for (kind, name), item in sorted(applied.items()):
        there = live.get((kind, name))
        if there is None:
            found.append(Drift(f"{kind} {name}", "missing", "as in the release"))
        elif kind not in ADMITTED and differs(_settings(item), _settings(there)):
            found.append(Drift(f"{kind} {name}", "edited in the cluster", "as in the release"))
    return tuple(found)


def keep_edited(ctx: Context, before: Sequence[Manifest]) -> None:
    """Keep a copy of the objects that differ from what helm applied, before it does so again.

    `before` are the manifests of which one, or each in part, is applied.

    helm 3 overwrites the fields of its manifest without a word, helm 4 after a conflict.
    https://helm.sh/docs/faq/changes_since_helm2/#improved-upgrade-strategy-3-way-strategic-merge-patches
    """
    kinds = {str(item.get("kind")) for applied in before for item in applied}
    edited = edited_objects(before, live_objects(ctx, kinds))
    if edited:
        names = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in edited)
        ctx.note(f"edited in the cluster since the last upgrade: {names}")
        items = without_keys(edited, ctx, read_secrets(ctx))
        ctx.keep("openwhisk objects", {"apiVersion": "v1", "kind": "List", "items": items})


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
    """Say whether what was applied is no longer so; what others add is no difference."""
    if isinstance(applied, Mapping):
        fields = live if isinstance(live, Mapping) else {}
        return any(differs(value, fields.get(key)) for key, value in applied.items())
    if isinstance(applied, list):
        items = live if isinstance(live, list) else []
        if key := _merge_key(applied):
            entries = {str(it.get(key)): it for it in items if isinstance(it, Mapping)}
            items = [entries.get(str(it[key])) for it in applied]
        return len(applied) != len(items) or any(map(differs, applied, items))
    # Kubernetes drops null and empty values.
    if applied in (None, "", False) or str(applied) == str(live):
        return False
    return not same_value(applied, live)


def _merge_key(entries: Sequence[Any]) -> str:
    """Return what identifies each entry of a list, '' where nothing does.

    Entries that name objects, as the subjects of a RoleBinding, are replaced as a whole.
    """
    if not all(isinstance(entry, Mapping) and "kind" not in entry for entry in entries):
        return ""
    for key in MERGE_KEYS:
        values = {str(entry[key]) for entry in entries if key in entry}
        if values and len(values) == len(entries):
            return key
    return ""
