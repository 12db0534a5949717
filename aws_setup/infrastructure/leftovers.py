"""The audit after destroy: which resources of the deployment remain, and how to delete them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import KINDS, Inventory, Item, ResourceKind, delete_command
from aws_setup.aws.pricing import TABLE
from aws_setup.engine.plan import inspect_all
from aws_setup.engine.step import DriftKey
from aws_setup.errors import Problem
from aws_setup.infrastructure.cleanup import UNATTACHED
from aws_setup.infrastructure.cluster_parts import doubtful_volumes, volumes
from aws_setup.infrastructure.load_balancers import doubtful_load_balancers
from aws_setup.infrastructure.run_instances import TERMINATED_STATES
from aws_setup.infrastructure.vpc_contents import unowned_contents

LISTED_PARTS = frozenset({"network", "machines", "auto scaling", "others"})
"""Parts whose resources have their tag in a list call, or that only search."""

GONE_STATES = TERMINATED_STATES | {"deleted", "deleting", "failed"}


@dataclass(frozen=True)
class Leftover:
    """A resource that destroy could not delete, or that may be of a deployment elsewhere."""

    what: str
    id: str
    command: str
    hourly_usd: float = 0.0
    unknown_region: bool = False

    @property
    def price(self) -> str:
        """What it costs, as text."""
        return f"${self.hourly_usd:.3f}/h" if self.hourly_usd else "free of charge"


def leftovers(
    ctx: Context, table: Sequence[Step], *, owns_deployment: bool = True
) -> list[Leftover]:
    """Return every resource of the deployment that AWS still lists: by tag, by step, by cluster.

    Without `owns_deployment` only the steps are inspected: another script owns the rest.

    Raises:
        botocore.exceptions.ClientError: AWS refused a list call, so the answer is unknown.
    """
    inventory = Inventory(ctx.aws, ctx.config)
    try:
        fresh = replace(ctx, inventory=inventory, found={})
        tagged = _by_tag(fresh) if owns_deployment else []
        found = {left.id: left for left in (*tagged, *_by_step(fresh, table))}
        for left in _in_vpc(fresh) if owns_deployment else ():
            found.setdefault(left.id, left)
        for volume in volumes(fresh, UNATTACHED):
            volume_id = volume["VolumeId"]
            hourly = volume["Size"] * TABLE["gp3-gib"]
            found[volume_id] = Leftover("volume", volume_id, delete_command(volume_id), hourly)
        if owns_deployment:
            _warn_of_doubtful(fresh)
        return list(found.values())
    finally:
        inventory.close()


def _by_tag(ctx: Context) -> list[Leftover]:
    """Return the resources that still have the deployment's tag."""
    found = []
    for kind in KINDS:
        for item in ctx.inventory.all(kind.name) if kind.id_field else ():
            if _exists(item):
                resource_id = str(item[kind.id_field])
                command = delete_command(resource_id, kind=kind.name)
                found.append(Leftover(kind.title, resource_id, command, _hourly(kind, item)))
    return found


def _in_vpc(ctx: Context) -> list[Leftover]:
    """Return what others have in a VPC of the deployment that still exists."""
    return [
        Leftover(f"{item.what} ({item.owner})", item.id, item.command.strip("`"))
        for vpc in ctx.inventory.all("vpcs")
        for item in unowned_contents(ctx, vpc["VpcId"])
    ]


def _warn_of_doubtful(ctx: Context) -> None:
    """Warn of what a cluster of this name has left, this deployment's or one of others."""
    commands = {
        f"load balancer {name}": f"aws elb delete-load-balancer --load-balancer-name {name}"
        for name in advice(lambda: doubtful_load_balancers(ctx), lambda _: [])
    }
    for volume in advice(lambda: doubtful_volumes(ctx), lambda _: []):
        volume_id = str(volume["VolumeId"])
        commands[f"volume {volume_id}"] = delete_command(volume_id)
    if commands:
        name = ctx.config.eks_cluster_name
        why = f"the tag of each names EKS cluster {name}, of which there may have been another one"
        hint = "delete what was this deployment's: " + "; ".join(
            f"`{command}`" for command in commands.values()
        )
        ctx.warn(Problem(f"kept: {', '.join(commands)}", why, hint))


def _by_step(ctx: Context, table: Sequence[Step]) -> list[Leftover]:
    """Return what the steps find, for resources without a tag in a list call (IAM, EKS)."""
    prices = {kind.name: kind.price for kind in KINDS}
    found = []
    for row in inspect_all(table, ctx, stop=lambda: None):
        if row.step.adopted or row.step.part in LISTED_PARTS:
            continue
        if row.error:
            raise row.error
        name = row.step.name
        if row.found:
            # It may be of another region: destroy keeps it, and says how it is deleted.
            unknown = [drift for drift in row.conflicts if drift.key is DriftKey.REGION]
            found += [
                Leftover(name, row.found.id, drift.fix, unknown_region=True) for drift in unknown
            ]
        if row.found and not row.unowned:
            command = delete_command(row.found.facts.get("role_name", row.found.id), kind=name)
            hourly = TABLE.get(prices.get(name, ""), 0.0)
            found.append(Leftover(name, row.found.id, command, hourly))
    return found


def _hourly(kind: ResourceKind, item: Item) -> float:
    """Return US dollars an hour from the dated table; 0 for what is free or not in it."""
    key = f"ec2:{item['InstanceType']}" if "InstanceType" in item else kind.price
    return TABLE.get(key, 0.0)


def _exists(item: Item) -> bool:
    state = item.get("State", "")
    name = state.get("Name", "") if isinstance(state, Mapping) else state
    return name not in GONE_STATES
