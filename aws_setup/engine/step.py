"""A step: one thing in the world that a script can find, create, bring up to date and delete."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.engine.wait import Clock
from aws_setup.errors import SetupError


class Action(StrEnum):
    """What a run does, or would do, about a step."""

    EXISTS = "exists"
    CREATE = "create"
    UPDATE = "update"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    DELETE = "delete"


OWNER = "owner"
"""The drift of what has the wanted name and belongs to somebody else: destroy leaves it alone."""


@dataclass(frozen=True)
class Drift:
    """One difference between what is there and what the configuration wants.

    With a `mend` it is a conflict: it cannot be changed in place, and the mend says what to do.
    """

    what: str
    has: str
    wants: str
    mend: str = ""


@dataclass(frozen=True)
class Found:
    """A thing that exists: its id, its state in AWS's words, facts that others use, its drift.

    `ready` is False while it exists but is not usable yet: the runner then waits for it.
    `facts` end up in the receipt: nothing secret belongs there. `since` is when AWS made it.
    """

    id: str
    state: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
    ready: bool = True
    since: datetime | None = None


@dataclass(frozen=True)
class CostItem:
    """A part of the bill: `count` times `unit` of something that `key` names in the price table."""

    part: str
    key: str
    count: float = 1.0


@dataclass(frozen=True)
class Defaults:
    """What was chosen by asking AWS before the first write, where the configuration is silent.

    `operator_cidr` is the caller's own address as a /32, '' when nobody could tell it.
    """

    zones: tuple[str, ...] = ()
    operator_cidr: str = ""
    kubernetes_version: str = ""


@dataclass
class Context:
    """What a step works with; one for the run, a copy for each step with its own `note`.

    `patient` is False with --no-wait: steps that are `slow` are then left to finish by themselves.
    `reformat` is True with --reformat: a formatted file system is then formatted anew.
    """

    config: Config
    aws: Aws
    clock: Clock
    inventory: Inventory
    choices: Defaults = field(default_factory=Defaults)
    found: dict[str, Found] = field(default_factory=dict)
    note: Callable[[str], None] = lambda _: None
    patient: bool = True
    reformat: bool = False

    def of(self, step: str) -> Found:
        """Return what an earlier step found or made; raises SetupError when it is not there."""
        if step not in self.found:
            raise SetupError(
                f"the {step} is not there",
                "a later step needs it",
                "run `create` without --only, or with that step too",
            )
        return self.found[step]

    def bound(self, note: Callable[[str], None]) -> Context:
        """Return the same context with another listener for progress notes."""
        return replace(self, note=note)


class Step(ABC):
    """One thing in the world; subclasses are frozen dataclasses.

    `name` is how plan, log and tags call it; `needs` names the steps that must be usable first.
    `adopted` things are used and never created, changed or deleted. What is `slow` may be left
    to finish by itself when the user does not want to wait.
    """

    name: str
    needs: tuple[str, ...] = ()
    part: str = "other"
    adopted: bool = False
    slow: bool = False

    @abstractmethod
    def find(self, ctx: Context) -> Found | None:
        """Return the thing with its drift; None only when it certainly does not exist."""

    @abstractmethod
    def create(self, ctx: Context) -> Found:
        """Make the thing and return at once; safe to repeat after a crash at any instruction."""

    def update(self, ctx: Context, found: Found) -> Found:
        """Change in place what drifted and can be changed; returns the thing afterwards."""
        raise SetupError(f"{self.name} cannot be changed in place", str(found.drift))

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the thing is usable; raises SetupError with the reason when it is not."""
        return found

    @abstractmethod
    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the thing and return when it is gone; already gone is fine."""

    def charges(self, config: Config) -> Sequence[CostItem]:
        """Return what the thing costs while it exists."""
        return ()

    def disks(self, ctx: Context) -> Sequence[CostItem]:
        """Return what its disks cost, where AWS knows their sizes."""
        return ()
