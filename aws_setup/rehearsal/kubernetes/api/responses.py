"""Answers in the form that the client asked for: JSON, YAML, tables, metadata alone.

https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from aws_setup.rehearsal.kubernetes.api import event_versions, tables
from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.http_requests import Request
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind

JSON, YAML = "application/json", "application/yaml"
YAML_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
FORMS = {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}


@dataclass(frozen=True)
class ApiResponse:
    """A complete response: an object, or text such as a pod log, and its media type."""

    status: int
    body: KubeObject | str
    kind: str = ""


@dataclass(frozen=True)
class Form:
    """A form that the client accepts: the media type, and the kind it is turned into, if any."""

    media: str = JSON
    kind: str = ""


def accepted_form(accept: str) -> Form:
    """Return the first form of an Accept header that the emulated server writes.

    It writes no protobuf: a client that takes nothing else gets what the real server answers to
    a type that it does not know.

    Raises:
        ApiError: 406, there is none.
    """
    if not accept.strip():
        return Form()
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        named = dict(item.partition("=")[::2] for item in parameters)
        if media in {"*/*", "application/*"}:
            return Form()
        if media not in {JSON, YAML}:
            continue
        kind = named.get("as", "")
        if not kind:
            return Form(media)
        if kind in FORMS and named.get("g") == "meta.k8s.io" and named.get("v") == "v1":
            return Form(media, kind)
    raise ApiError(
        406,
        "NotAcceptable",
        f"only the following media types are accepted: {JSON}, {YAML} "
        "(the emulated server writes no protobuf)",
    )


def shown(request: Request, kind: ResourceKind, body: KubeObject, *, now: datetime) -> KubeObject:
    """Return an object or list in the form that the client accepts."""
    form = accepted_form(request.accept).kind
    is_list = "items" in body
    if form == "Table" and (is_list or body.get("kind") == kind.name):
        include = request.query.get("includeObject") or "Metadata"
        items = body["items"] if is_list else [body]
        meta = {"resourceVersion": items[0]["metadata"]["resourceVersion"]} if not is_list else {}
        meta = body["metadata"] if is_list else meta
        return tables.table(kind, items, meta, now=now, include=include)
    if form == "PartialObjectMetadataList" and is_list:
        return tables.partial_list(body["items"], body["metadata"])
    if form == "PartialObjectMetadata" and not is_list and body.get("kind") == kind.name:
        return tables.partial(body)
    if not is_list:
        return event_versions.shown(kind, body)
    items = [_listed(event_versions.shown(kind, item)) for item in body["items"]]
    return body | {"items": items}


def _listed(item: KubeObject) -> KubeObject:
    """Return an item of a list: without kind and version, which the list names."""
    return {key: value for key, value in item.items() if key not in {"kind", "apiVersion"}}


def encode(body: KubeObject | str, accept: str) -> tuple[bytes, str]:
    """Return the bytes and the media type of a body."""
    if isinstance(body, str):
        return body.encode(), "text/plain"
    try:
        media = accepted_form(accept).media
    except ApiError:
        media = JSON
    if media == YAML:
        text: Any = yaml.dump(body, Dumper=YAML_DUMPER, sort_keys=False)
        return str(text).encode(), YAML
    return json.dumps(body).encode(), JSON
