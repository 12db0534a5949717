"""A step: one resource that a script can find, create, update and delete."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar

from aws_setup.engine.wait import STALE, Clock, Pending, age, wait_until
from aws_setup.errors import Problem, SetupError

T = TypeVar("T")


class Action(StrEnum):
    """What a run does, or would do, about a step."""

    EXISTS = "exists"
    CREATE = "create"
    UPDATE = "update"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    DELETE = "delete"


class DriftKey(StrEnum):
    """The kind of a drift, for code to compare; the texts of a drift are for people only."""

    OTHER = ""
    OWNER = "owner"
    REGION = "region"
    STATUS = "status"
    DELETION = "deletion"
    PAUSED = "paused"


@dataclass(frozen=True)
class Drift:
    """One difference between a resource and its configuration.

    With a `fix` it is a conflict: it cannot be changed in place, and the fix says what to do.
    `key` OWNER: the resource has the configured name and another owner, so destroy skips it.
    REGION: it has the deployment's name and may be that of another region; destroy names it.
    PAUSED: the user has stopped it, and only `resume` starts it. Keys that DriftKey does not list
    are for the step's own `update`. `replaces` is what others have set and an update overwrites,
    where `has` does not say all of it: the runner keeps a copy before the update begins.
    """

    what: str
    has: str
    wants: str
    fix: str = ""
    key: str = DriftKey.OTHER
    replaces: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.what}: {self.has} -> {self.wants}"


@dataclass(frozen=True)
class Found:
    """A resource that exists: its id, its state in the API's words, facts for others, its drift.

    `ids` are the ids of its parts where one step owns several resources. `ready` is False while
    it exists but is not usable yet: the runner then waits for it. `skipped` says why the step
    has nothing to do in this configuration. `facts` are written to the receipt and must hold no
    secret. `since` is when it was created.
    """

    id: str
    state: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
    ready: bool = True
    since: datetime | None = None
    ids: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def status(self) -> str:
        """The state as plan, receipt and event log show it."""
        return f"skipped: {self.skipped}" if self.skipped else self.state


@dataclass(frozen=True)
class CostItem:
    """A line of the cost estimate: `count` units of what `key` names in the price table."""

    part: str
    key: str
    count: float = 1.0


@dataclass(kw_only=True)
class RunContext:
    """What every step works with: one for the run, and a copy for each step.

    The copy has the step's listeners: `note` for texts, `again` for the state of a wait that was
    noted before and has come back, `progress` for bytes that were sent.
    `patient` is False with --no-wait: the runner then does not wait for steps that are `slow`.
    `owned_only` is True for destroy: a step then finds only what this deployment created.
    `removed` are the steps that a destroy deletes.
    `first_run` identifies the deployment from its first run to its destroy; '' where unknown.
    `warnings` are what steps found out and the user has to read; all copies share them, and
    `failed`: the steps of this run that failed, and why.
    """

    clock: Clock
    found: dict[str, Found] = field(default_factory=dict)
    note: Callable[[str], None] = lambda _: None
    again: Callable[[str], None] = lambda _: None
    progress: Callable[[int], None] = lambda _: None
    patient: bool = True
    owned_only: bool = False
    removed: frozenset[str] = frozenset()
    first_run: str = ""
    warnings: dict[str, Problem] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)

    def warn(self, problem: Problem) -> None:
        """Keep a warning for the user, once, whichever step says it first."""
        self.warnings.setdefault(problem.what, problem)

    def of(self, step: str) -> Found:
        """Return the resource of an earlier step; raises SetupError when it does not exist."""
        if step not in self.found:
            raise SetupError(
                f"the {step} does not exist",
                "a later step needs it",
                "run `create` without --only, or name that step in --only too",
            )
        return self.found[step]

    def keep(self, what: str, content: Mapping[str, Any]) -> None:
        """Keep a copy of what is about to be overwritten and somebody may want back.

        Raises:
            SetupError: it cannot be kept; nothing may be overwritten then.
        """

    def examine(self, step: Step[Any], found: Found) -> Found:
        """Return a resource with the drift that needs nothing of its step, such as tags."""
        return found

    def correct(self, step: Step[Any], found: Found) -> Found:
        """Correct the drift that `examine` found; return the resource with what is left."""
        return found

    def bound(
        self,
        note: Callable[[str], None],
        progress: Callable[[int], None],
        *,
        again: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Return a copy of the context with other listeners."""
        return replace(self, note=note, progress=progress, again=again)

    def wait_until(
        self,
        what: str,
        probe: Callable[[], T | Pending],
        *,
        deadline: float,
        pause: float,
        hint: str = "",
        usual: float = 0.0,
        since: datetime | None = None,
    ) -> T:
        """Poll on the run's clock and note each state once; see `engine.wait.wait_until`.

        `usual` are the seconds that it usually takes after `since`, or after the call.
        """
        passed = age(since, self.clock)
        if passed > STALE * usual:
            passed = usual = 0.0
        return wait_until(
            what,
            probe,
            clock=self.clock,
            deadline=deadline,
            pause=pause,
            note=self.note,
            again=self.again,
            hint=hint,
            usual=usual,
            passed=max(0.0, passed),
        )

    def refresh(self) -> None:
        """Drop cached listings that several steps share, so that they are read again."""

    def retry(self, act: Callable[[], T]) -> T:
        """Call `act`, again while a resource that this run created is not visible to it yet."""
        return act()

    def explain(self, error: Exception) -> Exception:
        """Return an error of an outside library as a SetupError, any other error as it is."""
        return error


C = TypeVar("C", bound=RunContext)


class Step(ABC, Generic[C]):
    """One resource; subclasses are frozen dataclasses.

    `name` identifies it in plan, log and tags. `needs` names the steps that must be usable before
    it starts. `follows` names the steps that must have been requested before it starts; they need
    to be usable only before the runner waits for this step, so that both become usable at the same
    time, and a failure is reported where it happened.
    `adopted` resources are used and never created, changed or deleted. With --no-wait the runner
    does not wait for `slow` steps to become usable. A `surplus` resource is one that should not
    exist: a run deletes it. `ends_with` names the step whose deletion deletes this resource, too:
    a run that deletes both deletes only that one. `beside` names steps that it needs, and that are
    deleted at the same time as it by a run that deletes `within`, too. A `local` resource is a file
    on this computer; one that is not `regional` is seen from every region.
    """

    name: str
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    part: str = "other"
    adopted: bool = False
    slow: bool = False
    surplus: bool = False
    ends_with: str = ""
    beside: tuple[str, ...] = ()
    within: str = ""
    local: bool = False
    regional: bool = True

    @property
    def predecessors(self) -> tuple[str, ...]:
        """The steps that it needs or follows."""
        return (*self.needs, *self.follows)

    @abstractmethod
    def find(self, ctx: C) -> Found | None:
        """Return the resource with its drift; None only when it certainly does not exist."""

    @abstractmethod
    def create(self, ctx: C) -> Found:
        """Create it and return at once; safe to repeat after a crash at any instruction."""

    def update(self, ctx: C, found: Found) -> Found:
        """Change in place what drifted; returns the resource afterwards. By default: create."""
        return self.create(ctx)

    def prompt(self, ctx: C, ask: Callable[[str], str]) -> None:
        """Ask the user what the configuration leaves open, before the plan. By default: nothing."""
        return

    def unlock(self, ctx: C, *, applying: bool = False) -> None:
        """Ask for the secrets that the other methods need, which run in threads.

        Called in the main thread: before the steps are inspected, for what that needs, and with
        `applying` before the plan is applied, for what is created. By default: nothing.
        """
        return

    def wait(self, ctx: C, found: Found) -> Found:
        """Return when the resource is usable; raises SetupError with the reason if it fails."""
        return found

    def delete(self, ctx: C, found: Found) -> None:
        """Delete it and return when it is gone; already gone is fine. By default: nothing."""
        return

    def details(self, ctx: C) -> str:
        """Return what a plan says of the resource beside its name: size, type, version, or ''."""
        return ""

    def charges(self, config: Any) -> Sequence[CostItem]:
        """Return what the resource costs while it exists."""
        return ()

    def disks(self, ctx: C) -> Sequence[CostItem]:
        """Return what its disks cost, where their sizes are known, and what else the cloud says."""
        return ()


class ExistingResource(Step[C]):
    """A resource that this script uses and never creates, changes or deletes.

    Its `find` raises SetupError where it is missing or unusable, instead of returning None.
    """

    adopted: bool = True

    def create(self, ctx: C) -> Found:
        """Raise SetupError: it must exist already."""
        raise SetupError(f"the {self.name} does not exist", "this script does not create it")


class CleanupStep(Step[C]):
    """A step of destroy only: it finds and deletes resources that other programs created."""

    def create(self, ctx: C) -> Found:
        """Raise SetupError: there is nothing to create."""
        raise SetupError(f"{self.name} cannot be created", "it only deletes")
