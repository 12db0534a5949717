"""Watches: the changes since a version, until a timeout.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from aws_setup.rehearsal.kubernetes.api import event_versions, queries, responses, tables
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
    """Return watch events until timeoutSeconds (real time) are over or the server closes.

    Raises:
        ApiError: a parameter is not valid; before the first event.
    """
    queries.check_list(request, version=server.state.version)
    wants = server.api.matcher(request, target)
    form = responses.accepted_form(request.accept).kind
    events = _events(server, request, target, wants)
    if form == "Table":
        return _as_tables(server, request, target, events)
    return _as_objects(target, events, partial=form == "PartialObjectMetadata")


def _as_objects(
    target: RequestTarget, events: Iterator[KubeObject], *, partial: bool
) -> Iterator[KubeObject]:
    for event in events:
        held = event["object"]
        if event["type"] in {"ERROR", "BOOKMARK"}:
            yield event
        elif partial:
            yield event | {"object": tables.partial(held)}
        else:
            yield event | {"object": event_versions.shown(target.kind, held)}


def _as_tables(
    server: WatchedServer, request: Request, target: RequestTarget, events: Iterator[KubeObject]
) -> Iterator[KubeObject]:
    """Yield each event with a table of one row; the first one defines the columns."""
    first, include = True, request.query.get("includeObject") or "Metadata"
    for event in events:
        if event["type"] == "ERROR":
            yield event
            continue
        held = event["object"]
        rows = [] if event["type"] == "BOOKMARK" else [held]
        shown = tables.table(
            target.kind,
            rows,
            {"resourceVersion": held["metadata"]["resourceVersion"]},
            now=server.state.today,
            include=include,
            with_columns=first,
        )
        first = False
        yield event | {"object": shown}


def _events(
    server: WatchedServer,
    request: Request,
    target: RequestTarget,
    wants: Callable[[KubeObject], bool],
) -> Iterator[KubeObject]:
    query = request.query
    end = time.monotonic() + (queries.number(request, "timeoutSeconds") or DEFAULT_TIMEOUT)
    since = int(query.get("resourceVersion") or 0)
    with server.changed:
        server.tick()
        held = [] if since else server.state.all(target.kind.plural, target.namespace)
        initial = [item for item in held if wants(item)]
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
