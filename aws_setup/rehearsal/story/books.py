"""What the rehearsal itself noted: calls, writes, and what is there. Not the scripts' own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from aws_setup.rehearsal.kube.kinds import REVIEWS
from aws_setup.rehearsal.kube.server import KubeApi
from aws_setup.rehearsal.rules import Resource
from aws_setup.rehearsal.world import Environment

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
        self._apis: list[KubeApi] = []
        self._read: dict[str, int] = {}
        self.turn()

    def turn(self) -> AuditDelta:
        """Return what happened since the last turn."""
        with self._world.cloud.lock:
            told = [(one.name, one.reads) for one in self._new("aws", self._world.cloud.calls)]
            told += self._of_kubernetes()
        told += self._of_openwhisk()
        return AuditDelta(len(told), tuple(name for name, reads in told if not reads))

    def left(self) -> list[Resource]:
        """Return what there is now and was not at the beginning: nothing, after a destroy."""
        return [one for one in self._world.cloud.snapshot() if _key(one) not in self._before]

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
