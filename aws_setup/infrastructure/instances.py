"""VMs: a step for each group, which finds, launches, completes, restarts and terminates it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.paused import counted_marks, created_at, paused_drift, paused_since
from aws_setup.aws.reasons import state_reason
from aws_setup.aws.session import error_code
from aws_setup.aws.tag_drift import TaggedItem
from aws_setup.aws.tags import STEP_TAG, tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.ami_copies import ami_in_use
from aws_setup.infrastructure.ami_details import machines_text
from aws_setup.infrastructure.ami_kept import other_amis
from aws_setup.infrastructure.attachments import HINT, unattached
from aws_setup.infrastructure.cluster_members import at_known_addresses, refuse_unknown_address
from aws_setup.infrastructure.disk_drift import delete_with_vms, disk_drift
from aws_setup.infrastructure.lost_tags import Ec2Tagged, lost, write_marks, write_tags
from aws_setup.infrastructure.machine_groups import group_drift, restore_groups
from aws_setup.infrastructure.metadata_options import metadata_drift, restore_metadata
from aws_setup.infrastructure.moved_network import machine_drift
from aws_setup.infrastructure.run_instances import (
    TERMINATED_STATES,
    address_drift,
    count_terminated,
    disk_charges,
    launch_instances,
    missing_launches,
)
from aws_setup.infrastructure.start_instances import how_to_resize, start_stopped
from aws_setup.infrastructure.termination import terminate
from aws_setup.infrastructure.vm_groups import VmGroup
from aws_setup.infrastructure.volume_drift import restore_volumes, tagged_volumes


@dataclass(frozen=True)
class VmGroupStep(Ec2Tagged, Step):
    """The VMs of one group, running; `facts["instances"]` lists them sorted by name."""

    group: VmGroup
    needs: tuple[str, ...] = ("public subnet 1", "security group")
    part: str = "machines"
    follows: tuple[str, ...] = ()
    kind_of_resource = "instances"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The group's step name."""
        return self.group.step

    def find(self, ctx: Context) -> Found | None:
        """Return the group's instances; missing, surplus, stopped or different ones are drift."""
        active = self._active(ctx)
        if not active:
            return None
        found = self._found(active)
        more = [*machine_drift(ctx, active, self.name), *group_drift(ctx, active)]
        more += disk_drift(ctx, active)
        facts = {**found.facts, **other_amis(ctx, self.group, active)}
        return replace(found, facts=facts, drift=(*found.drift, *more))

    def _active(self, ctx: Context, *, fresh: bool = False) -> list[Item]:
        active = active_instances(ctx, self.name, fresh=fresh)
        subnet = ctx.found.get("public subnet 1")
        if len(active) >= self.group.count or subnet is None:
            return active
        place = {"subnet-id": subnet.id, "tag:Component": self.group.component}
        known = {item["InstanceId"] for item in active}
        others = _active_only(lost(ctx, "instances", self.name, place))
        return [*active, *(it for it in others if it["InstanceId"] not in known and self._has(it))]

    def _has(self, instance: Item) -> bool:
        """Whether a VM is one of the group's, by its step or, without that, by its name."""
        names = {self.group.name(index) for index in range(self.group.count)}
        return bool(tag_of(instance, STEP_TAG)) or tag_of(instance, "Name") in names

    def resources(self, ctx: Context) -> list[Item]:
        """Return the VMs; those without their tags are found in their subnet."""
        return self._active(ctx)

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of each VM but for its name, which is one of the group's."""
        return tags(ctx.config, self.name, Component=self.group.component)

    def tagged(self, ctx: Context, found: Found) -> list[TaggedItem]:
        """Return the VMs and their disks with the tags that they have and should have."""
        wanted, active = self.wanted_tags(ctx), self._active(ctx)
        disks = tagged_volumes(ctx, active, wanted, partial(write_tags, ctx))
        return [*super().tagged(ctx, found), *disks]

    def _found(self, active: list[Item]) -> Found:
        drift = (
            *self._count_drift(active),
            *self._type_drift(active),
            *self._state_drift(active),
            *metadata_drift(active),
        )
        return instances_found(active, drift)

    def _count_drift(self, active: list[Item]) -> list[Drift]:
        has, wants = len(active), self.group.count
        if has == wants and self._named(active):
            return address_drift(self.group, active)
        if has == wants:
            return [Drift("names", "incomplete", "one each")]
        if has > wants:
            return [Drift("machines", str(has), str(wants), self.group.surplus)]
        return [Drift("machines", str(has), str(wants))]

    def _type_drift(self, active: list[Item]) -> list[Drift]:
        desired, key = self.group.instance_type, self.group.type_key
        has = {instance["InstanceType"] for instance in active}
        if has == {desired}:
            return []
        renewal = self.group.renewal or f'run destroy --only "{self.name}" first'
        fix = f"restore {key}, or {renewal}"
        if stopped := _stopped(active):
            fix = f"{fix}, which deletes the disks; or {how_to_resize(self.group, stopped)}"
        return [Drift("instance type", ", ".join(sorted(has)), desired, fix)]

    def _state_drift(self, active: list[Item]) -> Sequence[Drift]:
        return paused_drift(active) or stopped_drift(active)

    def _named(self, active: list[Item]) -> bool:
        names = {tag_of(instance, "Name") for instance in active}
        return names == {self.group.name(index) for index in range(len(active))}

    def create(self, ctx: Context) -> Found:
        """Launch every instance of the group that does not exist."""
        return self.in_use(ctx)._complete(ctx, [])

    def in_use(self, ctx: Context) -> Self:
        """Return the step with the AMI's copy that this run has made, and the known addresses."""
        group = at_known_addresses(ctx, self.group)
        return replace(self, group=replace(group, ami=ami_in_use(ctx, group.ami)))

    def update(self, ctx: Context, found: Found) -> Found:
        """Start stopped VMs, launch missing ones, restore their settings, groups and disks."""
        active = self._active(ctx, fresh=True)
        restore_metadata(ctx, active)
        restore_groups(ctx, active)
        delete_with_vms(ctx, active)
        stopped = [item for item in active if item["State"]["Name"] == "stopped"]
        unmarked = [item for item in stopped if paused_since(item) is None]
        write_marks(ctx, unmarked, lambda item: counted_marks(item, ctx.clock.today()))
        start_stopped(ctx, self.group, _stopped(active))
        completed = self.in_use(ctx)._complete(ctx, active)
        restore_volumes(ctx, active, found.drift)
        return completed

    def _complete(self, ctx: Context, active: list[Item]) -> Found:
        instances, missing = list(active), missing_launches(self.group, active)
        if missing:
            refuse_unknown_address(ctx, self.group)
        counts = count_terminated(ctx, self.name) if missing else {}
        for launch in missing:
            terminated = counts.get(launch.name, 0)
            instances += launch_instances(ctx, self.group, launch, terminated=terminated)
        ids = tuple(instance["InstanceId"] for instance in instances)
        return Found(", ".join(ids), "pending", ready=False, ids=ids)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when every instance runs and has its name; sshd may still be starting."""
        active: list[Item] = ctx.wait_until(
            f"the VMs of {self.name} are running",
            lambda: self._probe(ctx, found.ids),
            deadline=600,
            pause=6,
            usual=MEDIANS["instance running"],
            hint=HINT,
        )
        return self.in_use(ctx)._found(self._name_all(ctx, active))

    def _probe(self, ctx: Context, ids: Sequence[str]) -> list[Item] | Pending:
        try:
            answer: Any = ctx.aws.ec2.describe_instances(InstanceIds=ids)
        except ClientError as error:
            if error_code(error) != "InvalidInstanceID.NotFound":
                raise
            return Pending("not visible yet")
        active = [item for group in answer["Reservations"] for item in group["Instances"]]
        terminated = [item for item in active if item["State"]["Name"] in TERMINATED_STATES]
        if terminated:
            first = terminated[0]
            reason, hint = state_reason(first.get("StateReason"))
            raise SetupError(
                f"{self.name}: {first['InstanceId']} is {first['State']['Name']}", reason, hint
            )
        states = sorted({item["State"]["Name"] for item in active})
        if states != ["running"]:
            return Pending(", ".join(states))
        waits = unattached(active)
        return Pending(waits) if waits else active

    def _name_all(self, ctx: Context, active: list[Item]) -> list[Item]:
        """Set the Name tag of each instance that has none of the group's names."""
        names = [self.group.name(index) for index in range(len(active))]
        has = {instance["InstanceId"]: tag_of(instance, "Name") for instance in active}
        free = [name for name in names if name not in has.values()]
        for instance in sorted(active, key=self._order):
            instance_id = instance["InstanceId"]
            if has[instance_id] not in names and free:
                has[instance_id] = free.pop(0)
                ctx.aws.ec2.create_tags(
                    Resources=[instance_id], Tags=[{"Key": "Name", "Value": has[instance_id]}]
                )
        return [_renamed(instance, has[instance["InstanceId"]]) for instance in active]

    def _order(self, instance: Item) -> tuple[Any, ...]:
        """Return the sort key: fixed addresses in their order, then the order of launch."""
        fixed = [str(address) for address in self.group.addresses]
        address = instance["PrivateIpAddress"]
        position = fixed.index(address) if address in fixed else len(fixed)
        return (position, instance["LaunchTime"], instance.get("AmiLaunchIndex", 0))

    def delete(self, ctx: Context, found: Found) -> None:
        """Terminate the instances and return when their addresses are free."""
        ids = [item["InstanceId"] for item in ctx.inventory.of_step("instances", self.name)]
        terminate(ctx, self.name, ids)

    def details(self, ctx: Context) -> str:
        """Return type, number and AMI of the machines."""
        return machines_text(ctx, self.group.instance_type, self.group.count, self.group.ami)

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The instances' hours and their public addresses."""
        count = float(self.group.count)
        instances = CostItem(self.part, f"ec2:{self.group.instance_type}", count)
        return (instances, CostItem(self.part, "ipv4", count))

    def disks(self, ctx: Context) -> list[CostItem]:
        """The disks of the AMI, for each instance."""
        return disk_charges(ctx, self.group.ami, count=float(self.group.count), part="disks")


def instances_found(active: list[Item], drift: tuple[Drift, ...]) -> Found:
    """Return the instances of a group, at least one, with their addresses and sorted by name."""
    states = {instance["State"]["Name"] for instance in active}
    described = sorted((_described(instance) for instance in active), key=_by_name)
    ids = tuple(instance["id"] for instance in described)
    facts: dict[str, Any] = {"instances": described}
    if stopped := len(_stopped(active)):
        facts["stopped"] = stopped
    return Found(
        ", ".join(ids),
        ", ".join(sorted(states)),
        facts,
        drift,
        ready=states == {"running"} and not unattached(active),
        since=min(map(created_at, active)),
        ids=ids,
    )


def stopped_drift(active: list[Item]) -> list[Drift]:
    """Return the drift of the instances that are stopped and should run."""
    stopped = _stopped(active)
    return [Drift("stopped machines", ", ".join(stopped), "running")] if stopped else []


def active_instances(ctx: Context, step: str, *, fresh: bool = False) -> list[Item]:
    """Return the instances of a step that are not terminated."""
    return _active_only(ctx.inventory.of_step("instances", step, fresh=fresh))


def _active_only(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item["State"]["Name"] not in TERMINATED_STATES]


def _described(instance: Item) -> dict[str, Any]:
    return {
        "id": instance["InstanceId"],
        "name": tag_of(instance, "Name"),
        "private_ip": instance.get("PrivateIpAddress"),
        "public_ip": instance.get("PublicIpAddress"),
    }


def _by_name(described: dict[str, Any]) -> tuple[int, str]:
    return (len(described["name"]), described["name"])


def _stopped(active: list[Item]) -> list[str]:
    """Return the ids of the instances that are stopped or stopping."""
    states = ("stopped", "stopping")
    return [item["InstanceId"] for item in active if item["State"]["Name"] in states]


def _renamed(instance: Item, name: str) -> Item:
    tags = [tag for tag in instance.get("Tags", []) if tag["Key"] != "Name"]
    return {**instance, "Tags": [*tags, {"Key": "Name", "Value": name}]}
