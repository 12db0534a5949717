"""The three kinds of patch: JSON merge, strategic merge, JSON patch; and lists with merge keys.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
https://datatracker.ietf.org/doc/html/rfc6902 , https://datatracker.ietf.org/doc/html/rfc7386
"""

from __future__ import annotations

import copy
from typing import Any

from aws_setup.rehearsal.kube.errors import ApiError, KubeObject, bad_request

LIST_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
}
"""Lists that merge by a key, by field name; all others are replaced whole."""


def list_key(field: str, items: list[Any]) -> str:
    """Return the merge key of a list below `field`; empty when it is replaced whole."""
    for key in LIST_KEYS.get(field, ()):
        if items and all(isinstance(one, dict) and key in one for one in items):
            return key
    return ""


def json_merge(target: Any, patch: Any) -> Any:
    """Return `target` with a JSON merge patch applied."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = json_merge(result.get(key), value)
    return result


def strategic_merge(target: Any, patch: Any) -> Any:
    """Return `target` with a strategic merge patch applied ($patch, $deleteFromPrimitiveList)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            result[field] = [one for one in result.get(field, []) if one not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_list(key, result.get(key), value)
        else:
            result[key] = strategic_merge(result.get(key), value)
    return result


def _merge_list(field: str, target: Any, patch: list[Any]) -> list[Any]:
    replace = any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch)
    entries = [one for one in patch if not (isinstance(one, dict) and one == {"$patch": "replace"})]
    key = list_key(field, entries)
    if field == "finalizers" and isinstance(target, list) and not replace:
        return list(dict.fromkeys([*target, *patch]))
    if not key or not isinstance(target, list) or replace:
        kept = [one for one in entries if not isinstance(one, dict) or "$patch" not in one]
        return copy.deepcopy(kept)
    merged = {one.get(key): one for one in target}
    for one in entries:
        if one.get("$patch") == "delete":
            merged.pop(one[key], None)
        else:
            merged[one[key]] = strategic_merge(merged.get(one[key], {}), one)
    return list(merged.values())


def json_patch(target: KubeObject, operations: list[KubeObject]) -> KubeObject:
    """Return `target` with RFC 6902 operations applied.

    Raises:
        ApiError: 422 when a path is not there or a test fails, 400 for an unknown operation.
    """
    result = copy.deepcopy(target)
    for one in operations:
        try:
            _operate(result, one)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = f"the server rejected our request due to an error in our request: {error!r}"
            raise ApiError(422, "Invalid", message) from error
    return result


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _holder(root: Any, path: list[str]) -> Any:
    for part in path[:-1]:
        root = root[int(part)] if isinstance(root, list) else root[part]
    return root


def _operate(root: KubeObject, one: KubeObject) -> None:
    action, path = one["op"], _pointer(one["path"])
    holder, last = _holder(root, path), path[-1]
    if action in {"move", "copy"}:
        source = _pointer(one["from"])
        held = _holder(root, source)
        value = copy.deepcopy(_read(held, source[-1]))
        if action == "move":
            _drop(held, source[-1])
        _add(_holder(root, path), last, value)
    elif action == "add":
        _add(holder, last, one["value"])
    elif action == "remove":
        _drop(holder, last)
    elif action == "replace":
        _drop(holder, last)
        _add(holder, last, one["value"])
    elif action == "test":
        if _read(holder, last) != one["value"]:
            raise ValueError(f"testing value {one['path']} failed")
    else:
        raise bad_request(f"unknown JSON patch operation {action!r}")


def _read(holder: Any, last: str) -> Any:
    return holder[int(last)] if isinstance(holder, list) else holder[last]


def _drop(holder: Any, last: str) -> None:
    del holder[int(last) if isinstance(holder, list) else last]


def _add(holder: Any, last: str, value: Any) -> None:
    if isinstance(holder, list):
        holder.insert(len(holder) if last == "-" else int(last), value)
    else:
        holder[last] = value
