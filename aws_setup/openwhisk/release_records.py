"""Deletes a Helm release without helm, which may be missing: the objects that its records name.

A record is a Secret that contains a JSON document, compressed with gzip and encoded in base64
twice; its manifest and its hooks are the objects that helm created
(https://helm.sh/docs/topics/advanced/, Storage backends).
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


def records_of(client: KubeClient, release: str, namespace: str) -> Sequence[Json]:
    """Return helm's records of a release, one for each revision."""
    return client.list(SECRET, namespace, labels=f"owner=helm,name={release}")


def objects_of(record: Json) -> Iterator[Json]:
    """Yield every object that a record names, in the order of its manifest, then of its hooks."""
    packed = base64.b64decode(base64.b64decode(record["data"]["release"]))
    document: Any = json.loads(gzip.decompress(packed))
    hooks = [hook["manifest"] for hook in document.get("hooks") or []]
    for text in (document.get("manifest", ""), *hooks):
        for item in yaml.safe_load_all(text):
            if isinstance(item, dict) and item.get("kind"):
                yield item


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
