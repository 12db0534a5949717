"""Activations of the emulated OpenWhisk: NameNodes start as their runtime says, others succeed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

NAMENODES = "generic-namenode"
"""Family of the kinds of NameNodes."""


@dataclass(frozen=True)
class Invocation:
    """One invocation: the action, the configuration files in its jar, and its arguments."""

    action: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


NameNodeRuntime = Callable[[Invocation], str]
"""Starts a NameNode; returns the error that it ends with, '' when it serves requests."""


def activate(
    invocation: Invocation, runtime: NameNodeRuntime | None, *, cold: bool = True
) -> dict[str, Any]:
    """Return the record of an activation; without a runtime every action succeeds.

    Only that of a new container has initTime.
    https://github.com/apache/openwhisk/blob/master/docs/annotations.md
    """
    kind = str(invocation.action["exec"]["kind"])
    error = runtime(invocation) if runtime and kind.partition(":")[0] == NAMENODES else ""
    status = "application error" if error else "success"
    now = int(time.time() * 1000)
    return {
        "activationId": uuid.uuid4().hex,
        "name": invocation.action["name"],
        "start": now - 1500,
        "end": now,
        "duration": 1500,
        "response": {
            "status": status,
            "success": not error,
            "statusCode": 1 if error else 0,
            "result": {"error": error} if error else {},
        },
        "annotations": [
            {"key": "waitTime", "value": 40},
            *([{"key": "initTime", "value": 1200}] if cold else []),
        ],
    }
