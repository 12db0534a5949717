"""The few protobuf bodies that helm 4 sends: Secrets, Namespaces and DeleteOptions.

Wire format: https://protobuf.dev/programming-guides/encoding/ ; envelope ("k8s" and a zero byte,
then runtime.Unknown): https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kube.errors import ApiError, KubeObject, bad_request

MAGIC = b"k8s\0"
META_TEXTS = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
META_MAPS = {11: "labels", 12: "annotations"}

Fields = list[tuple[int, Any]]


def decode_protobuf(body: bytes) -> KubeObject:
    """Return the object in a protobuf body.

    Raises:
        ApiError: 415 for a kind that is not known here, 400 for a body that ends too early.
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
    if kind not in {"Secret", "Namespace"}:
        raise ApiError(415, "UnsupportedMediaType", f"no protobuf for {kind} here")
    found: KubeObject = {"apiVersion": "v1", "kind": kind, "metadata": _meta(read_fields(dict(message)[1]))}
    if kind == "Secret":
        found["data"] = _map(message, 2, lambda raw: base64.b64encode(raw).decode())
        found["type"] = dict(message).get(3, b"Opaque").decode()
    return found


def _meta(message: Fields) -> KubeObject:
    values = dict(message)
    found: KubeObject = {name: values[n].decode() for n, name in META_TEXTS.items() if values.get(n)}
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
    return {one[1].decode(): convert(one.get(2, b"")) for one in entries}


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
