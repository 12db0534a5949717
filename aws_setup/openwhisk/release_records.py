"""Helm's records of a release: one Secret for each revision, with the manifest that it applied.

Each is gzipped JSON, in base64 twice (helm/helm, pkg/storage/driver/util.go; the same in 3 and 4).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aws_setup.kube.client import KubeClient
from aws_setup.kube.objects import SECRET, Json
from aws_setup.openwhisk.manifest import documents

PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
"""States of a release while a helm works on it, or after that helm was killed."""

SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
"""The line between two objects of a manifest."""


def records_of(client: KubeClient, release: str, namespace: str) -> Sequence[Json]:
    """Return helm's records of a release, one for each revision."""
    return client.list(SECRET, namespace, labels=f"owner=helm,name={release}")


def status_of(record: Json) -> str:
    """Return the status of a record's revision."""
    return str(record["metadata"].get("labels", {}).get("status", ""))


def unpack(record: Json) -> Json:
    """Return the revision that a record holds."""
    packed = base64.b64decode(base64.b64decode(record["data"]["release"]))
    document: Json = json.loads(gzip.decompress(packed))
    return document


def pack(document: Json) -> str:
    """Return a revision as the data of its record."""
    packed = base64.b64encode(gzip.compress(json.dumps(document).encode()))
    return base64.b64encode(packed).decode()


def objects_of(record: Json) -> Iterator[Json]:
    """Yield every object that a record names, in the order of its manifest, then of its hooks."""
    document = unpack(record)
    hooks = [hook["manifest"] for hook in document.get("hooks") or []]
    for text in (document.get("manifest", ""), *hooks):
        for item in documents(text):
            if isinstance(item, dict) and item.get("kind"):
                yield item


def delete_pending(client: KubeClient, release: str, namespace: str) -> None:
    """Delete the records of interrupted operations, so that helm continues from the one before.

    The objects that the operation has created stay: they carry helm's annotations, by which the
    next operation takes them over (helm/helm, pkg/action/validate.go). Nothing is rolled back or
    uninstalled, so no data is deleted and no one-time job is created again.
    """
    for record in records_of(client, release, namespace):
        if status_of(record) in PENDING:
            client.delete(SECRET, record["metadata"]["name"], namespace)


def remove_objects(client: KubeClient, record: Json, drop: Callable[[Json], bool]) -> bool:
    """Remove objects from a record's manifest; returns whether there was any.

    A rollback to the revision then no longer creates them. The text of all others is unchanged.
    """
    document = unpack(record)
    parts = SEPARATOR.split(str(document.get("manifest", "")))
    kept = [part for part in parts if not _holds(part, drop)]
    if len(kept) == len(parts):
        return False
    document["manifest"] = "---".join(kept)
    metadata = record["metadata"]
    body: Json = {"data": {"release": pack(document)}}
    client.patch(SECRET, metadata["name"], body, metadata["namespace"])
    return True


def _holds(text: str, drop: Callable[[Json], bool]) -> bool:
    item: Any = next(documents(text), None)
    return isinstance(item, dict) and drop(item)
