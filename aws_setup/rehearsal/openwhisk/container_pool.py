"""The containers of an emulated invoker: what its memory and its node's CPUs have room for.

As OpenWhisk's ContainerPool and WhiskPodBuilder do it (core/invoker/src/main/scala in
https://github.com/apache/openwhisk): stem cells count in the memory, and only actions of their kind
and memory take them; idle containers of other actions make room, stem cells never do; each
container is a pod that requests its CPU.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TAG = re.compile(r":(?P<cpus>[\d.]+)vcpu-(?P<gigabytes>\d+)gb$")
"""The images of λFS's invokers are built for a number of CPUs and GB for each container."""

PROPERTY = re.compile(r"-Dwhisk\.kubernetes\.cpu-scaling\.([\w-]+)=(\d+)")
DEFAULT_MEMORY = 1024
"""MB of an invoker without CONFIG_whisk_containerPool_userMemory (its application.conf)."""

OTHER_PODS = 330
"""Millicpus of kubelet, network, proxy and storage add-ons on a node of EKS."""


UNSCHEDULABLE = "the action's pod stays Pending: "
"""Before what the scheduler says of it."""


@dataclass(frozen=True)
class Container:
    """A container of an action, or a stem cell, whose `action` is ''; `memory` in MB."""

    action: str
    kind: str
    memory: int


@dataclass(frozen=True)
class CpuScaling:
    """The setting whisk.kubernetes.cpu-scaling; without it pods request no CPU."""

    millicpus: int
    memory: int
    most: int

    def request(self, memory: int) -> int:
        """Return the millicpus that a container of so many MB requests."""
        return min(max(memory // self.memory * self.millicpus, self.millicpus), self.most)


@dataclass(frozen=True)
class Invoker:
    """The settings of an invoker: memory for actions in MB, stem cells, CPU of a container."""

    memory: int
    cells: tuple[Container, ...]
    scaling: CpuScaling | None

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> Invoker:
        """Return the settings in the invoker's container of a StatefulSet."""
        env = {item["name"]: item.get("value", "") for item in container.get("env", ())}
        memory = env.get("CONFIG_whisk_containerPool_userMemory", "").rstrip("m")
        return cls(
            int(memory or DEFAULT_MEMORY),
            tuple(_stem_cells(env.get("RUNTIMES_MANIFEST", ""))),
            _scaling(str(container.get("image", "")), env.get("INVOKER_OPTS", "")),
        )


@dataclass
class ContainerPool:
    """The containers on one node; `millicpus` are those of its instance type."""

    invoker: Invoker
    millicpus: int
    containers: list[Container] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start the stem cells that fit."""
        for cell in self.invoker.cells:
            self._prewarm(cell)

    @property
    def running(self) -> Sequence[str]:
        """The actions that have a container."""
        return [container.action for container in self.containers if container.action]

    def start(self, action: str, kind: str, memory: int) -> str:
        """Give an action a container; return why it gets none, '' when it does."""
        if action in self.running:
            return ""
        wanted, cell = Container(action, kind, memory), Container("", kind, memory)
        if cell in self.containers:
            self.containers.remove(cell)
            self.containers.append(wanted)
            self._prewarm(cell)
            return ""
        limit = self.invoker.memory
        kept = sum(container.memory for container in self.containers if not container.action)
        if kept + memory > limit:
            return f"no container within 60 s: stem cells have {kept} of {limit} MB"
        while self._used() + memory > limit:
            self.containers.remove(next(each for each in self.containers if each.action))
        if not self._schedulable(wanted):
            return f"{UNSCHEDULABLE}0/1 nodes are available: 1 Insufficient cpu."
        self.containers.append(wanted)
        return ""

    def _prewarm(self, cell: Container) -> None:
        if self._used() + cell.memory <= self.invoker.memory and self._schedulable(cell):
            self.containers.append(cell)

    def _used(self) -> int:
        return sum(container.memory for container in self.containers)

    def _schedulable(self, new: Container) -> bool:
        scaling = self.invoker.scaling
        if scaling is None:
            return True
        requests = sum(scaling.request(each.memory) for each in [*self.containers, new])
        return requests <= self.millicpus - OTHER_PODS


def _stem_cells(manifest: str) -> list[Container]:
    document: Any = json.loads(manifest or "{}")
    return [
        Container("", entry["kind"], int(cell["memory"].removesuffix(" MB")))
        for family in document.get("runtimes", {}).values()
        for entry in family
        for cell in entry.get("stemCells", ())
        for _ in range(cell["initialCount"])
    ]


def _scaling(image: str, options: str) -> CpuScaling | None:
    """Return the setting of the options, else that which an image of λFS has built in."""
    given = {name: int(value) for name, value in PROPERTY.findall(options)}
    built = TAG.search(image)
    if built:
        cpus = int(1000 * float(built["cpus"]))
        memory = 1000 * int(built["gigabytes"])
        given = {"millicpus": cpus, "memory": memory, "max-millicpus": cpus} | given
    if not given:
        return None
    return CpuScaling(given["millicpus"], given["memory"], given["max-millicpus"])
