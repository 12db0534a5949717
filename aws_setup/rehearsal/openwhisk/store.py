"""The stored actions, and the controller's rules for changing them.

Of the code only its hash is stored, so a thousand jars need little memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_setup.rehearsal.openwhisk.put_body import PutBody

MEGABYTE = 1024 * 1024
CODE_LIMIT = 48 * MEGABYTE

NAMESPACE, SYSTEM = "guest", "whisk.system"
"""The namespaces of the two keys in the release's Secret."""

RUNTIME_KINDS = ("generic-namenode:10", "generic-namenode:5", "java:8")


class OpenWhiskError(Exception):
    """An answer that is not 200: status and OpenWhisk's error text."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


@dataclass
class Limits:
    """Limits of the controller; memory in MB."""

    min_memory: int = 128
    max_memory: int = 45000
    max_concurrency: int = 500
    kinds: tuple[str, ...] = RUNTIME_KINDS


@dataclass
class Store:
    """One namespace."""

    limits: Limits = field(default_factory=Limits)
    namespace: str = NAMESPACE
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    files: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    """SHA-256 of each jar -> its configuration files, where they are kept."""
    activations: dict[str, dict[str, Any]] = field(default_factory=dict)
    containers: set[tuple[str, str]] = field(default_factory=set)
    """Name and version of each action that has a container."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, put: PutBody, *, overwrite: bool) -> dict[str, Any]:
        """Create or update an action; return it."""
        if any(name in names for names in self.others.values()):
            raise OpenWhiskError(409, "Resource by this name exists but is not in this collection.")
        with self.lock:
            old = self.actions.get(name)
            if old is not None and not overwrite:
                raise OpenWhiskError(409, "resource already exists")
            self._check(put, creating=old is None)
            new = self._merged(name, old, put)
            self.actions[name] = new
            if put.sha256:
                self.code[name] = put.sha256
                self.files[put.sha256] = put.files
            return new

    def _check(self, put: PutBody, *, creating: bool) -> None:
        limits = put.document.get("limits") or {}
        memory, concurrency = limits.get("memory", 256), limits.get("concurrency", 1)
        if not self.limits.min_memory <= memory <= self.limits.max_memory:
            raise OpenWhiskError(
                400,
                "The request content was malformed:\nrequirement failed: "
                f"memory {memory} MB exceeds allowed threshold of {self.limits.max_memory} MB",
            )
        if not 1 <= concurrency <= self.limits.max_concurrency:
            raise OpenWhiskError(
                400,
                "The request content was malformed:\nrequirement failed: "
                f"concurrency {concurrency} exceeds {self.limits.max_concurrency}",
            )
        code = put.document.get("exec")
        if code is None:
            if creating:
                raise OpenWhiskError(400, "exec undefined")
            return
        if code.get("kind") not in self.limits.kinds:
            raise OpenWhiskError(
                400, f"kind '{code.get('kind')}' not in Set({','.join(RUNTIME_KINDS)})"
            )
        if not put.code_length:
            raise OpenWhiskError(400, "'code' must be a string defined in 'exec'")
        if put.code_length > CODE_LIMIT:
            raise OpenWhiskError(413, "The action code exceeds the allowed 48 MB")
        if not code.get("main"):
            raise OpenWhiskError(400, "'main' must be a string defined in 'exec'")

    def _merged(self, name: str, old: dict[str, Any] | None, put: PutBody) -> dict[str, Any]:
        """Return the action after a PUT: limits and annotations merge, parameters replace."""
        document, before = put.document, old or {}
        code = dict(document.get("exec") or before.get("exec") or {})
        code.pop("code", None)
        code["binary"] = True
        notes = {item["key"]: item["value"] for item in before.get("annotations", [])}
        notes |= {item["key"]: item["value"] for item in document.get("annotations") or []}
        notes |= {"exec": code["kind"], "provide-api-key": notes.get("provide-api-key", False)}
        base = {"timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1}
        parameters = document.get("parameters")
        return {
            "namespace": self.namespace,
            "name": name,
            "version": _next(str(before.get("version", "0.0.0"))),
            "publish": False,
            "exec": code,
            "annotations": [{"key": key, "value": value} for key, value in notes.items()],
            "parameters": before.get("parameters", []) if parameters is None else parameters,
            "limits": base | before.get("limits", {}) | (document.get("limits") or {}),
            "updated": int(time.time() * 1000),
        }

    def get(self, name: str) -> dict[str, Any]:
        """Return an action; raises OpenWhiskError 404."""
        with self.lock:
            if name not in self.actions:
                raise OpenWhiskError(404, "The requested resource does not exist.")
            return self.actions[name]

    def arguments(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of an invocation: the action's parameters, and those of the call.

        Raises:
            OpenWhiskError: 400: one would replace a parameter, and the action's are final.
        """
        action = self.get(name)
        parameters = {item["key"]: item["value"] for item in action["parameters"]}
        notes = {item["key"]: item["value"] for item in action["annotations"]}
        if notes.get("final") and parameters.keys() & given.keys():
            raise OpenWhiskError(
                400, "Request defines parameters that are not allowed (e.g., reserved properties)."
            )
        return parameters | dict(given)

    def start_container(self, name: str) -> bool:
        """Return whether an invocation has to start a container; a change of the action ends it."""
        version = str(self.get(name)["version"])
        with self.lock:
            is_new = (name, version) not in self.containers
            self.containers.add((name, version))
            return is_new

    def files_of(self, name: str) -> Mapping[str, bytes]:
        """Return the configuration files in an action's jar."""
        with self.lock:
            return self.files.get(self.code.get(name, ""), {})

    def delete(self, name: str) -> dict[str, Any]:
        """Delete an action and return it; raises OpenWhiskError 404."""
        found = self.get(name)
        with self.lock:
            self.actions.pop(name, None)
            self.code.pop(name, None)
        return found

    def wipe(self) -> None:
        """Delete every action and activation, as the chart's job init-couchdb does."""
        with self.lock:
            for held in (self.actions, self.others, self.code, self.files, self.activations):
                held.clear()
            self.containers.clear()

    def listing(self, collection: str, *, limit: int, skip: int) -> list[dict[str, Any]]:
        """Return a page of a collection, newest first, in the short form of listings."""
        if not 0 <= limit <= 200:
            raise OpenWhiskError(
                400, f"The value '{limit}' is not in the range of 0 to 200 for limit."
            )
        limit = limit or 200
        with self.lock:
            if collection != "actions":
                return [{"name": name} for name in self.others.get(collection, [])][
                    skip : skip + limit
                ]
            newest = sorted(self.actions.values(), key=lambda a: (-a["updated"], a["name"]))
        short = ("namespace", "name", "version", "publish", "annotations", "limits", "updated")
        return [
            {key: action[key] for key in short} | {"exec": {"binary": True}}
            for action in newest[skip : skip + limit]
        ]

    def info(self) -> dict[str, Any]:
        """Return the answer of `GET /`; like the controller's, without the concurrency limit."""
        families: dict[str, list[dict[str, Any]]] = {}
        for kind in self.limits.kinds:
            entry = {"kind": kind, "deprecated": False, "requireMain": True, "attached": True}
            families.setdefault(kind.partition(":")[0], []).append(entry)
        return {
            "description": "OpenWhisk",
            "api_paths": ["/api/v1"],
            "limits": {
                "actions_per_minute": 60,
                "concurrent_actions": 30,
                "min_action_memory": self.limits.min_memory * MEGABYTE,
                "max_action_memory": self.limits.max_memory * MEGABYTE,
            },
            "runtimes": families,
        }


def _next(version: str) -> str:
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"
