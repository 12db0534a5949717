"""A request as the API server sees it: whose, what it is about, and its body."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from aws_setup.rehearsal.kube import protobuf
from aws_setup.rehearsal.kube.errors import ApiError, KubeObject, bad_request, no_such_path
from aws_setup.rehearsal.kube.kinds import KINDS, ResourceKind

ADMINS = "system:masters"


@dataclass(frozen=True)
class User:
    """Who calls, and whether everything is allowed to them; else nothing is."""

    name: str
    admin: bool = False
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequestTarget:
    """What a path names: a kind, and where given a namespace, an object and a subresource."""

    kind: ResourceKind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True)
class Request:
    """One HTTP request, with the user that its credentials stand for."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = ""
    agent: str = ""
    user: User = User("system:anonymous")
    disturbed: bool = False
    """Whether somebody else writes to the same object right before."""
    query: dict[str, str] = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        url = urlsplit(self.target)
        object.__setattr__(self, "path", unquote(url.path).rstrip("/") or "/")
        object.__setattr__(self, "query", dict(parse_qsl(url.query, keep_blank_values=True)))

    @property
    def manager(self) -> str:
        """The field manager: the one named, else the program that calls."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"

    @property
    def dry(self) -> bool:
        """Whether nothing is to be kept."""
        return bool(self.query.get("dryRun"))

    @property
    def watches(self) -> bool:
        """Whether the caller wants to follow changes."""
        return self.query.get("watch", "").lower() in {"true", "1"}

    @property
    def verb(self) -> str:
        """Kubernetes' verb for it, as authorization has it."""
        if self.method == "GET":
            return "watch" if self.watches else "get" if parse_path(self.path).name else "list"
        verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        verb = verbs.get(self.method, "get")
        one = verb != "delete" or bool(parse_path(self.path).name)
        return verb if one else "deletecollection"

    @property
    def asks(self) -> tuple[str, str, str]:
        """The verb, the plural of the resource ('' outside of the groups), and the program."""
        try:
            return self.verb, parse_path(self.path).kind.plural, self.agent
        except ApiError:
            return self.method.lower(), "", self.agent

    def document(self) -> Any:
        """Return the body, decoded; an empty one is an empty object.

        Raises:
            ApiError: 400 when it cannot be read, 415 for a protobuf kind unknown here.
        """
        if not self.body:
            return {}
        if "protobuf" in self.content_type:
            return protobuf.decode_protobuf(self.body)
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
    """Return what a path names.

    Raises:
        ApiError: 404, no group serves it.
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
    """Return the refusal that a user without rights gets, in Kubernetes' words."""
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    what = f"{target.kind.qualified} " + (f'"{target.name}" ' if target.name else "")
    return ApiError(
        403,
        "Forbidden",
        f'{what}is forbidden: User "{request.user.name}" cannot {request.verb} resource '
        f'"{target.kind.plural}" in API group "{target.kind.group}" {where}',
        details={"name": target.name, "group": target.kind.group, "kind": target.kind.plural},
    )
