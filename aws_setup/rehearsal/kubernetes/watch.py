"""Watches: the changes since a version, until a timeout.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.http_requests import Request, RequestTarget
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore, WatchEvent
from aws_setup.rehearsal.kubernetes.api.verbs import ObjectApi

POLL_SECONDS = 0.1
"""Real seconds after which a watch applies due transitions."""

DEFAULT_TIMEOUT = 1800.0
INITIAL_END = "k8s.io/initial-events-end"


class WatchedServer(Protocol):
    """The API server whose changes a watch follows."""

    closing: bool
    changed: threading.Condition
    state: ObjectStore
    api: ObjectApi

    def tick(self) -> None:
        """Apply what has become due."""


def watch(server: WatchedServer, request: Request, target: RequestTarget) -> Iterator[KubeObject]:
    """Yield watch events until timeoutSeconds (real time) are over or the server closes."""
    wants = server.api.matcher(request, target)
    query = request.query
    end = time.monotonic() + float(query.get("timeoutSeconds") or DEFAULT_TIMEOUT)
    since = int(query.get("resourceVersion") or 0)
    with server.changed:
        server.tick()
        initial = [] if since else server.api.listing(request, target)["items"]
        since = since or server.state.version
    seen = {_uid(obj) for obj in initial}
    yield from ({"type": "ADDED", "object": obj} for obj in initial)
    if query.get("sendInitialEvents") == "true":
        yield _bookmark(target, since)
    while time.monotonic() < end and not server.closing:
        try:
            changes = _next(server, since, end)
        except ApiError as error:
            yield {"type": "ERROR", "object": error.status()}
            return
        for change in changes:
            since = change.version
            if event := _event(change, target, wants, seen):
                yield event


def _next(server: WatchedServer, since: int, end: float) -> list[WatchEvent]:
    with server.changed:
        server.tick()
        found = server.state.since(since)
        if not found:
            server.changed.wait(max(0.0, min(POLL_SECONDS, end - time.monotonic())))
            found = server.state.since(since)
        return found


def _event(
    change: WatchEvent, target: RequestTarget, wants: Callable[[KubeObject], bool], seen: set[str]
) -> KubeObject | None:
    """Return the event of a watch: DELETED also for leaving its selection, ADDED for entering."""
    if change.key[0] != target.kind.plural:
        return None
    uid, matches = _uid(change.obj), wants(change.obj)
    if change.type == "DELETED":
        seen.discard(uid)
        return {"type": "DELETED", "object": change.obj} if matches else None
    if matches:
        kind = change.type if uid in seen or change.type == "ADDED" else "MODIFIED"
        seen.add(uid)
        return {"type": kind, "object": change.obj}
    if uid in seen:
        seen.discard(uid)
        return {"type": "DELETED", "object": change.obj}
    return None


def _uid(obj: KubeObject) -> str:
    return str(obj["metadata"]["uid"])


def _bookmark(target: RequestTarget, version: int) -> KubeObject:
    meta = {"resourceVersion": str(version), "annotations": {INITIAL_END: "true"}}
    kind = target.kind
    empty = {"kind": kind.name, "apiVersion": kind.group_version, "metadata": meta}
    return {"type": "BOOKMARK", "object": empty}
