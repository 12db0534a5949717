"""Helm's records of a release: one Secret for each revision, with the manifest that it applied.

Each is gzipped JSON, in base64 twice (helm/helm, pkg/storage/driver/util.go; the same in 3 and 4).
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from aws_setup.engine.decoding import Undecodable, decoding, json_object, whole_number
from aws_setup.kube.client import KubeClient
from aws_setup.kube.objects import SECRET, Json
from aws_setup.openwhisk.manifest import documents

PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
"""States of a release while a helm works on it, or after that helm was killed."""

SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
"""The line between two objects of a manifest."""


@dataclass(frozen=True)
class Revision:
    """The newest revision of a release: what `helm status`, `get values` and `get manifest` print.

    `values` are those that it was installed with, without the chart's defaults.
    """

    status: str
    number: int
    description: str
    values: Json
    manifest: list[Json]


def newest(records: Sequence[Json]) -> Revision | None:
    """Return the newest revision; None without records.

    helm is not asked: each of its starts takes half a second, and it reads the same records.

    Raises:
        SetupError: its record is damaged.
    """
    if not records:
        return None
    record = max(records, key=_number)
    document = unpack(record)
    with _reading(record):
        info, values = document.get("info"), document.get("config") or {}
        if not isinstance(info, dict) or not isinstance(values, dict):
            raise Undecodable("it has no release")
        manifest = documents(str(document.get("manifest") or ""))
        return Revision(
            str(info.get("status", "")),
            _number(record),
            str(info.get("description", "")),
            values,
            [item for item in manifest if isinstance(item, dict)],
        )


def _number(record: Json) -> int:
    labels = record["metadata"].get("labels") or {}
    return whole_number(str(labels.get("version", ""))) or 0


def records_of(client: KubeClient, release: str, namespace: str) -> Sequence[Json]:
    """Return helm's records of a release, one for each revision."""
    return client.list(SECRET, namespace, labels=f"owner=helm,name={release}")


def status_of(record: Json) -> str:
    """Return the status of a record's revision."""
    return str(record["metadata"].get("labels", {}).get("status", ""))


def unpack(record: Json) -> Json:
    """Return the revision that a record holds.

    Raises:
        SetupError: the record is damaged.
    """
    with _reading(record):
        packed = base64.b64decode(base64.b64decode(record["data"]["release"]))
        return json_object(_inflated(packed))


def pack(document: Json) -> str:
    """Return a revision as the data of its record."""
    packed = base64.b64encode(gzip.compress(json.dumps(document).encode()))
    return base64.b64encode(packed).decode()


def objects_of(record: Json) -> Iterator[Json]:
    """Yield every object that a record names, in the order of its manifest, then of its hooks."""
    document = unpack(record)
    with _reading(record):
        hooks = [hook["manifest"] for hook in document.get("hooks") or []]
        texts = (document.get("manifest", ""), *hooks)
        found = [item for text in texts for item in documents(text)]
    for item in found:
        if isinstance(item, dict) and item.get("kind"):
            yield item


MOST_BYTES = 64 * 1024 * 1024
"""Bytes of a revision; a Secret has at most 1 MiB of compressed ones."""


def _inflated(packed: bytes) -> bytes:
    """Return the content of gzipped bytes.

    Raises:
        ValueError: they are no complete gzip file, or stand for more than MOST_BYTES.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Undecodable(f"it is not compressed as helm does: {error}") from None
    if len(content) > MOST_BYTES:
        raise Undecodable(f"it is longer than {MOST_BYTES // (1024 * 1024)} MB")
    return content


def _reading(record: Json) -> AbstractContextManager[None]:
    metadata = record["metadata"]
    name, namespace = metadata.get("name"), metadata.get("namespace", "default")
    return decoding(
        f"the Secret {namespace}/{name}, helm's record of a revision, cannot be used",
        "restore it, or delete it, as helm cannot use it either: kubectl -n "
        f"{namespace} delete secret {name}",
    )


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
