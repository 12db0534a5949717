"""Whether a body is the object that the URL names, and which part of it a request may write."""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.kubernetes.api import event_versions
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject, bad_request
from aws_setup.rehearsal.kubernetes.api.http_requests import RequestTarget
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind


def check_identity(kind: ResourceKind, obj: Any, *, namespace: str) -> KubeObject:
    """Check that a body is an object of the kind and namespace of the URL.

    Raises:
        ApiError: 400, it is not.
    """
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata") or {}, dict):
        raise bad_request(
            f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: json: '
            "cannot unmarshal into Go value"
        )
    version, name = obj.get("apiVersion"), obj.get("kind")
    if name not in {kind.name, None, ""}:
        raise bad_request(
            f'{name} in version "{version}" cannot be handled as a {kind.name}: converting '
            f"({version}, {name}) to ({kind.group_version}, {kind.name}): unknown conversion"
        )
    if version not in {kind.group_version, None, ""}:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({kind.group_version})"
        )
    meta = obj["metadata"] = obj.get("metadata") or {}
    held = meta.get("namespace") or ""
    if held and held != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if kind.namespaced:
        meta["namespace"] = namespace
    return obj


def check_name(target: RequestTarget, obj: KubeObject) -> None:
    """Check that an object has the name of the URL; raises ApiError 400."""
    name = obj["metadata"].get("name", "")
    if name != target.name:
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        )


def check_patched(target: RequestTarget, before: KubeObject, after: KubeObject) -> None:
    """Check that a patch has left the object's identity."""
    kind, shown = target.kind, event_versions.shown(target.kind, before)
    after.setdefault("metadata", {})
    check_name(target, after)
    for field in ("apiVersion", "kind"):
        if after.get(field) != shown[field]:
            raise bad_request(
                f"{field} of the patched object ({after.get(field)}) is not that of a {kind.name}"
            )
    if kind.namespaced and after["metadata"].get("namespace") != target.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def writable_part(target: RequestTarget, before: KubeObject, after: KubeObject) -> KubeObject:
    """Return the object with the part that this request may write: the status, or the rest."""
    after = copy_json(after)
    if target.subresource == "status":
        return before | {"status": after.get("status", {})}
    if "status" in target.kind.subresources:
        after["status"] = before.get("status", {})
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        after["metadata"].pop(field, None)
        if field in before["metadata"]:
            after["metadata"][field] = before["metadata"][field]
    return after
