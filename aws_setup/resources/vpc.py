"""The VPC: one for the deployment even when two runs start at the same moment.

CreateVpc takes no client token, CreateRouteTable does. So the private route table is the claim:
its token is the same for every run of the deployment, and the VPC in which AWS made it is *the*
VPC. A run that loses deletes the VPC that it had made and goes on with the winner's.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.consistency import until_seen
from aws_setup.inventory import Item
from aws_setup.resources.once import create_once, delete_patiently
from aws_setup.resources.tags import specification, tags
from aws_setup.resources.tokens import token
from aws_setup.session import error_code
from aws_setup.steps import Context, Drift, Found, Step
from aws_setup.waiting import Pending, wait_until

CLAIM = "private route table"
"""Name of the step whose route table claims the VPC."""

LIVES = 20
"""Most creations and destructions of one deployment within the life of a client token."""


@dataclass(frozen=True)
class Vpc(Step):
    """The VPC, with DNS support and DNS host names on, as EKS's private endpoint needs them."""

    name: str = "vpc"
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the VPC that the claim says, else the only one of this deployment."""
        vpcs = ctx.inventory.of_step("vpcs", self.name)
        if not vpcs:
            return None
        claims = ctx.inventory.of_step("route tables", CLAIM)
        claimed = {table["VpcId"] for table in claims}
        ordered = sorted(vpcs, key=lambda vpc: (vpc["VpcId"] not in claimed, vpc["VpcId"]))
        return self._found(ctx, ordered[0], strays=ordered[1:], claimed=bool(claimed))

    def _found(self, ctx: Context, vpc: Item, *, strays: list[Item], claimed: bool) -> Found:
        config = ctx.config
        drift: list[Drift] = []
        if vpc["CidrBlock"] != config.vpc_cidr:
            mend = f"set vpc_cidr: {vpc['CidrBlock']}, or destroy and create again"
            drift.append(Drift("address range", vpc["CidrBlock"], config.vpc_cidr, mend))
        if not claimed:
            drift.append(Drift("claim", "none", f"a {CLAIM}"))
        if strays:
            ids = ", ".join(stray["VpcId"] for stray in strays)
            drift.append(Drift("VPCs of this deployment", f"also {ids}", "one"))
        if not _dns(ctx, vpc["VpcId"]):
            drift.append(Drift("DNS support and host names", "off", "on"))
        return Found(vpc["VpcId"], vpc["State"], {"cidr": vpc["CidrBlock"]}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the VPC, claim it, and switch DNS on."""
        vpc: Item = create_once(
            ctx, there=lambda: self._there(ctx), create=lambda: self._create(ctx)
        )
        # Not again from the start, as another step would: a second VPC would be made.
        return until_seen(lambda: self._settle(ctx, vpc["VpcId"]), clock=ctx.clock, note=ctx.note)

    def update(self, ctx: Context, found: Found) -> Found:
        """Finish a VPC that an earlier run left half-made."""
        return self._settle(ctx, found.id)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete every VPC of the deployment."""
        for vpc in ctx.inventory.of_step("vpcs", self.name, fresh=True):
            _delete(ctx, vpc["VpcId"])

    def _there(self, ctx: Context) -> Item | None:
        vpcs = ctx.inventory.of_step("vpcs", self.name, fresh=True)
        return min(vpcs, key=lambda vpc: str(vpc["VpcId"])) if vpcs else None

    def _create(self, ctx: Context) -> Any:
        mine = tags(ctx.config, self.name, name=ctx.config.vpc_name)
        return ctx.aws.ec2_once.create_vpc(
            CidrBlock=ctx.config.vpc_cidr, TagSpecifications=specification("vpc", mine)
        )["Vpc"]

    def _settle(self, ctx: Context, mine: str) -> Found:
        winner = claim(ctx, mine)
        for vpc in ctx.inventory.of_step("vpcs", self.name, fresh=True):
            if vpc["VpcId"] != winner:
                ctx.note(f"deleting {vpc['VpcId']}: {winner} was first")
                _delete(ctx, vpc["VpcId"])
        for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
            change: Any = {attribute: {"Value": True}}
            ctx.aws.ec2.modify_vpc_attribute(VpcId=winner, **change)
        return Found(winner, "available", {"cidr": ctx.config.vpc_cidr})


def claim(ctx: Context, mine: str) -> str:
    """Return the VPC in which the deployment's private route table is, making it if need be.

    A token may still be remembered from a VPC that is gone: then no table of ours can be seen
    after a while, and the next token of the series decides.
    """
    for life in range(LIVES):
        for table in _claims(ctx):
            return str(table["VpcId"])
        _claim_with(ctx, mine, life=life)
        visible = _visible_claim(ctx)
        if visible:
            return visible
    raise RuntimeError("every client token of this deployment was used up today")


def _claim_with(ctx: Context, mine: str, *, life: int) -> None:
    """Ask for the claim; afterwards it is decided, one way or the other."""
    table_tags = tags(ctx.config, CLAIM, name="LambdaFS-PrivateRouteTable")
    try:
        ctx.aws.ec2.create_route_table(
            VpcId=mine,
            ClientToken=token(ctx.config.deployment_name, CLAIM, life),
            TagSpecifications=specification("route-table", table_tags),
        )
    except ClientError as error:
        if error_code(error) != "IdempotentParameterMismatch":
            raise


def _visible_claim(ctx: Context) -> str:
    """Return the VPC of the claim as soon as it can be seen; '' when it stays invisible."""
    tries = iter(range(6))

    def probe() -> str | Pending:
        for table in _claims(ctx):
            return str(table["VpcId"])
        return "" if next(tries, None) is None else Pending("not visible yet")

    return wait_until(f"the {CLAIM} shows", probe, clock=ctx.clock, deadline=60, pause=2.0)


def _claims(ctx: Context) -> list[Item]:
    return ctx.inventory.of_step("route tables", CLAIM, fresh=True)


def _dns(ctx: Context, vpc: str) -> bool:
    ec2 = ctx.aws.ec2
    support = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
    names = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    return bool(support["EnableDnsSupport"]["Value"] and names["EnableDnsHostnames"]["Value"])


def _delete(ctx: Context, vpc: str) -> None:
    delete_patiently(
        ctx,
        f"VPC {vpc}",
        lambda: ctx.aws.ec2.delete_vpc(VpcId=vpc),
        gone={"InvalidVpcID.NotFound"},
    )
