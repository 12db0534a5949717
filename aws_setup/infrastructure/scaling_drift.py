"""What differs between an auto-scaling group and the configuration: its sizes and what it buys."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.paused import group_sizes
from aws_setup.config import Config
from aws_setup.engine.step import Drift
from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem
from aws_setup.infrastructure.launch_templates import AutoScalingSpec

IN_SERVICE = "InService"
"""LifecycleState of a machine that a group counts."""

CAPACITY = "capacity"
"""Key of the drift of a group that has another number of machines than it should get."""

MISSING = "missing machines"
"""Key of the drift of a group with fewer machines than desired: AWS itself launches them."""

PURCHASE = "purchase"
"""Key of the drift of a group that launches on demand what should be Spot, or of other types."""

TEMPLATE = "launch template"
"""Key of the drift of a group that launches from another template, or a fixed version of it."""

DEFAULT_VERSION = "$Default"
"""The version with which a group launches, whatever its number is."""


def wanted_capacity(ctx: Context, group: Item) -> int:
    """Return how many machines a group should have: as configured, or as its own policy says.

    Where the user has added a policy or a schedule, that one decides between minimum and maximum.
    """
    config, desired = ctx.config, int(group["DesiredCapacity"])
    wanted = config.autoscaling_group_desired_capacity
    if desired == wanted or not (rule := scaling_rule(ctx, group["AutoScalingGroupName"])):
        return wanted
    ctx.warn(_decided_by(group["AutoScalingGroupName"], rule))
    return min(max(desired, config.autoscaling_group_min_size), config.autoscaling_group_max_size)


def scaling_rule(ctx: Context, name: str) -> str:
    """Return what sets the number of a group's machines by itself; '' for nothing.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribePolicies.html
    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeScheduledActions.html
    """
    client = ctx.aws.autoscaling

    def read() -> str:
        for policy in client.describe_policies(AutoScalingGroupName=name)["ScalingPolicies"]:
            return f"scaling policy {policy['PolicyName']}"
        answer = client.describe_scheduled_actions(AutoScalingGroupName=name)
        for action in answer["ScheduledUpdateGroupActions"]:
            return f"scheduled action {action['ScheduledActionName']}"
        return ""

    return advice(read, lambda _: "")


def _decided_by(group: str, rule: str) -> Problem:
    return Problem(
        f"autoscaling_group_desired_capacity does not count for {group}",
        f"its {rule} decides how many machines it has",
        f"delete the {rule.rpartition(' ')[0]} to have the number of the configuration, which the "
        "plan's price counts",
    )


def sizes_text(config: Config) -> str:
    """Return the configured bounds, as in '0-8'."""
    return f"{config.autoscaling_group_min_size}-{config.autoscaling_group_max_size}"


def size_drift(config: Config, group: Item, wanted: int) -> list[Drift]:
    """Return how bounds and number of machines differ, and how many are launched or terminated."""
    sizes, drift = group_sizes(group), []
    has = f"{sizes.minimum}-{sizes.maximum}"
    if has != sizes_text(config):
        drift.append(Drift("sizes (min-max)", has, sizes_text(config)))
    if sizes.desired != wanted:
        effect = _effect(len(remaining(group)), wanted)
        drift.append(Drift("machines", str(sizes.desired), f"{wanted}{effect}", key=CAPACITY))
    return drift


def _effect(present: int, wanted: int) -> str:
    if present > wanted:
        ended = count_of(present - wanted, "is terminated", "are terminated")
        return f" ({ended}; what is on the disks is lost)"
    return f" ({wanted - present} launched)" if wanted > present else ""


def remaining(group: Item) -> list[Item]:
    """Return the machines of a group that AWS is not terminating or detaching, without standbys.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
    """
    leaving = ("Terminat", "Detach")
    return [it for it in _counted(group) if not str(it.get("LifecycleState")).startswith(leaving)]


def standbys(group: Item) -> list[str]:
    """Return the ids of machines that somebody has taken out of service: no group ends them.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
    """
    counted = _counted(group)
    return [it["InstanceId"] for it in group.get("Instances", []) if it not in counted]


def _counted(group: Item) -> list[Item]:
    machines = group.get("Instances", [])
    return [it for it in machines if "Standby" not in str(it.get("LifecycleState"))]


def in_service(group: Item) -> list[Item]:
    """Return the machines of a group that are in service."""
    return [it for it in group.get("Instances", []) if it.get("LifecycleState") == IN_SERVICE]


def surplus(group: Item) -> int:
    """Return how many machines a group has still to get rid of; a standby is no surplus."""
    return max(0, len(_counted(group)) - int(group["DesiredCapacity"]))


@dataclass(frozen=True)
class Purchase:
    """How a group launches machines; `first_type` is the policy's, '' where the template's."""

    what: str
    first_type: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.first_type}".strip()


def purchase_of(group: Item) -> Purchase:
    """Return how a group launches machines."""
    policy = group.get("MixedInstancesPolicy")
    if not policy:
        return Purchase("on demand")
    percentage = policy["InstancesDistribution"].get("OnDemandPercentageAboveBaseCapacity", 100)
    overrides = policy["LaunchTemplate"].get("Overrides") or [{}]
    what = "on demand" if percentage == 100 else "Spot" if percentage == 0 else "both"
    return Purchase(what, str(overrides[0].get("InstanceType", "")))


def _replacement(has: Purchase, running: int, *, spot: bool) -> str:
    """Return what a new purchase does to the machines that run.

    Those of a group that gets a policy are replaced to match it; a launch template alone is for
    new machines. https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """
    if spot and has.what != "Spot" and running:
        ended = count_of(running, "running machine is replaced", "running machines are replaced")
        return f"{ended}, one after the other; what is on the disks is lost"
    return "new machines; those that run stay"


def purchase_drift(kind: AutoScalingSpec, group: Item) -> list[Drift]:
    """Return how what a group buys differs from the configuration."""
    has, market = purchase_of(group), "Spot" if kind.spot else "on demand"
    if has.what == market and has.first_type in ("", kind.instance_type):
        return []
    effect = _replacement(has, len(remaining(group)), spot=kind.spot)
    wants = f"{market} {kind.instance_type} ({effect})"
    policy = group.get("MixedInstancesPolicy")
    return [Drift("machines are", str(has), wants, key=PURCHASE, replaces=policy)]


def template_drift(ctx: Context, step: str, group: Item) -> list[Drift]:
    """Return how the launch template of a group differs from that of its step; not for destroy.

    A template that was deleted and created again has another id: with the one of before Auto
    Scaling launches nothing.
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-launch-template.html
    """
    if ctx.owned_only:
        return []
    has = launch_template_of(group)
    found = ctx.found.get(step)
    if found is None:
        exist = {it["LaunchTemplateId"] for it in ctx.inventory.all("launch templates")}
        if has.get("LaunchTemplateId") in exist:
            return []
    wants = found.id if found else f"the {step}"
    version = str(has.get("Version") or DEFAULT_VERSION)
    if has.get("LaunchTemplateId") == wants and version == DEFAULT_VERSION:
        return []
    shown = f"{has.get('LaunchTemplateId') or 'none'} ({version})"
    text = f"{wants} ({DEFAULT_VERSION}; for new machines: those that run stay)"
    return [Drift("launch template", shown, text, key=TEMPLATE)]


def launch_template_of(group: Item) -> Item:
    """Return what a group says of its launch template: its id, name and version."""
    policy = group.get("MixedInstancesPolicy") or {}
    of_policy = policy.get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
    template: Item = of_policy or group.get("LaunchTemplate") or {}
    return template
