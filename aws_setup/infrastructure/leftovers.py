"""The second look after destroy: what of the deployment is still there, and how to remove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import READERS, Inventory, Item
from aws_setup.aws.pricing import TABLE
from aws_setup.engine.plan import inspect_all
from aws_setup.infrastructure.cleanup import cluster_volumes
from aws_setup.infrastructure.run_instances import TERMINATED_STATES

COMMANDS: Mapping[str, str] = {
    "vpc": "aws ec2 delete-vpc --vpc-id",
    "subnet": "aws ec2 delete-subnet --subnet-id",
    "igw": "aws ec2 delete-internet-gateway --internet-gateway-id",
    "rtb": "aws ec2 delete-route-table --route-table-id",
    "rtbassoc": "aws ec2 disassociate-route-table --association-id",
    "eipalloc": "aws ec2 release-address --allocation-id",
    "nat": "aws ec2 delete-nat-gateway --nat-gateway-id",
    "sg": "aws ec2 delete-security-group --group-id",
    "i": "aws ec2 terminate-instances --instance-ids",
    "lt": "aws ec2 delete-launch-template --launch-template-id",
    "vol": "aws ec2 delete-volume --volume-id",
}
"""Prefix of an id -> the command that deletes such a thing; the id follows."""

BY_STEP: Mapping[str, str] = {
    "eks cluster": "aws eks delete-cluster --name",
    "eks cluster role": "aws iam delete-role --role-name",
}

IDS: Mapping[str, str] = {
    "vpcs": "VpcId",
    "subnets": "SubnetId",
    "internet gateways": "InternetGatewayId",
    "route tables": "RouteTableId",
    "addresses": "AllocationId",
    "nat gateways": "NatGatewayId",
    "security groups": "GroupId",
    "instances": "InstanceId",
    "launch templates": "LaunchTemplateId",
    "auto-scaling groups": "AutoScalingGroupName",
}
"""Kind of the inventory -> the field of its id."""

PRICES: Mapping[str, str] = {"nat gateways": "nat", "addresses": "ipv4", "eks cluster": "eks"}
"""Kind or step -> its key in the price table."""


LISTED = frozenset({"network", "machines", "auto scaling", "others"})
"""Parts whose things carry their tag in a list call, or that are only a look around."""


@dataclass(frozen=True)
class Leftover:
    """Something that destroy could not delete."""

    what: str
    id: str
    command: str
    hourly_usd: float = 0.0

    @property
    def price(self) -> str:
        """What it costs, in words."""
        return f"${self.hourly_usd:.3f}/h" if self.hourly_usd else "free of charge"


def leftovers(ctx: Context, table: Sequence[Step], *, whole: bool = True) -> list[Leftover]:
    """Return everything of the deployment that AWS still shows: by step, by tag, by cluster.

    Without `whole` only the steps are asked: the rest of the deployment is another script's.

    Raises:
        botocore.exceptions.ClientError: AWS refused a list call, so nobody can tell.
    """
    inventory = Inventory(ctx.aws, ctx.config, READERS)
    try:
        fresh = replace(ctx, inventory=inventory, found={})
        tagged = _by_tag(fresh) if whole else []
        found = {left.id: left for left in (*tagged, *_by_step(fresh, table))}
        for volume in cluster_volumes(fresh):
            own = volume["VolumeId"]
            hourly = volume["Size"] * TABLE["gp3-gib"]
            found[own] = Leftover("volume", own, command_for(own), hourly)
        return list(found.values())
    finally:
        inventory.close()


def _by_tag(ctx: Context) -> list[Leftover]:
    found = []
    for kind, field in IDS.items():
        for item in ctx.inventory.all(kind):
            if _lives(item):
                own = str(item[field])
                hourly = _hourly(kind, item)
                found.append(Leftover(kind.removesuffix("s"), own, command_for(own), hourly))
    return found


def _by_step(ctx: Context, table: Sequence[Step]) -> list[Leftover]:
    """Return what the steps find, for things that carry no tag in a list call (IAM, EKS)."""
    found = []
    for row in inspect_all(table, ctx, stop=lambda: None):
        if row.step.adopted or row.step.part in LISTED:
            continue
        if row.error:
            raise row.error
        if row.found and not row.unowned:
            command = BY_STEP.get(row.step.name, "")
            own = row.found.facts.get("role_name", row.found.id)
            text = f"{command} {own}" if command else command_for(row.found.id)
            hourly = TABLE.get(PRICES.get(row.step.name, ""), 0.0)
            found.append(Leftover(row.step.name, row.found.id, text, hourly))
    return found


def _hourly(kind: str, item: Item) -> float:
    """Return US dollars an hour from the dated table; 0 for what is free or not in it."""
    key = f"ec2:{item['InstanceType']}" if "InstanceType" in item else PRICES.get(kind, "")
    return TABLE.get(key, 0.0)


def command_for(own: str) -> str:
    """Return the aws command that deletes a thing, by the prefix of its id."""
    if own.endswith("_ags"):
        delete = "aws autoscaling delete-auto-scaling-group --force-delete"
        return f"{delete} --auto-scaling-group-name {own}"
    command = COMMANDS.get(own.split("-", maxsplit=1)[0], "")
    return f"{command} {own}" if command else "run destroy again"


def _lives(item: Item) -> bool:
    state = item.get("State", "")
    name = state.get("Name", "") if isinstance(state, Mapping) else state
    return name not in TERMINATED_STATES | {"deleted", "deleting", "failed"}
