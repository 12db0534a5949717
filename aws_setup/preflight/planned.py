"""What a run is going to create and to launch: the checks inspect nothing else.

Machines are launched by steps that exist, too: a group that lacks some, or should have more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.paused import group_sizes, resumed_sizes
from aws_setup.aws.session import pages
from aws_setup.aws.tags import STEP_TAG
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import every_node_group, node_group_specs
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action, Found
from aws_setup.infrastructure.launch_templates import CONTENTS, auto_scaling_specs
from aws_setup.infrastructure.scaling_drift import CAPACITY, MISSING
from aws_setup.infrastructure.vm_groups import vm_groups


@dataclass(frozen=True)
class Launch:
    """Machines to be launched: how many, of which AMI and type, and at which addresses.

    With `in_first_subnet` all of them are launched in the first public subnet, otherwise in both.
    """

    step: str
    ami: str
    instance_type: str
    count: int
    addresses: tuple[IPv4Address, ...] = ()
    in_first_subnet: bool = False
    spot: bool = False


@dataclass(frozen=True)
class PlannedResources:
    """The run's context, the steps that it creates and updates, and the machines to launch.

    `later` are the EKS nodes that configure_eks_cluster.py will launch once the cluster exists.
    `starts` are stopped machines that it starts, and those of groups that it restores: no more is
    checked of them than whether there is room for them.
    """

    ctx: Context
    to_create: frozenset[str]
    launches: tuple[Launch, ...] = ()
    later: tuple[Launch, ...] = ()
    starts: tuple[Launch, ...] = ()
    to_update: frozenset[str] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def launched_groups(self) -> frozenset[str]:
        """The steps of the VMs that this run launches, of new groups and of incomplete ones."""
        return frozenset(launch.step for launch in self.launches if launch.in_first_subnet)

    @property
    def restores(self) -> bool:
        """Whether AWS launches machines for groups that have been paused."""
        machines = {group.step for group in vm_groups(self.config)}
        return any(start.count for start in self.starts if start.step not in machines)

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.ctx.config

    def creates(self, *prefixes: str) -> bool:
        """Return whether a step whose name begins with one of the prefixes is to be created."""
        return any(name.startswith(prefixes) for name in self.to_create)

    def machine_counts(self, *, spot: bool = False) -> Counter[str]:
        """Return how many machines of each type this run launches or starts, by their market."""
        return _counts((*self.launches, *self.starts), spot=spot)

    def later_counts(self, *, spot: bool = False) -> Counter[str]:
        """Return how many nodes of each type configure_eks_cluster.py will launch, by market."""
        return _counts(self.later, spot=spot)

    def instance_types(self) -> Mapping[str, Any]:
        """Return DescribeInstanceTypes of all planned types, without those EC2 does not know.

        Several checks ask at the same time: AWS is asked once, and again only after a failure.
        """
        with self._lock:
            return self._instance_types

    @cached_property
    def _instance_types(self) -> Mapping[str, Any]:
        launches = (*self.launches, *self.starts, *self.later)
        return self.describe_types({launch.instance_type for launch in launches})

    def describe_types(self, names: Collection[str]) -> Mapping[str, Any]:
        """Return DescribeInstanceTypes of some types, without those that EC2 does not know."""
        if not names:
            return {}
        found = pages(
            self.ctx.aws.ec2,
            "describe_instance_types",
            "InstanceTypes",
            Filters=[{"Name": "instance-type", "Values": sorted(names)}],
        )
        return {item["InstanceType"]: item for item in found}


def _counts(launches: Iterable[Launch], *, spot: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    for launch in launches:
        if launch.spot is spot:
            counts[launch.instance_type] += launch.count
    return counts


def planned_resources(ctx: Context, rows: Sequence[Row]) -> PlannedResources:
    """Return what a run over `rows` is going to create."""
    in_aws = [row for row in rows if row.step.part != "software"]
    to_create = frozenset(row.step.name for row in in_aws if row.action is Action.CREATE)
    changing = {row.step.name: row.found for row in in_aws if row.action is Action.UPDATE}
    present = {name: found for name, found in changing.items() if found}
    launches = [
        *_vm_groups(ctx.config, to_create, present),
        *_launch_templates(ctx.config, to_create, present),
    ]
    later = _later_nodes(ctx.config) if "eks cluster" in to_create else ()
    changed = frozenset(changing)
    starts = (*_stopped_vms(ctx, changed), *_paused_groups(ctx, changed))
    return PlannedResources(ctx, to_create, tuple(launches), later, starts, to_update=changed)


def _vm_groups(
    config: Config, to_create: frozenset[str], changed: Mapping[str, Found]
) -> list[Launch]:
    """Return the launches of new groups, and of the missing machines of incomplete ones."""
    launches = []
    for group in vm_groups(config):
        found = changed.get(group.step)
        machines = found.facts["instances"] if found else ()
        count = group.count - len(machines) if found or group.step in to_create else 0
        taken = {machine["private_ip"] for machine in machines}
        free = tuple(it for it in group.addresses if str(it) not in taken)[: max(0, count)]
        if count > 0:
            kind = group.ami, group.instance_type
            launches.append(Launch(group.step, *kind, count, free, in_first_subnet=True))
    return launches


def _launch_templates(
    config: Config, to_create: frozenset[str], changed: Mapping[str, Found]
) -> list[Launch]:
    """Return the launches of the auto-scaling groups: up to the number that they should have.

    A template that is made or changed needs its AMI, also where nothing is launched.
    """
    launches = []
    for spec in auto_scaling_specs(config):
        template, group = f"launch template {spec.template}", f"auto-scaling group {spec.group}"
        count = config.autoscaling_group_desired_capacity if group in to_create else 0
        if group in changed and _has_drift(changed[group], CAPACITY, MISSING):
            count = changed[group].facts["missing"]
        new = {template, group} & to_create
        renewed = template in changed and _has_drift(changed[template], CONTENTS)
        if new or renewed or count:
            launches.append(Launch(template, spec.ami, spec.instance_type, count, spot=spec.spot))
    return launches


def _has_drift(found: Found, *keys: str) -> bool:
    return any(drift.key in keys for drift in found.drift)


def _stopped_vms(ctx: Context, changed: frozenset[str]) -> Iterator[Launch]:
    """Yield the stopped machines of the steps that are changed: those start them.

    Only running machines count against the quotas.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html
    """
    for item in ctx.inventory.all("instances") if changed else ():
        step = tag_of(item, STEP_TAG)
        if step in changed and item["State"]["Name"] in ("stopping", "stopped"):
            yield Launch(step, item["ImageId"], item["InstanceType"], 1)


def _paused_groups(ctx: Context, changed: frozenset[str]) -> Iterator[Launch]:
    """Yield the machines that the paused groups of the steps that are changed get again."""
    for spec in auto_scaling_specs(ctx.config):
        step = f"auto-scaling group {spec.group}"
        for item in ctx.inventory.of_step("auto-scaling groups", step) if step in changed else ():
            count = _restored(item)
            yield Launch(step, spec.ami, spec.instance_type, count, spot=spec.spot)
    nodes = {spec.group for spec in every_node_group(ctx.config)} & changed
    for item in ctx.inventory.all("node groups") if nodes else ():
        name, kinds = item["nodegroupName"], item.get("instanceTypes") or ()
        if name in nodes and kinds:
            spot = item.get("capacityType") == "SPOT"
            yield Launch(name, "", kinds[0], _restored(item), spot=spot)


def _restored(group: Item) -> int:
    """Return how many machines a group gets when its pause ends."""
    return max(0, resumed_sizes(group).desired - group_sizes(group).desired)


def _later_nodes(config: Config) -> tuple[Launch, ...]:
    """Return the nodes that configure_eks_cluster.py will add; their AMI is EKS's."""
    return tuple(
        Launch(spec.group, "", spec.instance_type, spec.count, spot=spec.spot)
        for spec in node_group_specs(config)
    )
