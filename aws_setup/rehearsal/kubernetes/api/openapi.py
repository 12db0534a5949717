"""The OpenAPI documents: what kubectl needs for `explain` and to send `fieldValidation`.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3
The documents have every kind's fields and types, without the descriptions.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from aws_setup.rehearsal.kubernetes.api import schema
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.kinds import GROUP_VERSIONS, SERVED, ResourceKind

SIMPLE: dict[str, KubeObject] = {
    "str": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "bool": {"type": "boolean"},
    "float": {"type": "number", "format": "double"},
    "time": {"type": "string", "format": "date-time"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "intstr": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "bytes": {"type": "string", "format": "byte"},
    "any": {"type": "object"},
}
REF = "#/components/schemas/"
WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def index() -> KubeObject:
    """Return the answer to /openapi/v3: the address of each group's document."""
    paths = {}
    for group_version in GROUP_VERSIONS:
        path = _root(group_version)
        digest = hashlib.sha256(path.encode()).hexdigest()
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def _root(group_version: str) -> str:
    return f"{'apis' if '/' in group_version else 'api'}/{group_version}"


@cache
def document(path: str) -> KubeObject | None:
    """Return the document of `api/v1` or `apis/GROUP/VERSION`; None when it is not served."""
    kinds = [kind for kind in SERVED if _root(kind.group_version) == path]
    if not kinds:
        return None
    types: dict[str, KubeObject] = {}
    for kind in kinds:
        name = schema.document()["kinds"][kind.key]
        _add_types(name, types)
        types[name]["x-kubernetes-group-version-kind"] = [_names(kind)]
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": {_object_path(kind): {"patch": _patch(kind)} for kind in kinds}
        | {
            _list_path(kind): {"post": _patch(kind) | {"x-kubernetes-action": "post"}}
            for kind in kinds
        },
        "components": {"schemas": types},
    }


def _names(kind: ResourceKind) -> KubeObject:
    return {"group": kind.group, "version": kind.version, "kind": kind.name}


def _list_path(kind: ResourceKind) -> str:
    scope = "namespaces/{namespace}/" if kind.namespaced else ""
    return f"/{_root(kind.group_version)}/{scope}{kind.plural}"


def _object_path(kind: ResourceKind) -> str:
    return f"{_list_path(kind)}/{{name}}"


def _patch(kind: ResourceKind) -> KubeObject:
    return {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": _names(kind),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in WRITE_PARAMETERS
        ],
        "responses": {"200": {"description": "OK"}},
    }


def _add_types(name: str, types: dict[str, KubeObject]) -> None:
    if name in types:
        return
    properties: dict[str, Any] = {}
    types[name] = {"type": "object", "properties": properties}
    for field, text in schema.document()["types"][name].items():
        properties[field] = _type(text, types)


def _type(text: str, types: dict[str, KubeObject]) -> KubeObject:
    if text[0] == "[":
        return {"type": "array", "items": _type(text[1:-1], types)}
    if text[0] == "{":
        return {"type": "object", "additionalProperties": _type(text[1:-1], types)}
    if text in SIMPLE:
        return SIMPLE[text]
    _add_types(text, types)
    return {"allOf": [{"$ref": f"{REF}{text}"}]}
