"""What a deployment has used since its creation: unit hours, counted from what AWS lists.

Launch and creation times, tags of pauses, and the activities of scaling groups. AWS does not keep
what it no longer lists: gateways that `pause --deep` deleted are counted in a tag of the VPC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.paused import (
    created_at,
    paused_since,
    started_by_hand,
    stopped_seconds,
)
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, GROUP_TAG, STEP_TAG
from aws_setup.engine.step import CostItem
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.ami_copies import copied_snapshots
from aws_setup.infrastructure.disk_prices import disk_units
from aws_setup.infrastructure.kubernetes_support import end_of_standard_support
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.load_balancers import owned_load_balancers
from aws_setup.infrastructure.nat_gateway import LIVE_NAT
from aws_setup.infrastructure.run_instances import TERMINATED_STATES, disk_charges
from aws_setup.pause.costs import balancer_owner, kept_volumes
from aws_setup.pause.deadline import read_schedules
from aws_setup.pause.machine_hours import hours_by_type, instance_key, machine_hours
from aws_setup.pause.nat import ended_nat
from aws_setup.pause.node_groups import node_units, owned_node_groups


@dataclass(frozen=True)
class Usage:
    """What one resource uses: `count` units now, `hours` unit hours until now.

    `key` names the unit's price, as in CostItem. `step` is the step whose deletion ends it.
    """

    id: str
    part: str
    key: str
    count: float
    hours: float
    step: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class _Group:
    """A scaling group: the price of a machine that no longer exists, and what each machine has."""

    name: str
    part: str
    kind: str
    step: str
    since: datetime
    extras: tuple[tuple[str, str, float], ...]


@dataclass
class Usages:
    """The usage of a deployment; `notes` say what AWS does not tell.

    `paused` has the steps that are paused, and since when; `deadline` is when AWS pauses them.
    `coming` are charges that begin later, and when.
    """

    now: datetime
    items: list[Usage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    paused: dict[str, datetime] = field(default_factory=dict)
    deadline: datetime | None = None
    coming: list[tuple[datetime, CostItem]] = field(default_factory=list)

    def note_state(self, step: str, item: Item) -> None:
        """Note whether a resource is paused."""
        if since := paused_since(item):
            self.paused[step] = min(since, self.paused.get(step, since))


def usages(ctx: Context) -> Usages:
    """Return what the deployment has used until now; what cannot be read is in the notes."""
    found = Usages(ctx.clock.today())
    found.deadline = advice(lambda: _deadline(ctx, found.now), lambda _: None)
    sources: dict[str, Callable[[Context, Usages], Iterator[Usage]]] = {
        "the VMs": _vms,
        "the scaling groups": _scaling_groups,
        "the node groups": _node_groups,
        "the EKS cluster": _cluster,
        "the network": _network,
        "the load balancers": _balancers,
        "the volumes": _volumes,
        "the copied AMIs": _copied_amis,
    }
    for what, source in sources.items():
        read = advice(
            lambda source=source: ([*source(ctx, found)], ""),  # type: ignore[misc]
            lambda why: ([], why),
        )
        found.items += read[0]
        if read[1]:
            found.notes.append(f"not included: {what}, which could not be read ({read[1]})")
    return found


def _deadline(ctx: Context, now: datetime) -> datetime | None:
    """Return when AWS pauses the deployment; schedules do it, and tags may outlive them."""
    schedules = read_schedules(ctx)
    deadline = schedules.deadline if schedules else None
    return deadline if deadline and deadline > now else None


def _hours(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds() / 3600)


def _live(ctx: Context) -> list[Item]:
    items = ctx.inventory.all("instances")
    return [item for item in items if item["State"]["Name"] not in TERMINATED_STATES]


def _vms(ctx: Context, found: Usages) -> Iterator[Usage]:
    for item in _live(ctx):
        if tag_of(item, GROUP_TAG):
            continue
        since, name = created_at(item), str(item["InstanceId"])
        step = tag_of(item, STEP_TAG)
        found.note_state(step, item)
        hours = max(0.0, _hours(since, found.now) - stopped_seconds(item, found.now) / 3600)
        runs = float(item["State"]["Name"] in ("pending", "running"))
        yield Usage(name, "machines", instance_key(item), runs, hours, step, since)
        if item.get("PublicIpAddress") or not runs:
            yield Usage(name, "machines", "ipv4", runs, hours, step, since)
        if started_by_hand(item):
            found.notes.append(
                f"{name} was stopped and started by hand; AWS does not tell for how long, so that "
                "it counts as running"
            )


def _scaling_groups(ctx: Context, found: Usages) -> Iterator[Usage]:
    specs = {f"auto-scaling group {spec.group}": spec for spec in auto_scaling_specs(ctx.config)}
    for group in ctx.inventory.all("auto-scaling groups"):
        step = tag_of(group, STEP_TAG)
        if step not in specs:
            continue
        found.note_state(step, group)
        disks = disk_charges(ctx, specs[step].ami, count=1.0, part="disks")
        extras = (("auto scaling", "ipv4", 1.0), *((c.part, c.key, c.count) for c in disks))
        kind, name = specs[step].price_key, str(group["AutoScalingGroupName"])
        described = _Group(name, "auto scaling", kind, step, group["CreatedTime"], extras)
        yield from _machines(ctx, found, described)


def _node_groups(ctx: Context, found: Usages) -> Iterator[Usage]:
    """Yield the machines of the deployment's node groups."""
    for group in owned_node_groups(ctx):
        name = str(group["nodegroupName"])
        found.note_state(name, group)
        (_, kind, _), *extras = node_units(ctx.config, group)
        for item in group.get("resources", {}).get("autoScalingGroups", ()):
            described = _Group(item["name"], "eks", kind, name, group["createdAt"], (*extras,))
            yield from _machines(ctx, found, described)


def _machines(ctx: Context, found: Usages, group: _Group) -> Iterator[Usage]:
    """Yield the machines of a group by type, and what each of them has."""
    members = [item for item in _live(ctx) if tag_of(item, GROUP_TAG) == group.name]
    live = {str(item["InstanceId"]): item for item in members}
    activities: list[Any] = pages(
        ctx.aws.autoscaling,
        "describe_scaling_activities",
        "Activities",
        AutoScalingGroupName=group.name,
    )
    launched = {name: created_at(item) for name, item in live.items()}
    known = machine_hours(activities, launched, found.now)
    by_type = hours_by_type(known, live, group.kind)
    for key, (count, hours) in by_type.items():
        yield Usage(group.name, group.part, key, count, hours, group.step, group.since)
    total = sum(hours for _, hours in by_type.values())
    for part, key, each in group.extras if by_type else ():
        count, hours = each * len(live), each * total
        yield Usage(group.name, part, key, count, hours, group.step, group.since)
    if known.unknown:
        count = len(known.unknown)
        found.notes.append(
            f"not included: {count_of(count, 'machine')} of {group.name}, of which AWS no "
            "longer says how long they ran (it keeps scaling activities for six weeks)"
        )


def _owned_cluster(ctx: Context) -> list[Item]:
    name = ctx.config.deployment_name
    clusters = ctx.inventory.all("eks cluster")
    return [cluster for cluster in clusters if tag_of(cluster, DEPLOYMENT_TAG) == name]


def _cluster(ctx: Context, found: Usages) -> Iterator[Usage]:
    for cluster in _owned_cluster(ctx):
        since = cluster["createdAt"]
        name, ends = str(cluster["arn"]), end_of_standard_support(ctx, cluster)
        hours, extended = _hours(since, found.now), _hours(ends, found.now) if ends else 0.0
        extended = min(hours, extended)
        yield Usage(name, "eks", "eks", 1.0, hours, "eks cluster", since)
        if ends and ends > found.now:
            found.coming.append((ends, CostItem("eks", "eks-extended")))
        if extended:
            yield Usage(name, "eks", "eks-extended", 1.0, extended, "eks cluster", since)


def _network(ctx: Context, found: Usages) -> Iterator[Usage]:
    """Yield the NAT gateways and their addresses, of which AWS does not tell the creation."""
    gateways = [item for item in ctx.inventory.all("nat gateways") if item["State"] in LIVE_NAT]
    for item in gateways:
        since, name = item["CreateTime"], str(item["NatGatewayId"])
        hours = _hours(since, found.now)
        yield Usage(name, "network", "nat", 1.0, hours, "nat gateway", since)
        yield Usage(name, "network", "ipv4", 1.0, hours, "elastic ip", since)
    for vpc in ctx.inventory.all("vpcs"):
        hours, name = ended_nat(vpc).seconds / 3600, str(vpc["VpcId"])
        if hours:
            yield Usage(name, "network", "nat", 0.0, hours, "vpc")
            yield Usage(name, "network", "ipv4", 0.0, hours, "vpc")
    used = {each.get("AllocationId") for item in gateways for each in item["NatGatewayAddresses"]}
    for address in ctx.inventory.all("addresses"):
        if address["AllocationId"] not in used:
            name = str(address["AllocationId"])
            found.notes.append(f"not included until now: {name}; AWS does not tell since when")
            yield Usage(name, "network", "ipv4", 1.0, 0.0, "elastic ip")


def _balancers(ctx: Context, found: Usages) -> Iterator[Usage]:
    """Yield the load balancers; a public one has an address in each of its zones."""
    for each in owned_load_balancers(ctx) if _owned_cluster(ctx) else ():
        hours, (part, ends) = _hours(each.since, found.now), balancer_owner(each)
        yield Usage(each.name, part, each.price_key, 1.0, hours, ends, each.since)
        if each.addresses:
            count = float(each.addresses)
            yield Usage(each.name, part, "ipv4", count, count * hours, ends, each.since)


def _volumes(ctx: Context, found: Usages) -> Iterator[Usage]:
    for item in kept_volumes(ctx):
        since, name = item["CreateTime"], str(item["VolumeId"])
        step = tag_of(item, STEP_TAG) or "eks cluster"
        for key, count in disk_units(item):
            hours = count * _hours(since, found.now)
            yield Usage(name, "disks", key, count, hours, step, since)


def _copied_amis(ctx: Context, found: Usages) -> Iterator[Usage]:
    for item in copied_snapshots(ctx):
        since, size, name = item["StartTime"], float(item["VolumeSize"]), str(item["SnapshotId"])
        hours = size * _hours(since, found.now)
        yield Usage(name, "amis", "snapshot-gib", size, hours, "copied amis", since)
