"""What is still to be made, and what that needs: the checks look at nothing else."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Generic, TypeVar

from aws_setup.aws.context import Context
from aws_setup.aws.session import pages
from aws_setup.config import Config
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.vm_groups import vm_groups

T = TypeVar("T")


@dataclass(frozen=True)
class Launch:
    """Machines to be launched: how many, of which AMI and type, and at which addresses.

    `here` says that all of them stand in the first public subnet; others may stand in both.
    """

    step: str
    ami: str
    instance_type: str
    count: int
    addresses: tuple[IPv4Address, ...] = ()
    here: bool = False


class Once(Generic[T]):
    """A question that several checks ask and AWS answers once."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._answers: list[T] = []

    def __call__(self) -> T:
        """Return the answer; the first caller asks, a question that failed is asked again."""
        with self._lock:
            if not self._answers:
                self._answers.append(self._ask())
            return self._answers[0]


@dataclass(frozen=True)
class PlannedResources:
    """The run's context and what it is going to make."""

    ctx: Context
    to_make: frozenset[str]
    launches: tuple[Launch, ...] = ()
    later: Mapping[str, int] = field(default_factory=dict)
    types: Once[Mapping[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", Once(self._types))

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.ctx.config

    def makes(self, *beginnings: str) -> bool:
        """Say whether a step whose name begins so is still to be made."""
        return any(name.startswith(beginnings) for name in self.to_make)

    def machines(self) -> Counter[str]:
        """Return how many machines of each type are launched now."""
        counted: Counter[str] = Counter()
        for launch in self.launches:
            counted[launch.instance_type] += launch.count
        return counted

    def _types(self) -> Mapping[str, Any]:
        wanted = {launch.instance_type for launch in self.launches} | self.later.keys()
        return self.ask_types(wanted)

    def ask_types(self, names: Collection[str]) -> Mapping[str, Any]:
        """Ask what EC2 knows of instance types; one that it does not know is left out."""
        if not names:
            return {}
        found = pages(
            self.ctx.aws.ec2,
            "describe_instance_types",
            "InstanceTypes",
            Filters=[{"Name": "instance-type", "Values": sorted(names)}],
        )
        return {item["InstanceType"]: item for item in found}


def planned_resources(ctx: Context, rows: Sequence[Row]) -> PlannedResources:
    """Return what a run over `rows` is going to make."""
    in_aws = [row for row in rows if row.step.part != "software"]
    to_make = frozenset(row.step.name for row in in_aws if row.action is Action.CREATE)
    launches = [*_fleets(ctx.config, to_make), *_scaled(ctx.config, to_make)]
    later = _node_groups(ctx.config) if "eks cluster" in to_make else {}
    return PlannedResources(ctx, to_make, tuple(launches), later)


def keys_of(config: Config, value: str, *, suffix: str) -> str:
    """Return the configuration keys that hold a value, as in 'zookeeper_ami, hopsfs_ami'."""
    held = config.model_dump(include={key for key in type(config).model_fields if suffix in key})
    return ", ".join(key for key, has in held.items() if has == value)


def _fleets(config: Config, to_make: frozenset[str]) -> list[Launch]:
    return [
        Launch(fleet.step, fleet.ami, fleet.instance_type, fleet.count, fleet.addresses, here=True)
        for fleet in vm_groups(config)
        if fleet.step in to_make
    ]


def _scaled(config: Config, to_make: frozenset[str]) -> list[Launch]:
    """Return what the launch templates need; their groups start with the desired number."""
    launches = []
    for kind in auto_scaling_specs(config):
        template, group = f"launch template {kind.template}", f"auto-scaling group {kind.group}"
        if {template, group} & to_make:
            count = config.autoscaling_group_desired_capacity if group in to_make else 0
            launches.append(Launch(template, kind.ami, kind.instance_type, count))
    return launches


def _node_groups(config: Config) -> dict[str, int]:
    """Return the nodes that configure_eks_cluster.py will add to the new cluster."""
    nodes: Counter[str] = Counter()
    nodes[config.openwhisk_core_instance_type] += config.num_openwhisk_core_vms
    nodes[config.openwhisk_invoker_instance_type] += config.num_openwhisk_invoker_vms
    return {name: count for name, count in nodes.items() if count}
