"""Bodies in protobuf, for the kinds that helm and kubectl send so.

https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject, bad_request

MAGIC = b"k8s\0"
META_TEXTS = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
META_MAPS = {11: "labels", 12: "annotations"}

Fields = list[tuple[int, Any]]


def decode_protobuf(body: bytes) -> KubeObject:
    """Return the object in a protobuf body.

    Raises:
        ApiError: 415 for an unsupported kind, 400 for a truncated body.
    """
    if body[:4] != MAGIC:
        raise ApiError(415, "UnsupportedMediaType", "the body has no protobuf envelope")
    try:
        return _object(dict(read_fields(body[4:])))
    except (IndexError, KeyError) as error:
        raise bad_request(f"the protobuf body cannot be read: {error!r}") from error


def _object(envelope: dict[int, Any]) -> KubeObject:
    kind = dict(read_fields(envelope[1]))[2].decode()
    message = read_fields(envelope[2])
    if kind == "DeleteOptions":
        return _delete_options(message)
    if kind in REVIEW_FIELDS:
        return _review(kind, message)
    if kind not in {"Secret", "Namespace"}:
        raise ApiError(415, "UnsupportedMediaType", f"protobuf is not supported for {kind}")
    found: KubeObject = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": _meta(read_fields(dict(message)[1])),
    }
    if kind == "Secret":
        found["data"] = _map(message, 2, lambda raw: base64.b64encode(raw).decode())
        found["type"] = dict(message).get(3, b"Opaque").decode()
    return found


Shape = dict[int, "tuple[str, Shape | None]"]
"""Field number -> name and, for a message, its own fields; None: a text."""

REVIEW_FIELDS: dict[str, tuple[str, Shape]] = {
    "SelfSubjectAccessReview": (
        "authorization.k8s.io/v1",
        {
            1: (
                "resourceAttributes",
                {
                    1: ("namespace", None),
                    2: ("verb", None),
                    3: ("group", None),
                    4: ("version", None),
                    5: ("resource", None),
                    6: ("subresource", None),
                    7: ("name", None),
                },
            ),
            2: ("nonResourceAttributes", {1: ("path", None), 2: ("verb", None)}),
        },
    ),
    "SelfSubjectRulesReview": ("authorization.k8s.io/v1", {1: ("namespace", None)}),
    "SelfSubjectReview": ("authentication.k8s.io/v1", {}),
    "TokenRequest": ("authentication.k8s.io/v1", {4: ("expirationSeconds", None)}),
}
"""Group and version of each review, and the fields of its spec."""


def _review(kind: str, message: Fields) -> KubeObject:
    group_version, shape = REVIEW_FIELDS[kind]
    found: KubeObject = {"apiVersion": group_version, "kind": kind, "metadata": {}}
    spec = dict(message).get(2)
    return found | ({"spec": _shaped(read_fields(spec), shape)} if spec else {})


def _shaped(message: Fields, shape: Shape) -> KubeObject:
    found: KubeObject = {}
    for number, value in message:
        name, inner = shape.get(number, ("", None))
        if name and inner is not None:
            found[name] = _shaped(read_fields(value), inner)
        elif name and value != b"":
            found[name] = value if isinstance(value, int) else value.decode()
    return found


def _meta(message: Fields) -> KubeObject:
    values = dict(message)
    found: KubeObject = {
        name: values[n].decode() for n, name in META_TEXTS.items() if values.get(n)
    }
    for number, name in META_MAPS.items():
        if entries := _map(message, number, bytes.decode):
            found[name] = entries
    return found


def _delete_options(message: Fields) -> KubeObject:
    values = dict(message)
    found: KubeObject = {"kind": "DeleteOptions", "apiVersion": "v1"}
    if 1 in values:
        found["gracePeriodSeconds"] = values[1]
    if 4 in values:
        found["propagationPolicy"] = values[4].decode()
    return found


def _map(message: Fields, number: int, convert: Callable[[bytes], str]) -> dict[str, str]:
    entries = [dict(read_fields(raw)) for n, raw in message if n == number]
    return {entry[1].decode(): convert(entry.get(2, b"")) for entry in entries}


def read_fields(raw: bytes) -> Fields:
    """Return a message's fields as (number, value): int for varints, else bytes."""
    found: Fields = []
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(raw, at)
            found.append((number, value))
            continue
        length = {1: 8, 5: 4}.get(wire, 0)
        if wire == 2:
            length, at = _varint(raw, at)
        if at + length > len(raw):
            raise IndexError("a field is longer than the body")
        found.append((number, raw[at : at + length]))
        at += length
    return found


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = raw[at]
        at += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return result, at
