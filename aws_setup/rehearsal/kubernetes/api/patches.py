"""The three kinds of patch: JSON merge, strategic merge, JSON patch; and lists with merge keys.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
https://datatracker.ietf.org/doc/html/rfc6902 , https://datatracker.ietf.org/doc/html/rfc7386
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject, bad_request
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json

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
"""Field name -> merge keys of its list; lists of other fields are replaced."""


def list_key(field: str, items: list[Any]) -> str:
    """Return the merge key of the list of `field`; empty when it is replaced."""
    for key in LIST_KEYS.get(field, ()):
        if items and all(isinstance(item, dict) and key in item for item in items):
            return key
    return ""


def json_merge(target: Any, patch: Any) -> Any:
    """Return `target` with a JSON merge patch applied."""
    if not isinstance(patch, dict):
        return copy_json(patch)
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
        return copy_json(patch)
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            result[field] = [item for item in result.get(field, []) if item not in value]
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
    replace = any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch)
    entries = [
        item for item in patch if not (isinstance(item, dict) and item == {"$patch": "replace"})
    ]
    key = list_key(field, entries)
    if field == "finalizers" and isinstance(target, list) and not replace:
        return list(dict.fromkeys([*target, *patch]))
    if not key or not isinstance(target, list) or replace:
        kept = [entry for entry in entries if not isinstance(entry, dict) or "$patch" not in entry]
        return copy_json(kept)
    merged = {item.get(key): item for item in target}
    for entry in entries:
        if entry.get("$patch") == "delete":
            merged.pop(entry[key], None)
        else:
            merged[entry[key]] = strategic_merge(merged.get(entry[key], {}), entry)
    return list(merged.values())


def patched(work: Callable[[Any, Any], Any], target: KubeObject, patch: Any) -> KubeObject:
    """Return `target` with a patch applied by one of the functions of this module.

    Raises:
        ApiError: 400 for a patch that is no object (a JSON patch: no list), or that leaves none;
            422 for a JSON patch that does not fit.
    """
    wanted = list if work is json_patch else dict
    if not isinstance(patch, wanted):
        raise bad_request(
            f"json: cannot unmarshal {type(patch).__name__} into Go value of type "
            f"{'jsonpatch.Patch' if wanted is list else 'map[string]interface {}'}"
        )
    try:
        found = work(target, patch)
    except (AttributeError, TypeError, KeyError) as error:
        # A directive of a strategic merge that does not fit the field it names.
        raise bad_request(f"the patch does not fit the object: {error!r}") from error
    if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
        raise bad_request("the patched object is no object")
    return found


def json_patch(target: KubeObject, operations: list[KubeObject]) -> KubeObject:
    """Return `target` with RFC 6902 operations applied.

    Raises:
        ApiError: 422 when a path does not exist or a test fails, 400 for an unknown operation.
    """
    result = copy_json(target)
    for operation in operations:
        try:
            _operate(result, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            message = f"the server rejected our request due to an error in our request: {error!r}"
            raise ApiError(422, "Invalid", message) from error
    return result


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _holder(root: Any, path: list[str]) -> Any:
    for part in path[:-1]:
        root = root[int(part)] if isinstance(root, list) else root[part]
    return root


def _operate(root: KubeObject, operation: KubeObject) -> None:
    action, path = operation["op"], _pointer(operation["path"])
    if not path:
        raise ValueError("the path is the whole object")
    holder, last = _holder(root, path), path[-1]
    if action in {"move", "copy"}:
        source = _pointer(operation["from"])
        held = _holder(root, source)
        value = copy_json(_read(held, source[-1]))
        if action == "move":
            _drop(held, source[-1])
        _add(_holder(root, path), last, value)
    elif action == "add":
        _add(holder, last, operation["value"])
    elif action == "remove":
        _drop(holder, last)
    elif action == "replace":
        _drop(holder, last)
        _add(holder, last, operation["value"])
    elif action == "test":
        if _read(holder, last) != operation["value"]:
            raise ValueError(f"testing value {operation['path']} failed")
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
