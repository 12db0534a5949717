"""Decodes HTTP requests: the user, the target of the path, and the body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from aws_setup.rehearsal.kubernetes.api import errors
from aws_setup.rehearsal.kubernetes.api.errors import (
    ApiError,
    KubeObject,
    bad_request,
    no_such_path,
)
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind, find
from aws_setup.rehearsal.kubernetes.api.protobuf import decode_protobuf

ADMINS = "system:masters"
MEDIA_TYPES = re.compile(r"[/+](json|yaml|vnd\.kubernetes\.protobuf)$")
"""Media types of a body that the server reads; patches have others of their own."""

YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class User:
    """The caller: an admin may do everything, any other user nothing."""

    name: str
    admin: bool = False
    groups: tuple[str, ...] = ()

    @property
    def anonymous(self) -> bool:
        """Whether the caller has sent no credentials."""
        return self == ANONYMOUS

    @property
    def all_groups(self) -> tuple[str, ...]:
        """The groups with the one that the server adds."""
        own = "system:unauthenticated" if self.anonymous else "system:authenticated"
        return tuple(dict.fromkeys((*self.groups, own)))


ANONYMOUS = User("system:anonymous")
"""The caller without credentials."""


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
    accept: str = ""
    user: User = ANONYMOUS
    concurrent_write: bool = False
    """Whether another client writes to the same object just before."""
    warnings: list[str] = field(default_factory=list)
    """The texts of the answer's `Warning:` headers."""
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
            ApiError: 400 when it is unreadable, 415 for another media type or protobuf kind.
        """
        if not self.body:
            return {}
        media = self.content_type.partition(";")[0].strip().lower()
        if media and not MEDIA_TYPES.search(media):
            accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
            why = "the body of the request was in an unknown format - accepted media types include"
            raise ApiError(415, "UnsupportedMediaType", f"{why}: {accepted}")
        if "protobuf" in self.content_type:
            return decode_protobuf(self.body)
        try:
            return json.loads(self.body)
        except ValueError as error:
            if "yaml" not in self.content_type:
                raise bad_request(f"the body cannot be read: {error}") from error
        try:
            return yaml.load(self.body, Loader=YAML_LOADER)
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
            if not grace.lstrip("-").isdigit():
                raise bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax')
            found = found | {"gracePeriodSeconds": int(grace)}
        if self.query.get("dryRun"):
            found = found | {"dryRun": [self.query["dryRun"]]}
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
    kind = find(version, rest[0])
    if kind is None or len(rest) > 3:
        raise no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    if subresource and subresource not in kind.subresources:
        raise no_such_path()
    if kind.namespaced != bool(namespace) and name:
        raise no_such_path()
    return RequestTarget(kind, namespace, name, subresource)


def forbidden(request: Request, target: RequestTarget) -> ApiError:
    """Return the error for a user without permission, with Kubernetes' message."""
    kind = target.kind
    namespace = target.namespace or (target.name if kind.name == "Namespace" else "")
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    resource = f"{kind.plural}/{target.subresource}" if target.subresource else kind.plural
    why = (
        f'User "{request.user.name}" cannot {request.verb} resource "{resource}" in API group '
        f'"{kind.group}" {scope}'
    )
    return errors.forbidden(kind.qualified, target.name, why)


def forbidden_path(request: Request) -> ApiError:
    """Return the error for a user without permission on a path that is no resource."""
    why = f'User "{request.user.name}" cannot {request.method.lower()} path "{request.path}"'
    return ApiError(403, "Forbidden", f"forbidden: {why}")
