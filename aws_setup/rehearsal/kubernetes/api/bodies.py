"""Bodies of writes: read, compared with the schema, and told what they got wrong.

https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.kubernetes.api import schema
from aws_setup.rehearsal.kubernetes.api.errors import (
    ApiError,
    KubeObject,
    bad_request,
    invalid,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.http_requests import Request
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind

LIMIT = 3 * 1024 * 1024
"""Bytes of the largest body that the server reads."""


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object in their order, doubled ones too."""


def read(request: Request) -> Any:
    """Return the decoded body of a write.

    Raises:
        ApiError: 400 when it is empty or unreadable, 413 when it is too large.
    """
    if len(request.body) > LIMIT:
        message = f"Request entity too large: limit is {LIMIT}"
        raise ApiError(413, "RequestEntityTooLarge", message)
    if not request.body.strip():
        raise bad_request("unexpected end of JSON input: the body is empty")
    return request.document()


def doubled_fields(body: bytes) -> list[str]:
    """Return the paths of the members that occur twice in an object of a JSON body."""
    doubled = False

    def note(pairs: list[tuple[str, Any]]) -> KubeObject:
        nonlocal doubled
        found = dict(pairs)
        doubled = doubled or len(found) != len(pairs)
        return found

    try:
        json.loads(body, object_pairs_hook=note)
        if not doubled:
            return []
        return list(_doubled(json.loads(body, object_pairs_hook=_Pairs), ""))
    except ValueError:
        return []


def _doubled(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            below = f"{path}.{key}" if path else key
            if key in seen:
                yield below
            seen.add(key)
            yield from _doubled(item, below)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _doubled(item, f"{path}[{at}]")


def decode(request: Request, kind: ResourceKind, value: Any) -> KubeObject:
    """Return a body by its schema; unknown fields are dropped with a warning, or refused.

    Raises:
        ApiError: 400 for a wrong type, or for an unknown or doubled field under
            `fieldValidation=Strict`.
    """
    head = f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
    try:
        decoded = schema.decode(kind.key, value)
    except schema.WrongType as error:
        raise bad_request(f"{head}{error}") from error
    directive = request.query.get("fieldValidation") or "Warn"
    if directive == "Ignore":
        return decoded.obj
    problems = [f'unknown field "{path}"' for path in decoded.unknown]
    if "json" in request.content_type or not request.content_type:
        problems += [f'duplicate field "{path}"' for path in doubled_fields(request.body)]
    if problems and directive == "Strict":
        raise bad_request(f"{head}strict decoding error: {', '.join(problems)}")
    request.warnings.extend(problems)
    return decoded.obj


def decode_patched(request: Request, kind: ResourceKind, value: Any) -> KubeObject:
    """Return a patched object by its schema.

    Raises:
        ApiError: 422 for a wrong type, or for an unknown field under `fieldValidation=Strict`.
    """
    patch = request.body.decode("utf-8", "replace")
    try:
        decoded = schema.decode(kind.key, value)
    except schema.WrongType as error:
        raise invalid("", "", wrong("patch", patch, str(error))) from error
    directive = request.query.get("fieldValidation") or "Warn"
    problems = [f'unknown field "{path}"' for path in decoded.unknown]
    if "json" in request.content_type:
        problems += [f'duplicate field "{path}"' for path in doubled_fields(request.body)]
    if problems and directive == "Strict":
        why = f"strict decoding error: {', '.join(problems)}"
        raise invalid("", "", wrong("patch", patch, why))
    if directive == "Warn":
        request.warnings.extend(problems)
    return decoded.obj


def decode_applied(request: Request, kind: ResourceKind, value: Any) -> KubeObject:
    """Return a configuration of server-side apply by its schema.

    Raises:
        ApiError: 400 for what is no object of the kind, 500 for a field that is not declared
            (structured-merge-diff's error, which the server does not translate).
    """
    if not isinstance(value, dict):
        raise bad_request("the configuration is not an object")
    for field in ("kind", "apiVersion"):
        if not value.get(field):
            text = json.dumps(value)
            raise bad_request(f"Object '{field.capitalize()}' is missing in '{text}'")
    if (value.get("metadata") or {}).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if request.query.get("fieldValidation") == "Strict" and (
        doubled := doubled_fields(request.body)
    ):
        names = ", ".join(f'key "{path}" already set in map' for path in doubled)
        raise bad_request(f"error strict decoding YAML: {names}")
    meta = value.get("metadata") or {}
    name = "/".join(filter(None, (meta.get("namespace"), meta.get("name"))))
    head = f"failed to create typed patch object ({name}; {kind.group_version}, Kind={kind.name})"
    try:
        decoded = schema.decode(kind.key, value)
    except schema.WrongType as error:
        raise ApiError(500, "", f"{head}: {error}") from error
    if decoded.unknown:
        fields = ", ".join(f".{path}: field not declared in schema" for path in decoded.unknown)
        listed = fields if len(decoded.unknown) == 1 else f"errors:\n  {fields}"
        raise ApiError(500, "", f"{head}: {listed}")
    return decoded.obj
