"""Read-only commands: --list, and --verify with its test invocations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from aws_setup.engine.decoding import decoding
from aws_setup.engine.graph import Limits, run_graph
from aws_setup.engine.plan import Row
from aws_setup.engine.runner import EventKind, Listener, StepEvent
from aws_setup.engine.step import Action
from aws_setup.engine.wait import Pending, SystemClock, wait_until
from aws_setup.errors import SetupError
from aws_setup.namenodes.action import (
    NOT_OPENWHISK,
    ActionDrift,
    CurrentAction,
    DesiredAction,
    most_common,
    usual_limits,
)
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.ping import activation_error
from aws_setup.namenodes.selection import Selection

T = TypeVar("T")

ACTIVATION_PAUSE = 2.0
"""Seconds between two polls for the record of an activation that takes longer than 60 s."""

NEW_CONTAINER = 300.0
"""Seconds for an activation for which OpenWhisk first has to start a container."""

RECORD_SECONDS = 10.0
"""Seconds within which OpenWhisk has stored the record of an activation that has ended."""


@dataclass(frozen=True)
class VerifyResult:
    """The row of one action, compared in full, and its test invocation if there was one."""

    row: Row
    activation: Activation | None = None

    @property
    def ok(self) -> bool:
        """Whether it exists as desired, and started if it was invoked."""
        failed = self.activation is not None and bool(self.activation.error)
        return self.row.action is Action.EXISTS and not failed

    @property
    def text(self) -> str:
        """The state of the action in one line."""
        found = self.row.found
        if found is None:
            return "missing"
        if found.drift:
            return "; ".join(f"{d.what} is {d.has}, not {d.wants}" for d in found.drift)
        return "ok" if self.ok else ""

    def document(self) -> dict[str, Any]:
        """Return what the JSON document says of it beside the fields of every step."""
        found = self.row.found
        drift = found.drift if found else ()
        action = Action.UPDATE if found else Action.CREATE
        return {
            "action": str(Action.EXISTS if self.ok else action),
            "error": None if self.ok else "differs" if found else "missing",
            "differences": [_difference(d) for d in drift if isinstance(d, ActionDrift)],
            "start": asdict(self.activation) if self.activation else None,
        }


def _difference(drift: ActionDrift) -> dict[str, Any]:
    return {"what": drift.what, "has": drift.has, "wants": drift.wants, "code": drift.code}


@dataclass(frozen=True)
class Activation:
    """One test invocation: seconds in total, and of a cold start; None when it was warm."""

    seconds: float
    cold_seconds: float | None
    error: str = ""

    def __str__(self) -> str:
        """Return the invocation in one line."""
        if self.error:
            return f"failed: {self.error}"
        cold = self.cold_seconds
        kind = "warm" if cold is None else f"cold start {cold:.1f} s"
        return f"{kind}, {self.seconds:.1f} s in total"


def for_each(
    names: Sequence[str],
    call: Callable[[str], T],
    *,
    clock: SystemClock,
    jobs: int,
    tell: Listener = lambda _: None,
) -> dict[str, T]:
    """Return the result of `call` for each name, in parallel; stop at the first error.

    Args:
        names: the actions.
        call: does the request of one of them.
        clock: stopped at Ctrl-C.
        jobs: how many run at a time.
        tell: receives an event for each result, with the result as text.

    Raises:
        SetupError: the first error of `call`.
        Interrupted: Ctrl-C was pressed.
    """
    results: dict[str, T] = {}
    errors: list[Exception] = []
    lock = threading.Lock()

    def work(name: str) -> bool:
        try:
            result = call(name)
        except Exception as error:  # noqa: BLE001 -- raised below, when the others have ended
            with lock:
                errors.append(error)
            return False
        with lock:
            results[name] = result
        tell(StepEvent(clock.now(), EventKind.DONE, name, text=str(result)))
        return True

    needs: dict[str, set[str]] = {name: set() for name in names}
    limits = Limits(workers=jobs, fail_fast=True, abort=lambda: None)
    run_graph(needs, work, stop=clock.stop, limits=limits)
    if errors:
        raise errors[0]
    return results


def fill_in(desired: DesiredAction, found: Iterable[CurrentAction]) -> DesiredAction:
    """Return the desired state, with the most common current value for each open one."""
    current = list(found)
    return replace(
        desired,
        memory=desired.memory or most_common(action.memory for action in current),
        concurrency=desired.concurrency or most_common(action.concurrency for action in current),
        sha256=desired.sha256 or most_common(action.sha256 for action in current) or "",
        others=usual_limits(current),
    )


def invoke(client: Client, name: str) -> Activation:
    """Ping a NameNode once; return its times.

    Raises:
        SetupError: it could not be invoked, or OpenWhisk has no record of the activation.
    """
    clock = client.clock
    began = clock.now()
    record: Mapping[str, Any] = client.activate(name).document
    identifier = str(record.get("activationId", ""))
    if "response" not in record:
        hint = "check that the invokers have free memory: kubectl get pods"
        record = activation_record(client, identifier, deadline=NEW_CONTAINER, hint=hint)
    seconds = clock.now() - began
    with decoding(f"OpenWhisk's record of an activation of {name} cannot be used", NOT_OPENWHISK):
        error, cold = activation_error(record), cold_seconds(record)
        if error and not record.get("logs"):
            error = logged_error(client, identifier) or error
        return Activation(seconds, cold, error)


def activation_record(
    client: Client, activation_id: str, *, deadline: float = RECORD_SECONDS, hint: str = ""
) -> dict[str, Any]:
    """Return the record of an activation, with its log, when OpenWhisk has stored it.

    Raises:
        SetupError: OpenWhisk has none within `deadline` seconds.
    """
    return wait_until(
        f"OpenWhisk records activation {activation_id}",
        lambda: client.activation(activation_id) or Pending("no record yet"),
        clock=client.clock,
        deadline=deadline,
        pause=ACTIVATION_PAUSE,
        hint=hint,
    )


def logged_error(client: Client, activation_id: str) -> str:
    """Return why an activation has failed, by its stored record; '' where that cannot be used."""
    try:
        with decoding(f"OpenWhisk's record of {activation_id} cannot be used", NOT_OPENWHISK):
            return activation_error(activation_record(client, activation_id))
    except SetupError:
        return ""


def cold_seconds(record: Mapping[str, Any]) -> float | None:
    """Return the seconds of a cold start, None where the container was there.

    They are from the request to the answer of a ping, which does nothing itself: `waitTime` (ms)
    until there is a container, `duration` (ms) for its /init and its first run, in which the
    NameNode connects to NDB and ZooKeeper and loads its namesystem. `initTime` is recorded for
    cold starts only.
    https://github.com/apache/openwhisk/blob/master/docs/annotations.md
    """
    notes = {item["key"]: item["value"] for item in record.get("annotations") or []}
    if "initTime" not in notes:
        return None
    return (float(notes.get("waitTime", 0)) + float(record.get("duration") or 0)) / 1000


def jar_hash(action: CurrentAction) -> str:
    """Return the first digits of the jar's hash; * when another program changed the action."""
    if not action.sha256:
        return "unknown"
    return action.sha256[:12] + ("" if action.unmodified else "*")


def list_document(selection: Selection, action: CurrentAction) -> dict[str, Any]:
    """Return an action for the JSON document of --list."""
    return {
        "index": selection.index(action.name),
        "name": action.name,
        "version": action.version,
        "jar_sha256": action.sha256 if action.unmodified else None,
        "memory": action.memory,
        "concurrency": action.concurrency,
        "kind": action.kind,
        "main": action.main,
        "updated": datetime.fromtimestamp(action.updated, UTC).isoformat(),
    }
