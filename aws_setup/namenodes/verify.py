"""Whether every action is what it should be, and whether it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from aws_setup.engine.wait import Pending, wait_until
from aws_setup.namenodes.action import CurrentAction, DesiredAction, Difference, differences
from aws_setup.namenodes.client import Client

T = TypeVar("T")

ACTIVATION_PAUSE = 2.0
"""Seconds between two looks for the record of an activation that takes longer than 60 s."""

NEW_CONTAINER = 300.0
"""Seconds that an activation may take when OpenWhisk first has to start a container for it."""


@dataclass(frozen=True)
class VerifyResult:
    """One action as it was found: None when it is missing, and what is not as wanted."""

    name: str
    existing: CurrentAction | None
    wrong: tuple[Difference, ...] = ()
    started: Activation | None = None

    @property
    def right(self) -> bool:
        """Whether it is there, as wanted, and started when it was invoked."""
        return not (self.existing is None or self.wrong or (self.started and self.started.error))

    @property
    def how_started(self) -> str:
        """How its activation went, in words; '' when it was not invoked."""
        if self.started is None:
            return ""
        if self.started.error:
            return f"failed: {self.started.error}"
        cold = self.started.cold_seconds
        how = "warm" if cold is None else f"cold start {cold:.1f} s"
        return f"{how}, {self.started.seconds:.1f} s in all"

    def with_start(self, started: Activation) -> VerifyResult:
        """Return the same finding with how its activation went."""
        return replace(self, started=started)


@dataclass(frozen=True)
class Activation:
    """How one activation went: seconds in all, and those of a cold start, None when it was warm."""

    seconds: float
    cold_seconds: float | None
    error: str = ""


def fill_in(wanted: DesiredAction, found: Iterable[CurrentAction]) -> DesiredAction:
    """Return what is wanted, with what was left open set to what most of the actions have."""
    there = list(found)
    return replace(
        wanted,
        memory=wanted.memory or _most_common(action.memory for action in there),
        concurrency=wanted.concurrency or _most_common(action.concurrency for action in there),
        sha256=wanted.sha256 or _most_common(action.sha256 for action in there) or "",
    )


def _most_common(values: Iterable[T]) -> T | None:
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


def examine(name: str, existing: CurrentAction | None, wanted: DesiredAction) -> VerifyResult:
    """Compare one action, looked at in full, with what is wanted."""
    if existing is None:
        return VerifyResult(name, None)
    return VerifyResult(name, existing, tuple(differences(existing, wanted)))


def start(client: Client, name: str) -> Activation:
    """Invoke an action once and say how long it took.

    Raises:
        SetupError: it could not be invoked, or no record of its activation came.
    """
    clock = client.patience.clock
    began = clock.now()
    answer = client.activate(name)
    record: Mapping[str, Any] = answer.document
    if "response" not in record:
        record = _record(client, str(record.get("activationId", "")), name)
    return Activation(clock.now() - began, _cold(record), _fault(record))


def _record(client: Client, activation_id: str, name: str) -> dict[str, Any]:
    def probe() -> dict[str, Any] | Pending:
        return client.activation(activation_id) or Pending("no record yet")

    return wait_until(
        f"activation {activation_id} of {name}",
        probe,
        clock=client.patience.clock,
        deadline=NEW_CONTAINER,
        pause=ACTIVATION_PAUSE,
        hint="see whether the invokers have room: kubectl get pods",
    )


def _cold(record: Mapping[str, Any]) -> float | None:
    """Return the seconds of container start and /init; OpenWhisk notes them for cold starts only.

    `waitTime` (ms) is from the request to the container, `initTime` (ms) is its /init.
    """
    notes = {item["key"]: item["value"] for item in record.get("annotations") or []}
    if "initTime" not in notes:
        return None
    return (float(notes.get("waitTime", 0)) + float(notes["initTime"])) / 1000


def _fault(record: Mapping[str, Any]) -> str:
    response = record.get("response") or {}
    if response.get("success"):
        return ""
    result = response.get("result")
    detail = result.get("error") if isinstance(result, dict) else result
    return f"{response.get('status', 'no status')}: {detail or 'no reason given'}"[:300]
