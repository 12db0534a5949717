"""What `pause --deep` deletes beside stopping: the NAT gateway and its address.

`resume` re-creates both with the steps of create; the new address is another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.step import Drift, Found
from aws_setup.infrastructure.nat_gateway import ElasticIp, NatGateway
from aws_setup.pause.vms import create_is_running

DEEP = (Drift("with --deep", "exists", "deleted"),)


NAT_TAG = "lambda-fs:ended-nat"
"""Tag key of the VPC: seconds of all deleted NAT gateways, and the last one's id: SECONDS/ID."""


@dataclass(frozen=True)
class EndedNat:
    """How long the NAT gateways of earlier times existed, and the id of the last one."""

    seconds: float = 0.0
    last: str = ""


def ended_nat(vpc: Item) -> EndedNat:
    """Return what a VPC's tag tells of the NAT gateways that `pause --deep` deleted."""
    seconds, _, last = tag_of(vpc, NAT_TAG).partition("/")
    number = whole_number(seconds)
    return EndedNat() if number is None else EndedNat(float(number), last)


def _remember(ctx: Context, found: Found, now: datetime) -> None:
    """Add a gateway's time to the VPC's tag; once, however often it is tried to delete it."""
    for vpc in ctx.inventory.of_step("vpcs", "vpc"):
        before = ended_nat(vpc)
        if found.since is None or before.last == found.id:
            continue
        seconds = round(before.seconds + (now - found.since).total_seconds())
        tag: Any = {"Key": NAT_TAG, "Value": f"{seconds}/{found.id}"}
        ctx.aws.ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[tag])


@dataclass(frozen=True)
class DeletedNat(NatGateway):
    """No NAT gateway: nothing in the private subnets runs while the deployment is paused."""

    needs: tuple[str, ...] = ()
    deep: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the gateway, which is drift; skipped when there is none.

        Raises:
            Refused: it is being created.
        """
        found = super().find(ctx)
        if found is None:
            return Found("", skipped="it does not exist")
        if not found.ready:
            raise create_is_running(f"{self.name} is {found.state}")
        if not self.deep:
            return found
        return Found(found.id, found.state, found.facts, DEEP, since=found.since)

    def update(self, ctx: Context, found: Found) -> Found:
        """Delete the gateway and return when its address is free; its hours are remembered.

        AWS lists a deleted gateway for about an hour only (EC2 user guide, NAT gateways).
        """
        _remember(ctx, found, ctx.clock.today())
        super().delete(ctx, found)
        return Found("", "deleted")


@dataclass(frozen=True)
class ReleasedAddress(ElasticIp):
    """No elastic IP for a NAT gateway."""

    needs: tuple[str, ...] = ("nat gateway",)
    deep: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the address, which is drift; skipped when there is none."""
        found = super().find(ctx)
        if found is None:
            return Found("", skipped="it does not exist")
        return Found(found.id, found.state, found.facts, DEEP) if self.deep else found

    def update(self, ctx: Context, found: Found) -> Found:
        """Release the address."""
        super().delete(ctx, found)
        return Found("", "released")
