"""The stored objects, their versions, and the history for watches.

Stored objects are never changed in place: every write stores a new copy.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_setup.rehearsal.kubernetes.api import defaults, errors
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.kinds import KINDS, ResourceKind

Key = tuple[str, str, str]
"""(plural, namespace or '', name)."""

HISTORY = 5000
"""Changes kept for watches; a watch from an older version gets 410 Gone, as with etcd."""


@dataclass(frozen=True)
class WatchEvent:
    """One entry of the history: version, ADDED / MODIFIED / DELETED, and the object."""

    version: int
    type: str
    key: Key
    obj: KubeObject


class ObjectStore:
    """The objects of a cluster."""

    def __init__(self, today: Callable[[], datetime]) -> None:
        """Start empty; `today` returns the time of new objects."""
        self.objects: dict[Key, KubeObject] = {}
        self._by_plural: dict[str, dict[Key, KubeObject]] = {}
        self._sorted: dict[str, list[tuple[Key, KubeObject]]] = {}
        self._by_owner: dict[str, dict[Key, KubeObject]] = {}
        self.changes: list[WatchEvent] = []
        self.version = 1
        self._today = today
        self._address = 0

    @property
    def today(self) -> datetime:
        """The current time of the cluster, in UTC."""
        return self._today()

    @property
    def oldest(self) -> int:
        """The oldest version from which the history is kept."""
        return self.changes[0].version - 1 if self.changes else 0

    def now(self) -> str:
        """Return the current time in Kubernetes' format."""
        return self._today().strftime("%Y-%m-%dT%H:%M:%SZ")

    def get(self, plural: str, name: str, namespace: str = "") -> KubeObject | None:
        """Return a copy of an object, or None when there is none."""
        found = self.read(plural, name, namespace)
        return copy_json(found) if found is not None else None

    def read(self, plural: str, name: str, namespace: str = "") -> KubeObject | None:
        """Return an object, not copied, or None when there is none."""
        return self.objects.get((plural, namespace, name))

    def require(self, plural: str, name: str, namespace: str = "") -> KubeObject:
        """Return a copy of an object; raises ApiError 404 without it."""
        found = self.get(plural, name, namespace)
        if found is None:
            raise errors.not_found(KINDS[plural].qualified, name)
        return found

    def all(self, plural: str, namespace: str = "") -> list[KubeObject]:
        """Return the objects of a kind, not copied, of one namespace or of all."""
        found = self._sorted.get(plural)
        if found is None:
            found = self._sorted[plural] = sorted(self._by_plural.get(plural, {}).items())
        return [obj for key, obj in found if not namespace or key[1] == namespace]

    def owned(self, uid: str, plural: str = "") -> list[KubeObject]:
        """Return the objects whose owner has this uid, of one kind or of all."""
        found = sorted(self._by_owner.get(uid, {}).items())
        return [obj for key, obj in found if not plural or key[0] == plural]

    def put(self, plural: str, obj: KubeObject) -> KubeObject:
        """Create or overwrite an object without validation; returns the stored object.

        A new object gets its kind's defaults, whoever writes it.
        """
        kind, kept = KINDS[plural], copy_json(obj)
        meta = kept.setdefault("metadata", {})
        key = (plural, meta.get("namespace", "") if kind.namespaced else "", meta["name"])
        before = self.objects.get(key)
        if before is None:
            defaults.set_defaults(kind, kept)
        self._set_server_fields(kind, kept, before)
        if before is not None and _same(before, kept):
            return before
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._leave_indexes(key, before)
        self.objects[key] = self._by_plural.setdefault(plural, {})[key] = kept
        for uid in _owners(kept):
            self._by_owner.setdefault(uid, {})[key] = kept
        self._record("MODIFIED" if before else "ADDED", key, kept)
        return kept

    def set_status(self, plural: str, obj: KubeObject, status: KubeObject) -> KubeObject:
        """Merge fields into the status of the stored object; None removes a field."""
        meta = obj["metadata"]
        now = self.objects.get((plural, meta.get("namespace", ""), meta["name"]))
        if now is None:
            raise errors.not_found(KINDS[plural].qualified, meta["name"])
        merged = now.get("status", {}) | status
        desired = {key: value for key, value in merged.items() if value is not None}
        # Most are already so: controllers set all of it in each pass.
        return now if now.get("status") == desired else self.put(plural, now | {"status": desired})

    def remove(self, plural: str, obj: KubeObject) -> None:
        """Remove an object; already removed is no error."""
        meta = obj["metadata"]
        key = (plural, meta.get("namespace", ""), meta["name"])
        gone = self.objects.pop(key, None)
        if gone is None:
            return
        del self._by_plural[plural][key]
        self._leave_indexes(key, gone)
        self.version += 1
        meta = gone["metadata"] | {"resourceVersion": str(self.version)}
        self._record("DELETED", key, gone | {"metadata": meta})

    def _leave_indexes(self, key: Key, obj: KubeObject | None) -> None:
        """Remove an object that changes or goes from what is derived from the objects."""
        self._sorted.pop(key[0], None)
        for uid in _owners(obj) if obj is not None else ():
            del self._by_owner[uid][key]
            if not self._by_owner[uid]:
                del self._by_owner[uid]

    def since(self, version: int) -> list[WatchEvent]:
        """Return the changes after a version; raises ApiError 410 when they are not kept."""
        if self.changes and version < self.changes[0].version - 1:
            oldest = self.changes[0].version
            raise errors.expired(f"too old resource version: {version} ({oldest})")
        return [change for change in self.changes if change.version > version]

    def address(self) -> str:
        """Return the next free cluster address."""
        self._address += 1
        return f"10.100.{self._address // 250}.{self._address % 250 + 1}"

    def event(self, obj: KubeObject, *, reason: str, message: str, warning: bool = False) -> None:
        """Record an event of an object, once for each object, reason and message.

        None is recorded in a namespace that is being deleted, where nothing can be created.
        """
        meta = obj["metadata"]
        about = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "uid": meta["uid"],
        }
        namespace = meta.get("namespace") or "default"
        held = self.read("namespaces", namespace)
        if held is not None and "deletionTimestamp" in held["metadata"]:
            return
        for item in self.all("events", namespace):
            about_item = item.get("involvedObject") or {}
            same = (about_item.get("uid"), item.get("reason"), item.get("message"))
            if same == (meta["uid"], reason, message):
                return
        name = f"{meta['name']}.{secrets.token_hex(8)}"
        self.put(
            "events",
            {
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": about,
                "reason": reason,
                "message": message,
                "type": "Warning" if warning else "Normal",
                "count": 1,
                "firstTimestamp": self.now(),
                "lastTimestamp": self.now(),
                "source": {"component": "rehearsal"},
            },
        )

    def _set_server_fields(
        self, kind: ResourceKind, obj: KubeObject, before: KubeObject | None
    ) -> None:
        """Set the fields that the server owns: uid, times, generation."""
        obj["apiVersion"], obj["kind"] = kind.group_version, kind.name
        meta, old = obj["metadata"], (before or {}).get("metadata", {})
        meta["uid"] = old.get("uid") or meta.get("uid") or str(uuid.uuid4())
        meta["creationTimestamp"] = old.get("creationTimestamp") or self.now()
        if old:
            meta["resourceVersion"] = old["resourceVersion"]
        if "spec" in obj:
            changed = before is not None and obj["spec"] != before.get("spec")
            meta["generation"] = old.get("generation", 1) + (1 if changed else 0)

    def _record(self, kind: str, key: Key, obj: KubeObject) -> None:
        self.changes.append(WatchEvent(self.version, kind, key, obj))
        if len(self.changes) > HISTORY:
            del self.changes[: len(self.changes) - HISTORY]


def _owners(obj: KubeObject) -> set[str]:
    """Return the uids of an object's owners."""
    references = obj["metadata"].get("ownerReferences") or []
    return {reference["uid"] for reference in references if reference.get("uid")}


def _same(before: KubeObject, after: KubeObject) -> bool:
    return before == after


def owner_reference(owner: KubeObject) -> dict[str, Any]:
    """Return the owner reference for the dependants of an object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
