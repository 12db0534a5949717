"""A NameNode action as OpenWhisk holds it: what it should be, what it is, what is to be done.

Pure: bodies and comparisons, no requests. An annotation of ours on every action holds the jar's
SHA-256, the main class, the version of these settings, and the action's own version after our
PUT: OpenWhisk counts the version up at every change and keeps annotations, so a change by anybody
else (such as `wsk action update`) shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aws_setup.namenodes.jar import Jar

ANNOTATION = "lambda-fs"
SETTINGS = 1
"""Version of what a body of ours holds beside the code; counted up when that changes."""

FIRST_VERSION = "0.0.1"
WEB = {"web-export": True, "raw-http": False, "final": True}
"""Annotations of a web action, as `wsk --web true` sends them."""

Document = Mapping[str, Any]


@dataclass(frozen=True)
class DesiredAction:
    """What every NameNode action should be; None leaves that as it is. Memory in MB."""

    kind: str
    main: str
    memory: int | None
    concurrency: int | None
    sha256: str | None = None


@dataclass(frozen=True)
class CurrentAction:
    """What OpenWhisk says about an action; `sha256` and so on are what our annotation says.

    `main` and `action_memory` are None when the answer does not tell them (a listing does not).
    """

    name: str
    version: str
    kind: str
    memory: int | None
    concurrency: int | None
    updated: float
    web: bool
    sha256: str = ""
    main: str | None = None
    settings: int = 0
    recorded_version: str = ""
    action_memory: int | None = None

    @property
    def ours(self) -> bool:
        """Whether the last change to it was made by this script."""
        return bool(self.sha256) and self.recorded_version == self.version


@dataclass(frozen=True)
class Difference:
    """One thing that is not as wanted; with `code` the jar must be sent to mend it."""

    what: str
    has: str
    wants: str
    code: bool = False


class Deed(StrEnum):
    """What is to be done about an action."""

    NOTHING = "nothing"
    CREATE = "create"
    UPDATE = "update"
    LIMITS = "limits"
    DELETE = "delete"


def _pairs(items: Any) -> dict[str, Any]:
    """Return OpenWhisk's list of key and value as a dict."""
    return {item["key"]: item.get("value") for item in items or [] if "key" in item}


def parse(document: Document) -> CurrentAction:
    """Return what a list entry, or an action without its code, says."""
    notes, limits = _pairs(document.get("annotations")), document.get("limits") or {}
    code = document.get("exec") or {}
    raw = notes.get(ANNOTATION)
    mark: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
    return CurrentAction(
        name=str(document["name"]),
        version=str(document.get("version", "")),
        kind=str(code.get("kind") or notes.get("exec") or ""),
        memory=limits.get("memory"),
        concurrency=limits.get("concurrency"),
        updated=float(document.get("updated") or 0) / 1000,
        web=all(notes.get(key, False) == value for key, value in WEB.items()),
        sha256=str(mark.get("jar_sha256", "")),
        main=code.get("main") or mark.get("main"),
        settings=int(mark.get("settings", 0)),
        recorded_version=str(mark.get("version", "")),
        action_memory=_pairs(document.get("parameters")).get("actionMemory"),
    )


def differences(existing: CurrentAction, wanted: DesiredAction) -> list[Difference]:
    """Return everything about an action that is not as wanted."""
    found: list[Difference] = []
    if wanted.sha256 is not None:
        found += _code_differences(existing, wanted, wanted.sha256)
    for what, has, wants in (
        ("memory", existing.memory, wanted.memory),
        ("concurrency", existing.concurrency, wanted.concurrency),
    ):
        if wants is not None and has != wants:
            found.append(Difference(what, str(has), str(wants)))
    memory = wanted.memory if wanted.memory is not None else existing.memory
    if existing.action_memory is not None and existing.action_memory != memory:
        found.append(Difference("actionMemory", str(existing.action_memory), str(memory)))
    if not existing.web:
        found.append(Difference("web action", "no", "yes"))
    if existing.ours and existing.settings != SETTINGS:
        found.append(Difference("settings", str(existing.settings), str(SETTINGS)))
    return found


def _code_differences(
    existing: CurrentAction, wanted: DesiredAction, sha256: str
) -> list[Difference]:
    found: list[Difference] = []
    if not existing.sha256:
        found.append(Difference("jar", "unknown", sha256[:12], code=True))
    elif existing.sha256 != sha256:
        found.append(Difference("jar", existing.sha256[:12], sha256[:12], code=True))
    elif not existing.ours:
        has = f"changed by somebody else since {existing.recorded_version}"
        found.append(Difference("version", f"{existing.version}, {has}", "ours", code=True))
    for what, has_value, wants in (
        ("kind", existing.kind, wanted.kind),
        ("main class", existing.main, wanted.main),
    ):
        if has_value is not None and has_value != wants:
            found.append(Difference(what, has_value, wants, code=True))
    return found


def deed(existing: CurrentAction | None, wanted: DesiredAction, *, force: bool = False) -> Deed:
    """Return what brings an action to what is wanted, with the least that must be sent."""
    if existing is None:
        return Deed.CREATE
    found = differences(existing, wanted)
    if wanted.sha256 is None:
        return Deed.LIMITS if found or force else Deed.NOTHING
    if force or any(difference.code for difference in found):
        return Deed.UPDATE
    return Deed.LIMITS if found else Deed.NOTHING


def next_version(existing: CurrentAction | None) -> str:
    """Return the version that OpenWhisk gives an action at its next change."""
    if existing is None:
        return FIRST_VERSION
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", existing.version)
    if not match:
        return existing.version
    major, minor, patch = map(int, match.groups())
    return f"{major}.{minor}.{patch + 1}"


@dataclass(frozen=True)
class Body:
    """The body of a PUT: what stands before and after the shared base64, and its whole length."""

    head: bytes
    code: memoryview
    tail: bytes

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return len(self.head) + len(self.code) + len(self.tail)


def action_body(name: str, wanted: DesiredAction, jar: Jar, *, version: str) -> Body:
    """Return the body that makes or replaces an action, as `wsk` sends it, plus our annotation."""
    document = {
        "namespace": "_",
        "name": name,
        "exec": {"kind": wanted.kind, "code": "", "main": wanted.main},
        "annotations": _annotations(wanted.main, jar.sha256, version),
        "parameters": [{"key": "actionMemory", "value": wanted.memory}],
        "limits": _limits(wanted),
    }
    head, mark, tail = json.dumps(document, separators=(",", ":")).partition('"code":"')
    return Body((head + mark).encode(), jar.code, tail.encode())


def limits_body(existing: CurrentAction, wanted: DesiredAction, *, version: str) -> Body:
    """Return the body that changes memory and concurrency and leaves the code alone.

    Limits and annotations merge into what is there; parameters replace, so all are sent. An action
    that somebody else changed keeps its old mark: its code stays unknown.
    """
    memory = wanted.memory if wanted.memory is not None else existing.memory
    mark = existing.recorded_version if not existing.ours else version
    document: dict[str, Any] = {
        "namespace": "_",
        "name": existing.name,
        "annotations": _annotations(existing.main or "", existing.sha256, mark)
        if existing.sha256
        else _annotations_of_web(),
        "parameters": [{"key": "actionMemory", "value": memory}],
        "limits": _limits(wanted),
    }
    return Body(json.dumps(document, separators=(",", ":")).encode(), memoryview(b""), b"")


def _limits(wanted: DesiredAction) -> dict[str, int]:
    values = {"memory": wanted.memory, "concurrency": wanted.concurrency}
    return {key: value for key, value in values.items() if value is not None}


def _annotations_of_web() -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in WEB.items()]


def _annotations(main: str, sha256: str, version: str) -> list[dict[str, Any]]:
    mark = {"jar_sha256": sha256, "main": main, "settings": SETTINGS, "version": version}
    return [*_annotations_of_web(), {"key": ANNOTATION, "value": mark}]
