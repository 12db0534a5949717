"""The audit after destroy: which resources of the deployment remain, and how to delete them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import KINDS, Inventory, Item, ResourceKind, delete_command, tag_of
from aws_setup.aws.pricing import TABLE
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, GROUP_TAG, cluster_tag
from aws_setup.engine.plan import inspect_all
from aws_setup.engine.step import DriftKey
from aws_setup.errors import Problem
from aws_setup.infrastructure.claimed_volumes import unclaimed_volumes
from aws_setup.infrastructure.cleanup import (
    EKS_CLUSTER,
    UNATTACHED,
    OrphanCleanup,
    VpcCleanup,
    left_by_cluster,
)
from aws_setup.infrastructure.cluster_parts import (
    find_volumes,
    made_by_own_cluster,
    owns_cluster,
    volumes,
)
from aws_setup.infrastructure.disk_prices import table_price
from aws_setup.infrastructure.kept_data import warn_of_kept_data
from aws_setup.infrastructure.load_balancers import LoadBalancer, find_load_balancers
from aws_setup.infrastructure.run_instances import TERMINATED_STATES
from aws_setup.infrastructure.vpc_contents import unowned_contents
from aws_setup.infrastructure.vpc_interfaces import find_cni_interfaces

LISTED_PARTS = frozenset({"network", "machines", "auto scaling", "others"})
"""Parts whose resources have their tag in a list call, or that only search."""

RUNNING = ["pending", "running", "stopping", "stopped"]
"""States of a machine that nobody has ended yet."""

GONE_STATES = TERMINATED_STATES | {"deleted", "deleting", "failed"}


@dataclass(frozen=True)
class Leftover:
    """A resource that destroy could not delete, or that may be of a deployment elsewhere."""

    what: str
    id: str
    command: str
    hourly_usd: float | None = 0.0
    """None for what is billed at a price that the dated table does not have."""
    unknown_region: bool = False

    @property
    def price(self) -> str:
        """What it costs, as text."""
        if self.hourly_usd is None:
            return "at a price that is not known"
        return f"${self.hourly_usd:.3f}/h" if self.hourly_usd else "free of charge"


def leftovers(
    ctx: Context,
    table: Sequence[Step],
    *,
    owns_deployment: bool = True,
    only: Collection[str] = (),
) -> list[Leftover]:
    """Return every resource of the deployment that AWS still lists: by tag, by step, by cluster.

    Args:
        ctx: the run's context, whose inventory has the cluster as it was before.
        table: the steps.
        owns_deployment: False inspects only the steps: another script owns the rest.
        only: the steps that were to be deleted, and nothing else; none for all.

    Raises:
        botocore.exceptions.ClientError: AWS refused a list call, so the answer is unknown.
    """
    inventory = Inventory(ctx.aws, ctx.config)
    try:
        fresh = replace(ctx, inventory=inventory, found={})
        whole = owns_deployment and not only
        tagged = _by_tag(fresh) if whole else []
        # What the steps of the cluster find is asked for below, each resource with its price.
        # A file on this computer is warned of where it could not be deleted.
        steps = [it for it in table if it.name != OrphanCleanup.name and not it.local]
        listed = [it for it in _by_step(fresh, steps) if it.what != VpcCleanup.name]
        of_steps = [it for it in listed if not only or it.what in only]
        in_vpc = _in_vpc(fresh) if whole else []
        # Whose the rest is, the cluster says that the run found first.
        rest = _of_cluster(ctx) if whole else _of_part(ctx, fresh, only)
        found: dict[str, Leftover] = {}
        for left in (*tagged, *of_steps, *in_vpc, *rest):
            found.setdefault(left.id, left)
        return list(found.values())
    finally:
        inventory.close()


def _of_part(ctx: Context, fresh: Context, only: Collection[str]) -> list[Leftover]:
    """Return what the cluster has left, after the destroy of configure and of some steps.

    `fresh` says whether the cluster exists now: it deletes what it has made itself.
    """
    asked = {EKS_CLUSTER, OrphanCleanup.name, VpcCleanup.name}
    if only and not asked & set(only):
        return []
    if cluster_of(fresh) is not None:
        return [] if only else [*map(_volume, unclaimed_volumes(ctx))]
    balancers, disks, groups = left_by_cluster(ctx)
    return [
        *map(_balancer, balancers),
        *map(_volume, disks if only else volumes(ctx, UNATTACHED)),
        *(Leftover("security group", it, delete_command(it)) for it in groups),
    ]


def _of_cluster(ctx: Context) -> list[Leftover]:
    """Return what the cluster has left, and warn of what may be another one's or is data.

    Of volumes only those without a machine: a machine that remains is named itself.
    """
    nothing: tuple[list[Any], list[Any]] = ([], [])
    disks, doubtful_disks = find_volumes(ctx)
    disks = [it for it in disks if it["State"] == UNATTACHED or not tag_of(it, DEPLOYMENT_TAG)]

    def unknown(what: str, why: str) -> tuple[list[Any], list[Any]]:
        hint = "run the same command again, or look for them in the EC2 console"
        ctx.warn(Problem(f"{what} of the cluster could not be looked for", why, hint))
        return nothing

    balancers = advice(lambda: find_load_balancers(ctx), partial(unknown, "load balancers"))
    machines = interfaces = nothing
    if not ctx.config.create_vpc:
        machines = advice(lambda: nodes_of_others(ctx), partial(unknown, "instances"))
        interfaces = advice(
            lambda: find_cni_interfaces(ctx), partial(unknown, "network interfaces")
        )
    certain, doubtful = (
        [
            *map(_balancer, balancers[side]),
            *map(_node, machines[side]),
            *map(_interface, interfaces[side]),
        ]
        for side in (0, 1)
    )
    _warn_of_doubtful(ctx, [*doubtful, *map(_volume, doubtful_disks)])
    if cluster_of(ctx) is None and owns_cluster(ctx):
        warn_of_kept_data(ctx)  # Else the deletion of the cluster has.
    return [*map(_volume, filter(_exists, disks)), *certain]


def _volume(item: Item) -> Leftover:
    volume_id = str(item["VolumeId"])
    return Leftover("volume", volume_id, delete_command(volume_id), table_price(item))


def nodes_of_others(ctx: Context) -> tuple[list[Item], list[Item]]:
    """Return machines that others added to the cluster, certainly and in doubt.

    EKS does not know them, and no step of destroy ends them; in its own VPC they keep that.
    """
    filters: Any = [
        {"Name": f"tag:{cluster_tag(ctx.config)}", "Values": ["owned"]},
        {"Name": "instance-state-name", "Values": RUNNING},
    ]
    listed = pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=filters)
    found = [item for reservation in listed for item in reservation["Instances"]]
    foreign = [item for item in found if not tag_of(item, DEPLOYMENT_TAG)]
    certain = [it for it in foreign if made_by_own_cluster(ctx, it, since=it["LaunchTime"])]
    doubtful = [item for item in foreign if item not in certain] if owns_cluster(ctx) else []
    return certain, doubtful


def _node(item: Item) -> Leftover:
    """Return a machine with the command that ends it; its scaling group would replace it."""
    command, group = delete_command(item["InstanceId"]), tag_of(item, GROUP_TAG)
    if group:
        command = delete_command(group, kind="auto-scaling groups")
    return Leftover(
        "instance that others added to the cluster",
        str(item["InstanceId"]),
        command,
        TABLE.get(f"ec2:{item['InstanceType']}"),
    )


def _interface(item: Item) -> Leftover:
    interface_id = str(item["NetworkInterfaceId"])
    command = f"aws ec2 delete-network-interface --network-interface-id {interface_id}"
    return Leftover("network interface", interface_id, command)


def _balancer(balancer: LoadBalancer) -> Leftover:
    price = TABLE.get(balancer.price_key)
    hourly = None if price is None else price + balancer.addresses * TABLE["ipv4"]
    return Leftover("load balancer", balancer.name, balancer.command, hourly)


def _by_tag(ctx: Context) -> list[Leftover]:
    """Return the resources that still have the deployment's tag."""
    found = []
    for kind in KINDS:
        for item in ctx.inventory.all(kind.name) if kind.id_field else ():
            if _exists(item):
                resource_id = str(item[kind.id_field])
                command = delete_command(resource_id, kind=kind.name)
                found.append(Leftover(kind.title, resource_id, command, _hourly(ctx, kind, item)))
    return found


def _in_vpc(ctx: Context) -> list[Leftover]:
    """Return what others have in a VPC of the deployment that still exists."""
    return [
        Leftover(f"{item.what} ({item.owner})", item.id, item.command.strip("`"))
        for vpc in ctx.inventory.all("vpcs")
        for item in unowned_contents(ctx, vpc["VpcId"])
    ]


def _warn_of_doubtful(ctx: Context, found: Sequence[Leftover]) -> None:
    """Warn of what a cluster of this name has left, this deployment's or one of others."""
    commands = {f"{each.what} {each.id}": each.command for each in found}
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


def _hourly(ctx: Context, kind: ResourceKind, item: Item) -> float | None:
    """Return US dollars an hour from the dated table; 0 for what is free, None if it has none.

    A machine that is stopped costs what its disks cost.
    """
    if "InstanceType" in item and item["State"]["Name"] in ("stopping", "stopped"):
        filters: Any = [{"Name": "attachment.instance-id", "Values": [item["InstanceId"]]}]
        disks = pages(ctx.aws.ec2, "describe_volumes", "Volumes", Filters=filters)
        prices = [table_price(disk) for disk in disks]
        return None if None in prices else sum(price or 0.0 for price in prices)
    key = f"ec2:{item['InstanceType']}" if "InstanceType" in item else kind.price
    return TABLE.get(key) if key else 0.0


def _exists(item: Item) -> bool:
    state = item.get("State", "")
    name = state.get("Name", "") if isinstance(state, Mapping) else state
    return name not in GONE_STATES
