"""What the rehearsal itself noted: calls, writes, and what is there. Not the scripts' own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aws_setup.config import load_config
from aws_setup.engine.history import RunRecord
from aws_setup.engine.wait import format_duration
from aws_setup.rehearsal.core.types import Resource
from aws_setup.rehearsal.demo.scenario import DemoStep
from aws_setup.rehearsal.environment import Environment
from aws_setup.rehearsal.kubernetes.api.kinds import REVIEWS
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from aws_setup.report.page import write_page
from aws_setup.report.timeline import spans

T = TypeVar("T")


@dataclass(frozen=True)
class AuditDelta:
    """What happened since the page before: requests in all, and each write by name."""

    calls: int
    writes: tuple[str, ...]


class Audit:
    """Keeps the books of one story; every `turn` begins a new page."""

    def __init__(self, world: Environment) -> None:
        """Note what is there before the story begins: it is nobody's leftover."""
        self._world = world
        self._before = {_key(thing) for thing in world.cloud.snapshot()}
        self._apis: list[KubeApiServer] = []
        self._read: dict[str, int] = {}
        self.turn()

    def turn(self) -> AuditDelta:
        """Return what happened since the last turn."""
        with self._world.cloud.lock:
            told = [(item.name, item.reads) for item in self._new("aws", self._world.cloud.calls)]
            told += self._of_kubernetes()
        told += self._of_openwhisk()
        return AuditDelta(len(told), tuple(name for name, reads in told if not reads))

    def left(self) -> list[Resource]:
        """Return what there is now and was not at the beginning: nothing, after a destroy."""
        return [
            resource
            for resource in self._world.cloud.snapshot()
            if _key(resource) not in self._before
        ]

    def _of_kubernetes(self) -> list[tuple[str, bool]]:
        """Return each new request and whether it only reads; clusters that are gone count too."""
        self._apis += [api for api in self._world.hooks.apis.values() if api not in self._apis]
        return [
            (f"Kubernetes {method} {path}", method == "GET" or REVIEWS in path)
            for number, api in enumerate(self._apis)
            for method, path, _ in self._new(f"Kubernetes {number}", api.requests)
        ]

    def _of_openwhisk(self) -> list[tuple[str, bool]]:
        told: list[tuple[str, bool]] = []
        for method, count in dict(self._world.openwhisk.whisk.requests).items():
            name = f"OpenWhisk {method}"
            told += [(name, method == "GET")] * (count - self._read.get(name, 0))
            self._read[name] = count
        return told

    def _new(self, book: str, lines: Sequence[T]) -> Sequence[T]:
        start = self._read.get(book, 0)
        self._read[book] = len(lines)
        return lines[start:]


def _key(thing: Resource) -> tuple[str, str, str, str]:
    return thing.service, thing.kind, thing.id, thing.region


@dataclass(frozen=True)
class StepResult:
    """An act that was played: its exit code, its seconds here, and what was noted meanwhile."""

    act: DemoStep
    code: int
    seconds: float
    page: AuditDelta
    again: bool = False
    """Whether it failed and was run again, as its last line says that one may."""
    run: RunRecord | None = None
    """The run as it would be on AWS, from the script's event log; None when it left no word."""
    on_aws: float = 0.0
    """Seconds that the command would take on AWS."""

    @property
    def fault(self) -> str:
        """What is not as it should be; '' when all is."""
        if self.again:
            return ""
        if self.code:
            return f"exit code {self.code} instead of 0: {self.act.line}"
        if self.act.unchanged and self.page.writes:
            counted = Counter(self.page.writes).most_common()
            told = ", ".join(f"{count} {name}" for name, count in counted[:5])
            return f"it should change nothing and wrote ({told}): {self.act.line}"
        return ""


def find_problems(played: Sequence[StepResult], left: Sequence[Resource]) -> list[str]:
    """Return everything that is not as it should be, one line each."""
    found = [result.fault for result in played if result.fault]
    return found + ([f"{len(left)} things are left"] if left else [])


@dataclass(frozen=True)
class CostEstimate:
    """US dollars: an hour of the whole deployment, and this session, from plan to destroy."""

    hourly: float
    session: float


def estimate_cost(played: Sequence[StepResult]) -> CostEstimate:
    """Return what AWS would charge: each part counts from the beginning of the run that makes it.

    That is a little more than AWS would, which charges each machine from its own start on.
    """
    rates: dict[str, float] = {}
    session = 0.0
    for result in played:
        if result.run and result.run.head.hourly_usd and result.run.head.command != "destroy":
            rates.setdefault(result.act.script, result.run.head.hourly_usd)
        session += sum(rates.values()) * result.on_aws / 3600
    return CostEstimate(sum(rates.values()), session)


def write_report(path: Path, played: Sequence[StepResult], config: Path) -> None:
    """Write the page about the runs that did something, with their times as on AWS.

    Raises:
        OSError: it cannot be written.
    """
    runs = [
        result.run
        for result in played
        if result.run and any(span.acted for span in spans(result.run))
    ]
    total = estimate_cost(played)
    facts = [
        f"A rehearsal, with times as on AWS: {format_duration(_on_aws(played))} in all.",
        f"${total.hourly:.2f} an hour, about ${total.session:.2f} for this session.",
    ]
    write_page(path, runs, config=load_config(config, overrides={}, environ={}), facts=facts)


def _on_aws(played: Sequence[StepResult]) -> float:
    return sum(result.on_aws for result in played)
