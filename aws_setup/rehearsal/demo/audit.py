"""Audits the demo by the emulator's records: requests, writes, resources and costs."""

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
    """What happened since the previous delta: the number of requests, and each write by name."""

    calls: int
    writes: tuple[str, ...]


class Audit:
    """Counts requests and compares the resources with those before the demo."""

    def __init__(self, environment: Environment) -> None:
        """Record the resources that exist before the demo: they do not count as remaining."""
        self._environment = environment
        self._before = {_key(resource) for resource in environment.cloud.snapshot()}
        self._apis: list[KubeApiServer] = []
        self._read: dict[str, int] = {}
        self.next_delta()

    def next_delta(self) -> AuditDelta:
        """Return what happened since the last delta."""
        with self._environment.cloud.lock:
            calls = self._new("aws", self._environment.cloud.calls)
            requests = [(call.name, call.reads) for call in calls]
            requests += self._kubernetes_requests()
        requests += self._openwhisk_requests()
        return AuditDelta(len(requests), tuple(name for name, reads in requests if not reads))

    def remaining(self) -> list[Resource]:
        """Return the resources that exist now and did not before: none, after a destroy."""
        now = self._environment.cloud.snapshot()
        return [resource for resource in now if _key(resource) not in self._before]

    def _kubernetes_requests(self) -> list[tuple[str, bool]]:
        """Return each new request and whether it only reads, those of deleted clusters included."""
        running = self._environment.hooks.apis.values()
        self._apis += [api for api in running if api not in self._apis]
        return [
            (f"Kubernetes {method} {path}", method == "GET" or _is_review(path))
            for number, api in enumerate(self._apis)
            for method, path, _ in self._new(f"Kubernetes {number}", api.requests)
        ]

    def _openwhisk_requests(self) -> list[tuple[str, bool]]:
        requests: list[tuple[str, bool]] = []
        for method, count in dict(self._environment.openwhisk.whisk.requests).items():
            name = f"OpenWhisk {method}"
            requests += [(name, method == "GET")] * (count - self._read.get(name, 0))
            self._read[name] = count
        return requests

    def _new(self, source: str, entries: Sequence[T]) -> Sequence[T]:
        start = self._read.get(source, 0)
        self._read[source] = len(entries)
        return entries[start:]


def _is_review(path: str) -> bool:
    """Return whether a request is a review, which is posted and changes nothing."""
    return any(plural in path for plural in REVIEWS)


def _key(resource: Resource) -> tuple[str, str, str, str]:
    return resource.service, resource.kind, resource.id, resource.region


@dataclass(frozen=True)
class StepResult:
    """A step that was run: its exit code, its seconds in the rehearsal, and its requests."""

    step: DemoStep
    code: int
    seconds: float
    delta: AuditDelta
    retried: bool = False
    """Whether it failed and was run again, as its last line suggests."""
    run: RunRecord | None = None
    """The run with its times on AWS, from the script's event log; None without a log."""
    on_aws: float = 0.0
    """Seconds that the command would take on AWS."""

    @property
    def problem(self) -> str:
        """How the step differs from what it must do; '' when it does not."""
        if self.retried:
            return ""
        if self.code:
            return f"exit code {self.code} instead of 0: {self.step.command_line}"
        if self.step.unchanged and self.delta.writes:
            counts = Counter(self.delta.writes).most_common()
            writes = ", ".join(f"{count} {name}" for name, count in counts[:5])
            return f"expected no writes, but got {writes}: {self.step.command_line}"
        return ""


def find_problems(results: Sequence[StepResult], remaining: Sequence[Resource]) -> list[str]:
    """Return every problem of the demo, one line each."""
    found = [result.problem for result in results if result.problem]
    return found + ([f"resources remain: {len(remaining)}"] if remaining else [])


@dataclass(frozen=True)
class CostEstimate:
    """US dollars: per hour of the complete deployment, and for this session, plan to destroy."""

    hourly: float
    session: float


def estimate_cost(results: Sequence[StepResult]) -> CostEstimate:
    """Return what AWS would charge: each part from the beginning of the run that creates it.

    That is slightly more than AWS charges, which counts each machine from its own start.
    """
    rates: dict[str, float] = {}
    session = 0.0
    for result in results:
        run = result.run
        if run and run.head.hourly_usd and run.head.command != "destroy":
            rates.setdefault(result.step.script, run.head.hourly_usd)
        session += sum(rates.values()) * result.on_aws / 3600
    return CostEstimate(sum(rates.values()), session)


def write_report(path: Path, results: Sequence[StepResult], config: Path) -> None:
    """Write the HTML report of the runs that changed anything, with their times on AWS.

    Raises:
        OSError: it cannot be written.
    """
    runs = [
        result.run
        for result in results
        if result.run and any(span.acted for span in spans(result.run))
    ]
    total = estimate_cost(results)
    seconds = sum(result.on_aws for result in results)
    facts = [
        f"A rehearsal, with times as on AWS: {format_duration(seconds)} in total.",
        f"${total.hourly:.2f} an hour, about ${total.session:.2f} for this session.",
    ]
    write_page(path, runs, config=load_config(config, overrides={}, environ={}), facts=facts)
