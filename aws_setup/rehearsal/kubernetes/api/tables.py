"""Server-side tables, by which `kubectl get` prints its columns, and partial objects.

https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from datetime import datetime

from aws_setup.rehearsal.kubernetes.api import event_versions
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind
from aws_setup.rehearsal.kubernetes.api.table_columns import COLUMNS, EVENT_COLUMNS, OTHER

META = "meta.k8s.io/v1"


def table(
    kind: ResourceKind,
    items: list[KubeObject],
    meta: KubeObject,
    *,
    now: datetime,
    include: str = "Metadata",
    with_columns: bool = True,
) -> KubeObject:
    """Return objects as a Table.

    Args:
        kind: the kind of all objects.
        items: the objects, as stored.
        meta: the metadata of the list.
        now: the cluster's time, from which ages are counted.
        include: what each row holds of its object: Metadata, Object or None.
        with_columns: whether the columns are defined, which the later events of a watch lack.
    """
    columns = EVENT_COLUMNS if kind.plural == "events" else COLUMNS.get(kind.plural, OTHER)
    # The name is the first column but of events, which have it among the wide ones.
    named = columns is not EVENT_COLUMNS
    definitions = [_column(name) for name in (*(("Name",) if named else ()), *columns.names)]
    rows = []
    for item in items:
        found = columns.cells(item, now)
        row: KubeObject = {"cells": [*((item["metadata"]["name"],) if named else ()), *found]}
        if include != "None":
            shown = event_versions.shown(kind, item)
            row["object"] = shown if include == "Object" else partial(shown)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": meta,
        "columnDefinitions": definitions if with_columns else None,
        "rows": rows,
    }


def _column(name: str) -> KubeObject:
    return {
        "name": name.rstrip("*"),
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": 1 if name.endswith("*") else 0,
    }


def partial(item: KubeObject) -> KubeObject:
    """Return the metadata of an object as a PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": META,
        "metadata": item["metadata"],
    }


def partial_list(items: list[KubeObject], meta: KubeObject) -> KubeObject:
    """Return the metadata of objects as a PartialObjectMetadataList."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": META,
        "metadata": meta,
        "items": [partial(item) for item in items],
    }
