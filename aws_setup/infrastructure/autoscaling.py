"""The auto-scaling groups of clients and NameNodes.

CreateAutoScalingGroup only accepts the wish: the machines are launched later, and why that fails
is in the group's scaling activities alone.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.paused import SIZES_TAG, paused_drift
from aws_setup.aws.reasons import hint_of_reason
from aws_setup.aws.session import error_code
from aws_setup.aws.spot import offered_alternatives
from aws_setup.aws.tag_drift import Tagged, TaggedItem, tags_of
from aws_setup.aws.tags import regional_name, tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.launch_templates import AutoScalingSpec
from aws_setup.infrastructure.moved_network import SUBNETS, group_drift
from aws_setup.infrastructure.run_instances import disk_charges
from aws_setup.infrastructure.scaling_activities import FAILED_LOOKS, launch_failure
from aws_setup.infrastructure.scaling_deletion import delete_group
from aws_setup.infrastructure.scaling_drift import (
    CAPACITY,
    DEFAULT_VERSION,
    MISSING,
    PURCHASE,
    TEMPLATE,
    in_service,
    purchase_drift,
    remaining,
    scaling_rule,
    size_drift,
    sizes_text,
    surplus,
    template_drift,
    wanted_capacity,
)
from aws_setup.infrastructure.scaling_obstacles import (
    check_launches,
    check_terminations,
    held_state,
)
from aws_setup.infrastructure.scaling_tags import (
    groups_of_step,
    name_taken,
    pairs,
    remove_tags,
    write_tags,
)

HINT_ACTIVITIES = "read `aws autoscaling describe-scaling-activities`, fix its cause and run again"

PUBLIC_SUBNETS = ("public subnet 1", "public subnet 2")


@dataclass(frozen=True)
class AutoScalingGroup(Tagged, Step):
    """An auto-scaling group over both public subnets; its sizes follow the configuration."""

    kind: AutoScalingSpec
    part: str = "auto scaling"
    follows: tuple[str, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return f"auto-scaling group {self.kind.group}"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Its launch template and its subnets."""
        return (self.template, *PUBLIC_SUBNETS)

    @property
    def template(self) -> str:
        """The step of its launch template."""
        return f"launch template {self.kind.template}"

    def find(self, ctx: Context) -> Found | None:
        """Return the group, with its sizes and what it buys compared."""
        items = self._groups(ctx)
        return self._found(ctx, items[0]) if items else None

    def _groups(self, ctx: Context) -> list[Item]:
        return groups_of_step(ctx, self.name, self._group_name(ctx.config), needs=self.needs)

    def _found(self, ctx: Context, group: Item) -> Found:
        deleting, paused = str(group.get("Status") or ""), self._paused(group)
        running, desired = len(in_service(group)), int(group["DesiredCapacity"])
        wanted = desired if paused or deleting else self._wanted(ctx, group)
        drift = list(paused) or self._size_drift(ctx, group, wanted)
        drift += purchase_drift(self.kind, group)
        drift += [] if deleting else template_drift(ctx, self.template, group)
        drift += [] if deleting else group_drift(ctx, group, PUBLIC_SUBNETS)
        if deleting:
            drift.append(Drift("deletion", deleting, "a group", key=DriftKey.DELETION))
        if running < desired == wanted and not deleting:
            drift.append(Drift("machines in service", str(running), str(desired), key=MISSING))
        launched = len(remaining(group))
        facts = {
            "machines": running,
            "desired": desired,
            "launched": launched,
            "missing": max(0, wanted - launched),
            "min-max": f"{group['MinSize']}-{group['MaxSize']}",
        }
        state = deleting or (
            f"{running} of {count_of(desired, 'machine')}" if desired else "available"
        )
        ready = running >= desired
        ids = tuple(sorted(machine["InstanceId"] for machine in in_service(group)))
        return Found(group["AutoScalingGroupName"], state, facts, tuple(drift), ready, ids=ids)

    def _wanted(self, ctx: Context, group: Item) -> int:
        return wanted_capacity(ctx, group)

    def _size_drift(self, ctx: Context, group: Item, wanted: int) -> list[Drift]:
        return size_drift(ctx.config, group, wanted)

    def _paused(self, group: Item) -> Sequence[Drift]:
        return paused_drift([group])

    def details(self, ctx: Context) -> str:
        """Return how many machines it may have, how many it starts with, and if they are Spot."""
        config = ctx.config
        text = (
            f"{sizes_text(config)} machines, {config.autoscaling_group_desired_capacity} at first"
        )
        return f"{text}, Spot" if self.kind.spot else text

    def create(self, ctx: Context) -> Found:
        """Create the group; its name is unique in the region, so a retry finds the first."""
        try:
            ctx.aws.autoscaling.create_auto_scaling_group(**self._request(ctx))
        except ClientError as error:
            if error_code(error) != "AlreadyExists":
                raise
            found = wait_visible(lambda: self._refreshed(ctx), clock=ctx.clock)
            if found is None:
                raise name_taken(ctx, self.name, self._group_name(ctx.config)) from error
            return self._recreate(ctx, found) if _is_being_deleted(found) else found
        desired = ctx.config.autoscaling_group_desired_capacity
        state = f"0 of {count_of(desired, 'machine')}" if desired else "available"
        facts = {"machines": 0, "desired": desired, "launched": 0}
        return Found(self._group_name(ctx.config), state, facts, ready=not desired)

    def _recreate(self, ctx: Context, found: Found) -> Found:
        """Create the group when the one of its name is deleted."""
        self._await_gone(ctx, found.id)
        return self.create(ctx)

    def _refreshed(self, ctx: Context) -> Found | None:
        ctx.inventory.all("auto-scaling groups", fresh=True)
        return self.find(ctx)

    def _request(self, ctx: Context) -> Any:
        config = ctx.config
        return {
            "AutoScalingGroupName": self._group_name(config),
            **self._launch(ctx),
            "MinSize": config.autoscaling_group_min_size,
            "MaxSize": config.autoscaling_group_max_size,
            "DesiredCapacity": config.autoscaling_group_desired_capacity,
            "VPCZoneIdentifier": _subnets(ctx),
            "Tags": pairs(self._tags(config)),
        }

    def _tags(self, config: Config) -> dict[str, str]:
        return tags(config, self.name, Component=self.kind.component)

    def tagged(self, ctx: Context, found: Found) -> list[TaggedItem]:
        """Return the group with its tags, which its later machines get too."""
        wanted, write = self._tags(ctx.config), partial(write_tags, ctx)
        named = [it for it in self._groups(ctx) if it["AutoScalingGroupName"] == found.id]
        return [TaggedItem(found.id, tags_of(item), wanted, write) for item in named]

    def _launch(self, ctx: Context) -> dict[str, Any]:
        """Return how machines are launched: from the template, as Spot of several types.

        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
        """
        template = {
            "LaunchTemplateId": ctx.of(self.template).id,
            "Version": DEFAULT_VERSION,
        }
        if not self.kind.spot:
            return {"LaunchTemplate": template}
        types = offered_alternatives(ctx.aws, self.kind.instance_type)
        policy = {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": template,
                "Overrides": [{"InstanceType": kind} for kind in types],
            },
            "InstancesDistribution": {
                "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": 0,
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        }
        return {"MixedInstancesPolicy": policy}

    def update(self, ctx: Context, found: Found) -> Found:
        """Set sizes, template, purchase and subnets; one that is being deleted is re-created later.

        A smaller number terminates machines; a larger one launches them.
        """
        if _is_being_deleted(found):
            return self._recreate(ctx, found)
        keys = {drift.key for drift in found.drift}
        if keys - {MISSING}:
            if CAPACITY in keys and not ctx.config.autoscaling_group_desired_capacity:
                self._forget_sizes(ctx, found)
            launch = self._launch(ctx) if keys & {PURCHASE, TEMPLATE} else {}
            if SUBNETS in keys:
                launch["VPCZoneIdentifier"] = _subnets(ctx)
            ctx.aws.autoscaling.update_auto_scaling_group(
                AutoScalingGroupName=found.id, **launch, **self._sizes(ctx, found)
            )
            ctx.inventory.refresh("auto-scaling groups")
        return Found(found.id, found.state, found.facts, ready=False, ids=found.ids)

    def _sizes(self, ctx: Context, found: Found) -> dict[str, Any]:
        """Return the sizes to send; without DesiredCapacity AWS changes it to the bounds only.

        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
        """
        config = ctx.config
        sizes: dict[str, Any] = {
            "MinSize": config.autoscaling_group_min_size,
            "MaxSize": config.autoscaling_group_max_size,
        }
        if not scaling_rule(ctx, found.id):
            sizes["DesiredCapacity"] = config.autoscaling_group_desired_capacity
        return sizes

    def _forget_sizes(self, ctx: Context, found: Found) -> None:
        """Remove the sizes that `resume` would restore, before the group is emptied.

        With them an empty group would be one that a passed deadline has stopped.
        """
        if any(tag_of(group, SIZES_TAG) for group in self._groups(ctx)):
            remove_tags(ctx, [found.id], [SIZES_TAG])

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the desired number of machines is in service, and no more exist.

        Raises:
            SetupError: AWS's last activity failed, and the cause is its reason; or a setting of
                the group keeps it from launching or terminating.
        """
        failed = itertools.count(1)

        def probe() -> Found | Pending:
            answer = ctx.aws.autoscaling.describe_auto_scaling_groups(
                AutoScalingGroupNames=[found.id]
            )
            if not answer["AutoScalingGroups"]:
                return Pending("not visible yet")
            group = answer["AutoScalingGroups"][0]
            current = self._found(ctx, group)
            if current.ready:
                left = surplus(group)
                if left:
                    check_terminations(self.name, group)
                return Pending(f"{count_of(left, 'machine')} to be terminated") if left else current
            if current.facts["launched"] >= current.facts["desired"]:
                return held_state(group, current.state)
            check_launches(self.name, group)
            reason = launch_failure(ctx, found.id)
            if reason and next(failed) >= FAILED_LOOKS:
                raise SetupError(
                    f"{self.name}: {current.state} in service", reason, hint_of_reason(reason)
                )
            return Pending(f"{current.state}: {reason}" if reason else current.state)

        ended = ctx.wait_until(
            f"{self.name} has its machines",
            probe,
            deadline=900,
            pause=10,
            usual=MEDIANS["auto scaling instances"],
            hint=HINT_ACTIVITIES,
        )
        if ended.ids != found.ids:
            ctx.scaled.update(set(ended.ids) - set(found.ids))
            ctx.inventory.all("instances", fresh=True)
        return ended

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the group with its instances and return when both are gone."""
        delete_group(ctx, found.id)
        self._await_gone(ctx, found.id)

    def _await_gone(self, ctx: Context, name: str) -> None:
        def gone() -> bool | Pending:
            answer = ctx.aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
            groups = answer["AutoScalingGroups"]
            if not groups:
                return True
            return Pending(f"{count_of(len(groups[0]['Instances']), 'instance')} left")

        what = f"auto-scaling group {name} is deleted"
        ctx.wait_until(what, gone, deadline=900, pause=8, usual=MEDIANS["instance terminated"])

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The hours of the instances that the group should have."""
        count = float(config.autoscaling_group_desired_capacity)
        if not count:
            return ()
        instances = CostItem(self.part, self.kind.price_key, count)
        return (instances, CostItem(self.part, "ipv4", count))

    def disks(self, ctx: Context) -> Sequence[CostItem]:
        """The disks of the instances that the group should have."""
        count = float(ctx.config.autoscaling_group_desired_capacity)
        return disk_charges(ctx, self.kind.ami, count=count, part="disks") if count else ()

    def _group_name(self, config: Config) -> str:
        return regional_name(config, self.kind.group, "_")


def _subnets(ctx: Context) -> str:
    return ",".join(ctx.of(subnet).id for subnet in PUBLIC_SUBNETS)


def _is_being_deleted(found: Found) -> bool:
    return any(drift.key is DriftKey.DELETION for drift in found.drift)
