"""Removes a Helm release without helm, which may be missing: what its own records name.

A record is a Secret that holds a JSON document, gzipped and in base64 twice; its manifest and its
hooks are the objects that helm made (https://helm.sh/docs/topics/advanced/, Storage backends).
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from aws_setup.kube.client import KubeClient
from aws_setup.kube.errors import KubeNotFound
from aws_setup.kube.objects import SECRET, Json, ResourceType

KEEP = "helm.sh/resource-policy"
"""Annotation of what outlives its release."""


def remove(door: KubeClient, release: str, namespace: str) -> None:
    """Delete every object that a record of the release names, then the records themselves."""
    records = records_of(door, release, namespace)
    kinds: dict[str, Mapping[str, ResourceType]] = {}
    for record in records:
        for thing in _objects(record):
            version = str(thing["apiVersion"])
            if version not in kinds:
                kinds[version] = _kinds(door, version)
            _delete(door, thing, kinds[version], namespace)
    for record in records:
        door.delete(SECRET, record["metadata"]["name"], namespace)


def records_of(door: KubeClient, release: str, namespace: str) -> Sequence[Json]:
    """Return helm's records of a release, one for each revision."""
    return door.list(SECRET, namespace, labels=f"owner=helm,name={release}")


def _objects(record: Json) -> Iterator[Json]:
    packed = base64.b64decode(base64.b64decode(record["data"]["release"]))
    told: Any = json.loads(gzip.decompress(packed))
    texts = [told.get("manifest", ""), *(hook["manifest"] for hook in told.get("hooks") or [])]
    for text in texts:
        for thing in yaml.safe_load_all(text):
            if isinstance(thing, dict) and thing.get("kind"):
                yield thing


def _kinds(door: KubeClient, version: str) -> Mapping[str, ResourceType]:
    """Return the kinds of an API version by name; none when the API server no longer has it."""
    try:
        listed = door.request("GET", f"/api{'s' if '/' in version else ''}/{version}")
    except KubeNotFound:
        return {}
    return {
        str(one["kind"]): ResourceType(version, str(one["name"]), bool(one["namespaced"]))
        for one in listed.get("resources", [])
        if "/" not in one["name"]
    }


def _delete(
    door: KubeClient, thing: Json, kinds: Mapping[str, ResourceType], namespace: str
) -> None:
    metadata, kind = thing["metadata"], kinds.get(str(thing["kind"]))
    if kind is None or (metadata.get("annotations") or {}).get(KEEP) == "keep":
        return
    where = str(metadata.get("namespace") or namespace) if kind.namespaced else ""
    door.delete(kind, str(metadata["name"]), where)
