"""The NAT gateway of the private subnets and its elastic IP."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import IN_USE_CODES, client_token, create_once, delete_with_retry
from aws_setup.aws.inventory import Item
from aws_setup.aws.reasons import fix_then
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import specification, tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.lost_tags import Ec2Tagged, lost, with_lost

LIVE_NAT = ("pending", "available")


MAX_POLLS = 10
"""Polls, 3 seconds apart, after which a NAT gateway that AWS does not list counts as deleted."""


@dataclass(frozen=True)
class ElasticIp(Ec2Tagged, Step):
    """The NAT gateway's public address; a second one, after a race or a crash, is released."""

    name: str = "elastic ip"
    needs: tuple[str, ...] = ("vpc",)
    part: str = "network"
    kind_of_resource = "addresses"

    def resources(self, ctx: Context) -> list[Item]:
        """Return the addresses; one without its tags is found by the gateway that uses it."""
        owned = ctx.inventory.of_step("addresses", self.name)
        if owned:
            return owned
        vpc = ctx.found.get("vpc")
        vpc_of_nat = {"vpc-id": vpc.id} if vpc else {}
        live = _live(with_lost(ctx, "nat gateways", NatGateway.name, vpc_of_nat))
        used = [address["AllocationId"] for it in live for address in it["NatGatewayAddresses"]]
        place = {"allocation-id": str(used[0])} if used else {}
        return lost(ctx, "addresses", self.name, place)

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the address."""
        return tags(ctx.config, self.name, name="lambda-fs-nat-gateway-ip")

    def find(self, ctx: Context) -> Found | None:
        """Return the address, the one in use first."""
        items = _used_first(self.resources(ctx))
        if not items:
            return None
        drift = [Drift("elastic IPs", str(len(items)), "1")] if len(items) > 1 else []
        return _address(items[0], tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Allocate the address."""
        return _address(
            create_once(ctx, find=lambda: self._current(ctx), create=lambda: self._create(ctx))
        )

    def update(self, ctx: Context, found: Found) -> Found:
        """Release every address but the one in use."""
        items = _used_first(ctx.inventory.of_step("addresses", self.name, fresh=True))
        for address in items[1:]:
            release(ctx, address["AllocationId"])
        return _address(items[0])

    def delete(self, ctx: Context, found: Found) -> None:
        """Release every address of the deployment."""
        for address in ctx.inventory.of_step("addresses", self.name, fresh=True):
            release(ctx, address["AllocationId"])

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """A public IPv4 address."""
        return (CostItem(self.part, "ipv4"),)

    def _current(self, ctx: Context) -> Item | None:
        items = ctx.inventory.of_step("addresses", self.name, fresh=True)
        return _used_first(items)[0] if items else None

    def _create(self, ctx: Context) -> Item:
        answer: Any = ctx.aws.ec2_once.allocate_address(
            Domain="vpc", TagSpecifications=specification("elastic-ip", self.wanted_tags(ctx))
        )
        address: Item = answer
        return address


def _used_first(addresses: list[Item]) -> list[Item]:
    return sorted(addresses, key=lambda item: ("AssociationId" not in item, item["AllocationId"]))


def _address(item: Item, drift: tuple[Drift, ...] = ()) -> Found:
    return Found(item["AllocationId"], "allocated", {"public_ip": item["PublicIp"]}, drift)


def release(ctx: Context, allocation: str) -> None:
    """Release an elastic IP; just after its NAT gateway's deletion AWS answers AuthFailure."""
    delete_with_retry(
        ctx,
        f"elastic IP {allocation}",
        lambda: ctx.aws.ec2.release_address(AllocationId=allocation),
        gone={"InvalidAllocationID.NotFound"},
        busy=IN_USE_CODES | {"AuthFailure"},
    )


@dataclass(frozen=True)
class NatGateway(Ec2Tagged, Step):
    """The NAT gateway in the first public subnet; it takes about two minutes."""

    name: str = "nat gateway"
    needs: tuple[str, ...] = ("elastic ip", "internet gateway", "public subnet 1")
    part: str = "network"
    follows: tuple[str, ...] = ()
    kind_of_resource = "nat gateways"

    def resources(self, ctx: Context) -> list[Item]:
        """Return the live gateways; one without its tags is found by its subnet."""
        live = _live(ctx.inventory.of_step("nat gateways", self.name))
        subnet = ctx.found.get("public subnet 1")
        place = {"subnet-id": subnet.id} if subnet else {}
        return live or _live(lost(ctx, "nat gateways", self.name, place))

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the gateway."""
        return tags(ctx.config, self.name, name="LambdaFS-NatGateway")

    def find(self, ctx: Context) -> Found | None:
        """Return the gateway that is available or pending."""
        live = self.resources(ctx)
        return _nat(live[0]) if live else None

    def create(self, ctx: Context) -> Found:
        """Create the gateway; two simultaneous runs use the gateway and elastic IP of the first."""
        polls = itertools.count()
        return ctx.wait_until(
            "NAT gateway is created",
            lambda: self._of_another_run(ctx) or self._request(ctx, next(polls)),
            deadline=180,
            pause=3,
            hint="run the same command again",
        )

    def _of_another_run(self, ctx: Context) -> Found | None:
        live = _live(ctx.inventory.of_step("nat gateways", self.name, fresh=True))
        if not live:
            return None
        used = {address["AllocationId"] for address in live[0]["NatGatewayAddresses"]}
        if ctx.of("elastic ip").id not in used:
            release(ctx, ctx.of("elastic ip").id)
        return _nat(live[0])

    def _request(self, ctx: Context, poll: int) -> Found | Pending:
        """Send the request, with a token that two runs share and no deleted gateway has.

        AWS lists deleted gateways for an hour and remembers tokens longer: a token that is in use
        while no gateway becomes visible for many polls belongs to a deleted gateway.
        """
        deleted = len(ctx.inventory.of_step("nat gateways", self.name))
        generation = deleted + max(0, poll - MAX_POLLS)
        subnet = ctx.of("public subnet 1").id
        try:
            answer: Any = ctx.aws.ec2.create_nat_gateway(
                SubnetId=subnet,
                AllocationId=ctx.of("elastic ip").id,
                ClientToken=client_token(ctx.config.deployment_name, self.name, subnet, generation),
                TagSpecifications=specification("natgateway", self.wanted_tags(ctx)),
            )
        except ClientError as error:
            if error_code(error) in ("IdempotentParameterMismatch", "Resource.AlreadyAssociated"):
                return Pending("another run creates it, and AWS does not list it yet")
            raise
        # AWS may repeat the answer for a gateway that has been deleted since.
        current = _described(ctx, answer["NatGateway"]["NatGatewayId"])
        if current and current["State"] == "failed":
            raise failure_of(current)
        if not current or current["State"] not in LIVE_NAT:
            return Pending("not visible yet")
        return _nat(current)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the gateway is available; raises SetupError with AWS's reason if it fails."""
        return ctx.wait_until(
            f"NAT gateway {found.id} becomes available",
            lambda: self._probe(ctx, found.id),
            deadline=900,
            pause=6,
            usual=MEDIANS["nat available"],
            since=found.since,
        )

    def _probe(self, ctx: Context, nat_id: str) -> Found | Pending:
        nat = _described(ctx, nat_id)
        if nat is None:
            return Pending("not visible yet")
        if nat["State"] == "available":
            return _nat(nat)
        if nat["State"] == "pending":
            return Pending("pending")
        raise failure_of(nat)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the gateway and return when its state is deleted, so that its address is free."""
        delete_with_retry(
            ctx,
            f"NAT gateway {found.id}",
            lambda: ctx.aws.ec2.delete_nat_gateway(NatGatewayId=found.id),
            gone={"NatGatewayNotFound"},
        )

        def gone() -> bool | Pending:
            nat = _described(ctx, found.id)
            return nat is None or nat["State"] == "deleted" or Pending(nat["State"])

        ctx.wait_until(
            f"NAT gateway {found.id} is deleted",
            gone,
            deadline=900,
            pause=8,
            usual=MEDIANS["nat deleted"],
        )

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The gateway's hours, without its traffic."""
        return (CostItem(self.part, "nat"),)


def failure_of(nat: Item) -> SetupError:
    """Return the error of a gateway that will not become available, with AWS's reason.

    https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
    """
    why = str(nat.get("FailureMessage") or nat.get("FailureCode") or "AWS gives no reason")
    return SetupError(
        f"NAT gateway {nat['NatGatewayId']} is {nat['State']}",
        why,
        fix_then(f"{nat.get('FailureCode')}: {why}", "run again: it creates a new one"),
    )


def _described(ctx: Context, nat_id: str) -> Item | None:
    try:
        answer: Any = ctx.aws.ec2.describe_nat_gateways(NatGatewayIds=[nat_id])
    except ClientError as error:
        if error_code(error) != "NatGatewayNotFound":
            raise
        return None
    nat: Item = answer["NatGateways"][0]
    return nat


def _live(gateways: list[Item]) -> list[Item]:
    return [item for item in gateways if item["State"] in LIVE_NAT]


def _nat(item: Item) -> Found:
    public = [address.get("PublicIp") for address in item["NatGatewayAddresses"]]
    facts = {"public_ip": public[0] if public else None}
    ready = item["State"] == "available"
    since = item.get("CreateTime")
    return Found(item["NatGatewayId"], item["State"], facts, ready=ready, since=since)
