"""Decodes HTTP requests: the user, the target of the path, and the body."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from aws_setup.rehearsal.kubernetes.api.errors import (
    ApiError,
    KubeObject,
    bad_request,
    no_such_path,
)
from aws_setup.rehearsal.kubernetes.api.kinds import KINDS, ResourceKind

ADMINS = "system:masters"


@dataclass(frozen=True)
class User:
    """The caller: an admin may do everything, any other user nothing."""

    name: str
    admin: bool = False
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequestTarget:
    """The target of a path: a kind and, optionally, namespace, object and subresource."""

    kind: ResourceKind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True)
class Request:
    """One HTTP request with its authenticated user."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = ""
    agent: str = ""
    user: User = User("system:anonymous")
    concurrent_write: bool = False
    """Whether another client writes to the same object just before."""
    query: dict[str, str] = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        url = urlsplit(self.target)
        object.__setattr__(self, "path", unquote(url.path).rstrip("/") or "/")
        object.__setattr__(self, "query", dict(parse_qsl(url.query, keep_blank_values=True)))

    @property
    def manager(self) -> str:
        """The field manager: the parameter, else the calling program."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"

    @property
    def dry_run(self) -> bool:
        """Whether nothing is stored."""
        return bool(self.query.get("dryRun"))

    @property
    def watches(self) -> bool:
        """Whether the request is a watch."""
        return self.query.get("watch", "").lower() in {"true", "1"}

    @property
    def verb(self) -> str:
        """Kubernetes' verb of the request, as in authorization."""
        if self.method == "GET":
            return "watch" if self.watches else "get" if parse_path(self.path).name else "list"
        verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        verb = verbs.get(self.method, "get")
        is_single = verb != "delete" or bool(parse_path(self.path).name)
        return verb if is_single else "deletecollection"

    @property
    def fault_key(self) -> tuple[str, str, str]:
        """The verb, the plural of the resource ('' outside of the groups), and the user agent."""
        try:
            return self.verb, parse_path(self.path).kind.plural, self.agent
        except ApiError:
            return self.method.lower(), "", self.agent

    def document(self) -> Any:
        """Return the body, decoded; an empty one is an empty object.

        Raises:
            ApiError: 400 when it is unreadable, 415 for an unsupported protobuf kind.
        """
        if not self.body:
            return {}
        if "protobuf" in self.content_type:
            return decode_protobuf(self.body)
        try:
            if "yaml" in self.content_type:
                return yaml.safe_load(self.body)
            return json.loads(self.body)
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"the body cannot be read: {error}") from error

    def options(self) -> KubeObject:
        """Return the DeleteOptions of body and query."""
        found = self.document()
        if not isinstance(found, dict):
            raise bad_request("the body is no DeleteOptions")
        if policy := self.query.get("propagationPolicy"):
            found = found | {"propagationPolicy": policy}
        if grace := self.query.get("gracePeriodSeconds"):
            found = found | {"gracePeriodSeconds": int(grace)}
        return found


def parse_path(path: str) -> RequestTarget:
    """Return the target of a path.

    Raises:
        ApiError: 404, no API group serves it.
    """
    parts = [part for part in path.split("/") if part]
    skip = {"api": 2, "apis": 3}.get(parts[0] if parts else "", 0)
    version, rest = "/".join(parts[1:skip]), parts[skip:]
    if not skip or not rest:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    kind = KINDS.get(rest[0])
    if kind is None or kind.group_version != version or len(rest) > 3:
        raise no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    if subresource and subresource not in kind.subresources:
        raise no_such_path()
    if kind.namespaced != bool(namespace) and name:
        raise no_such_path()
    return RequestTarget(kind, namespace, name, subresource)


def forbidden(request: Request, target: RequestTarget) -> ApiError:
    """Return the error for a user without permission, with Kubernetes' message."""
    scope = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    what = f"{target.kind.qualified} " + (f'"{target.name}" ' if target.name else "")
    return ApiError(
        403,
        "Forbidden",
        f'{what}is forbidden: User "{request.user.name}" cannot {request.verb} resource '
        f'"{target.kind.plural}" in API group "{target.kind.group}" {scope}',
        details={"name": target.name, "group": target.kind.group, "kind": target.kind.plural},
    )


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
