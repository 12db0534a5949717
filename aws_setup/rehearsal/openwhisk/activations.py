"""Activations of the emulated OpenWhisk: NameNodes start as their runtime says, others succeed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.openwhisk.handler import HandlerError, handle
from aws_setup.rehearsal.openwhisk.invocation import (
    IdleNameNode,
    Invocation,
    NameNodeRuntime,
    NoContainerError,
)

NAMENODES = "generic-namenode"
"""Family of the kinds of NameNodes."""

STATUSES = ("success", "application error", "action developer error", "whisk internal error")
"""By their codes.
https://github.com/apache/openwhisk/blob/master/common/scala/src/main/scala/org/apache/openwhisk/core/entity/ActivationResult.scala
"""

DEVELOPER_ERROR, INTERNAL_ERROR = 2, 3

WAIT_MS, INIT_MS, RUN_MS = 40, 1200, 300
"""Of a cold start: until there is a container, its /init, and its first run."""

STDOUT = "2026-01-01T00:00:00.000000000Z stdout: "


@dataclass(frozen=True)
class _Outcome:
    """How an activation has ended: the code of its status, its result, and its log."""

    code: int
    result: dict[str, Any]
    log: Sequence[str] = ()


def activate(
    invocation: Invocation, runtime: NameNodeRuntime | None, *, cold: bool = True
) -> dict[str, Any]:
    """Return the record of an activation; without a runtime NameNodes connect to nothing.

    Only that of a new container has initTime, and its duration includes it.
    https://github.com/apache/openwhisk/blob/master/docs/annotations.md
    """
    outcome = _run(invocation, runtime or (lambda _: IdleNameNode()))
    now, duration = int(time.time() * 1000), RUN_MS + (INIT_MS if cold else 0)
    return {
        "activationId": uuid.uuid4().hex,
        "name": invocation.action["name"],
        "start": now - duration,
        "end": now,
        "duration": duration,
        "response": {
            "status": STATUSES[outcome.code],
            "success": outcome.code == 0,
            "statusCode": outcome.code,
            "result": outcome.result,
        },
        "logs": [STDOUT + line for line in outcome.log],
        "annotations": [
            {"key": "waitTime", "value": WAIT_MS},
            *([{"key": "initTime", "value": INIT_MS}] if cold else []),
        ],
    }


def _run(invocation: Invocation, runtime: NameNodeRuntime) -> _Outcome:
    kind = str(invocation.action["exec"]["kind"])
    if kind.partition(":")[0] != NAMENODES:
        return _Outcome(0, {})
    try:
        result, log = handle(invocation, runtime)
    except HandlerError as error:
        text = f"An error has occurred while invoking the action (see logs for details): {error}"
        return _Outcome(DEVELOPER_ERROR, {"error": text}, error.log)
    except NoContainerError as error:
        return _Outcome(INTERNAL_ERROR, {"error": str(error)})
    return _Outcome(0, result, log)
