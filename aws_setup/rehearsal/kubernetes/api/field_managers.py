"""The managers of fields, by which server-side apply finds conflicts and drops fields.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.patches import list_key

Path = tuple[str, ...]
"""The path of a value; an entry of a list with a merge key is `[key=value]`."""

SERVER_FIELDS = {"apiVersion", "kind", "status"}
SERVER_METADATA_FIELDS = {
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
}


def leaf_fields(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every leaf of an object with its path, without the server's fields."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if (not path and key in SERVER_FIELDS) or (
                path == ("metadata",) and key in SERVER_METADATA_FIELDS
            ):
                continue
            yield from leaf_fields(inner, (*path, key))
    elif isinstance(value, list) and (key := list_key(path[-1] if path else "", value)):
        for item in value:
            yield from leaf_fields(item, (*path, f"[{key}={item[key]}]"))
    else:
        yield path, value


class FieldManagers:
    """The leaves that each field manager owns, by the uid of the object."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_uid: dict[str, dict[str, set[Path]]] = {}

    def record_write(self, before: KubeObject | None, after: KubeObject, manager: str) -> None:
        """Record a write: the changed leaves belong to the writer only."""
        old = dict(leaf_fields(before)) if before else {}
        new = dict(leaf_fields(after))
        changed = {path for path, value in new.items() if path not in old or old[path] != value}
        gone = old.keys() - new.keys()
        managers = self._by_uid.setdefault(after["metadata"]["uid"], {})
        for held in managers.values():
            held.difference_update(changed | gone)
        managers.setdefault(manager, set()).update(changed)

    def record_apply(
        self, obj: KubeObject, config: KubeObject, manager: str, *, force: bool
    ) -> None:
        """Record an apply: the manager owns the leaves of the configuration, and no others."""
        applied_fields = {path for path, _ in leaf_fields(config)}
        managers = self._by_uid.setdefault(obj["metadata"]["uid"], {})
        if force:
            for held in managers.values():
                held.difference_update(applied_fields)
        managers[manager] = applied_fields

    def check(self, current: KubeObject, config: KubeObject, manager: str) -> None:
        """Reject an apply that changes another manager's field.

        Raises:
            ApiError: 409, with one cause for each field.
        """
        now = dict(leaf_fields(current))
        desired = dict(leaf_fields(config))
        causes = []
        for other, held in self._by_uid.get(current["metadata"]["uid"], {}).items():
            for path in sorted(held & desired.keys()):
                if other != manager and path in now and now[path] != desired[path]:
                    causes.append(_cause(other, path))
        if causes:
            plural = "conflicts" if len(causes) > 1 else "conflict"
            fields = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
            raise ApiError(
                409,
                "Conflict",
                f"Apply failed with {len(causes)} {plural}: {fields}",
                details={"causes": causes},
            )

    def dropped_fields(self, current: KubeObject, config: KubeObject, manager: str) -> set[Path]:
        """Return the fields that the manager applied before but not now, and no other owns."""
        managers = self._by_uid.get(current["metadata"]["uid"], {})
        others: set[Path] = set()
        for name, held in managers.items():
            if name != manager:
                others |= held
        return managers.get(manager, set()) - {path for path, _ in leaf_fields(config)} - others


def _cause(manager: str, path: Path) -> KubeObject:
    field = "".join(part if part.startswith("[") else f".{part}" for part in path)
    return {
        "reason": "FieldManagerConflict",
        "message": f'conflict with "{manager}"',
        "field": field,
    }


def apply_configuration(current: KubeObject, config: KubeObject, drop: set[Path]) -> KubeObject:
    """Return `current` with the applied configuration merged and `drop` removed.

    An entry of a list whose merge key is dropped goes as a whole, with its defaulted fields, which
    no manager owns (https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy).
    """
    result: KubeObject = _merge_value(current, config, "")
    entries = {path[:-1] for path in drop if _is_merge_key(path)}
    within = {path for path in drop if any(path[: len(entry)] == entry for entry in entries)}
    for path in entries | (drop - within):
        _remove_leaf(result, path)
    return result


def _is_merge_key(path: Path) -> bool:
    """Say whether a leaf is the merge key of an entry of a list."""
    return len(path) > 1 and path[-2].startswith(f"[{path[-1]}=")


def _merge_value(target: Any, config: Any, field: str) -> Any:
    if isinstance(config, dict) and isinstance(target, dict):
        result = dict(target)
        for key, value in config.items():
            result[key] = _merge_value(target.get(key), value, key)
        return result
    if isinstance(config, list) and isinstance(target, list) and (key := list_key(field, config)):
        named = {item.get(key): item for item in target}
        for item in config:
            named[item[key]] = _merge_value(named.get(item[key]), item, "")
        return list(named.values())
    return copy_json(config)


def _remove_leaf(root: KubeObject, path: Path) -> None:
    """Remove a leaf, and containers that are empty afterwards."""
    holders: list[tuple[Any, Any]] = []
    value: Any = root
    for part in path:
        at = _index(value, part)
        if at is None:
            return
        holders.append((value, at))
        value = value[at]
    for depth, (holder, at) in enumerate(reversed(holders)):
        if depth and not _is_empty(holder[at]):
            break
        del holder[at]


def _index(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return part if part in value else None
    if isinstance(value, list) and part.startswith("["):
        key, _, expected = part[1:-1].partition("=")
        indexes = (n for n, item in enumerate(value) if str(item.get(key)) == expected)
        return next(indexes, None)
    return None


def _is_empty(value: Any) -> bool:
    return isinstance(value, dict | list) and not value
