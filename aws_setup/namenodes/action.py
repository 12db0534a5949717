"""A NameNode action in OpenWhisk: its desired state, its current state, and their differences.

Pure: request bodies and comparisons, no requests. This script adds an annotation to every action;
it holds the jar's SHA-256, the main class, the version of these settings, and the version of the
action after the PUT. OpenWhisk increments the version at every change and keeps annotations, so a
change by another program (such as `wsk action update`) is detected.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from aws_setup.engine.decoding import decoding
from aws_setup.engine.step import Drift
from aws_setup.namenodes.jar import Jar

T = TypeVar("T")

NOT_OPENWHISK = "check that the address is OpenWhisk's API host"

ANNOTATION = "lambda-fs"
SETTINGS = 1
"""Version of what the PUT bodies hold beside the code; incremented when that changes."""

FIRST_VERSION = "0.0.1"
WEB = {"web-export": True, "raw-http": False, "final": True}
"""Annotations of a web action, as `wsk --web true` sends them."""

OPEN = {"require-whisk-auth": False}
"""The annotation that another program may have set, so that λFS's clients are answered with 401.

Each PUT resets it: OpenWhisk keeps annotations that a PUT does not name.
https://github.com/apache/openwhisk/blob/master/docs/webactions.md#securing-web-actions
"""

Document = Mapping[str, Any]


@dataclass(frozen=True)
class DesiredAction:
    """The desired state of every NameNode action; None keeps the current value. Memory in MB.

    `others` are limits that no option sets, by name, as most NameNodes have them.
    """

    kind: str
    main: str
    memory: int | None
    concurrency: int | None
    sha256: str | None = None
    others: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CurrentAction:
    """An action as OpenWhisk reports it.

    `sha256`, `original_sha256`, `settings` and `recorded_version` come from the annotation;
    `original_sha256` is '' unless the jar is a configured copy. `main` and `action_memory` are
    None where the response omits them (a listing does). `updated` is seconds since the epoch.
    `limits` are all of them, by name.
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
    original_sha256: str = ""
    namespace: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def unmodified(self) -> bool:
        """Whether this script made the last change to it."""
        return bool(self.sha256) and self.recorded_version == self.version


@dataclass(frozen=True)
class ActionDrift(Drift):
    """A difference of an action; with `code` an update has to send the jar."""

    code: bool = False


def _pairs(items: Any) -> dict[str, Any]:
    """Return OpenWhisk's list of keys and values as a dict."""
    return {str(item["key"]): item.get("value") for item in items or [] if "key" in item}


def _megabytes(value: Any) -> int | None:
    return None if value is None else int(value)


def parse(document: Document) -> CurrentAction:
    """Return the action of a list entry, or of a response to a GET without the code.

    Raises:
        SetupError: it does not describe an action.
    """
    with decoding("OpenWhisk's description of an action cannot be used", NOT_OPENWHISK):
        return _parsed(document)


def _parsed(document: Document) -> CurrentAction:
    notes, limits = _pairs(document.get("annotations")), document.get("limits") or {}
    code = document.get("exec") or {}
    recorded = _recorded(notes.get(ANNOTATION))
    return CurrentAction(
        name=str(document["name"]),
        version=str(document.get("version", "")),
        kind=str(code.get("kind") or notes.get("exec") or ""),
        memory=_megabytes(limits.get("memory")),
        concurrency=_megabytes(limits.get("concurrency")),
        updated=datetime.fromtimestamp(float(document.get("updated") or 0) / 1000, UTC).timestamp(),
        web=all(notes.get(key, False) == value for key, value in (WEB | OPEN).items()),
        sha256=str(recorded.get("jar_sha256", "")),
        main=code.get("main") or recorded.get("main"),
        settings=recorded.get("settings", 0),
        recorded_version=str(recorded.get("version", "")),
        action_memory=_pairs(document.get("parameters")).get("actionMemory"),
        original_sha256=str(recorded.get("original_sha256", "")),
        namespace=str(document.get("namespace", "")),
        limits={name: value for name, value in limits.items() if isinstance(value, int)},
    )


def _recorded(raw: Any) -> Mapping[str, Any]:
    """Return what this script's annotation holds; nothing where another program has changed it."""
    known = isinstance(raw, dict) and isinstance(raw.get("settings", 0), int)
    return raw if known else {}


def differences(current: CurrentAction, desired: DesiredAction) -> list[ActionDrift]:
    """Return every difference between an action and its desired state."""
    found: list[ActionDrift] = []
    if desired.sha256 is not None:
        found += _code_differences(current, desired, desired.sha256)
    for what, has, wants in (
        ("memory", current.memory, desired.memory),
        ("concurrency", current.concurrency, desired.concurrency),
    ):
        if wants is not None and has != wants:
            found.append(ActionDrift(what, str(has), str(wants)))
    memory = desired.memory if desired.memory is not None else current.memory
    if current.action_memory is not None and current.action_memory != memory:
        found.append(ActionDrift("actionMemory", str(current.action_memory), str(memory)))
    for name, value in desired.others.items():
        if current.limits.get(name, value) != value:
            found.append(ActionDrift(name, str(current.limits[name]), str(value)))
    if not current.web:
        found.append(ActionDrift("web action", "no", "yes"))
    if current.unmodified and current.settings != SETTINGS:
        found.append(ActionDrift("settings", str(current.settings), str(SETTINGS)))
    return found


def _code_differences(
    current: CurrentAction, desired: DesiredAction, sha256: str
) -> list[ActionDrift]:
    found: list[ActionDrift] = []
    if not current.sha256:
        found.append(ActionDrift("jar", "unknown", sha256[:12], code=True))
    elif current.sha256 != sha256:
        found.append(ActionDrift("jar", current.sha256[:12], sha256[:12], code=True))
    elif not current.unmodified:
        has = f"{current.version}, changed by another program"
        found.append(ActionDrift("version", has, current.recorded_version, code=True))
    for what, has_value, wants in (
        ("kind", current.kind, desired.kind),
        ("main class", current.main, desired.main),
    ):
        if has_value is not None and has_value != wants:
            found.append(ActionDrift(what, has_value, wants, code=True))
    return found


OTHER_LIMITS = ("timeout", "logs")
"""Limits that no option sets, in ms and MB: new actions get OpenWhisk's, and a PUT that does not
name them keeps them.

https://github.com/apache/openwhisk/blob/master/core/controller/src/main/scala/org/apache/openwhisk/core/controller/Actions.scala
"""


def usual_limits(actions: Iterable[CurrentAction]) -> dict[str, int]:
    """Return the other limits as most actions have them, by name, without those of no action."""
    held = [action.limits for action in actions]
    usual = {name: most_common(it[name] for it in held if name in it) for name in OTHER_LIMITS}
    return {name: value for name, value in usual.items() if value is not None}


def most_common(values: Iterable[T]) -> T | None:
    """Return the most frequent value, None for no values."""
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


def next_version(current: CurrentAction | None) -> str:
    """Return the version that OpenWhisk gives an action at its next change."""
    if current is None:
        return FIRST_VERSION
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", current.version)
    if not match:
        return current.version
    major, minor, patch = map(int, match.groups())
    return f"{major}.{minor}.{patch + 1}"


@dataclass(frozen=True)
class Body:
    """The body of a PUT: the bytes before and after the shared base64, and the total length."""

    head: bytes
    code: memoryview
    tail: bytes

    @property
    def length(self) -> int:
        """Bytes of the complete body."""
        return len(self.head) + len(self.code) + len(self.tail)


def action_body(name: str, desired: DesiredAction, jar: Jar, *, version: str) -> Body:
    """Return the body that creates or replaces an action: `wsk`'s, plus the annotation."""
    document = {
        "namespace": "_",
        "name": name,
        "exec": {"kind": desired.kind, "code": "", "main": desired.main},
        "annotations": _annotations(
            desired.main, jar.sha256, version, original_sha256=jar.original_sha256
        ),
        "parameters": [{"key": "actionMemory", "value": desired.memory}],
        "limits": _limits(desired),
    }
    head, mark, tail = json.dumps(document, separators=(",", ":")).partition('"code":"')
    return Body((head + mark).encode(), jar.code, tail.encode())


def limits_body(current: CurrentAction, desired: DesiredAction, *, version: str) -> Body:
    """Return the body that changes memory and concurrency and keeps the code.

    OpenWhisk merges limits and annotations into the current ones and replaces parameters, so the
    body holds all parameters. An action that another program changed keeps its old annotation:
    its code stays unknown.
    """
    memory = desired.memory if desired.memory is not None else current.memory
    recorded = version if current.unmodified else current.recorded_version
    document: dict[str, Any] = {
        "namespace": "_",
        "name": current.name,
        "annotations": _annotations(
            current.main or "", current.sha256, recorded, original_sha256=current.original_sha256
        )
        if current.sha256
        else _web_annotations(),
        "parameters": [{"key": "actionMemory", "value": memory}],
        "limits": _limits(desired),
    }
    return Body(json.dumps(document, separators=(",", ":")).encode(), memoryview(b""), b"")


def _limits(desired: DesiredAction) -> dict[str, int]:
    values = {**desired.others, "memory": desired.memory, "concurrency": desired.concurrency}
    return {key: value for key, value in values.items() if value is not None}


def _web_annotations() -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in (WEB | OPEN).items()]


def _annotations(
    main: str, sha256: str, version: str, *, original_sha256: str
) -> list[dict[str, Any]]:
    value = {"jar_sha256": sha256, "main": main, "settings": SETTINGS, "version": version}
    if original_sha256:
        value["original_sha256"] = original_sha256
    return [*_web_annotations(), {"key": ANNOTATION, "value": value}]
