"""The VPC: one for the deployment even when two runs start at the same moment.

CreateVpc takes no client token, CreateRouteTable does. So the private route table is the claim:
its token is the same for every run of the deployment, and the VPC in which AWS made it is *the*
VPC. A run that loses deletes the VPC that it had made and goes on with the winner's.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import (
    client_token,
    create_once,
    delete_with_retry,
    retry_not_found,
    wait_visible,
)
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import specification, tags
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError

MARKER_GROUP = "private route table"
"""Name of the step whose route table claims the VPC."""

MAX_TOKEN_GENERATIONS = 20
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
        claims = ctx.inventory.of_step("route tables", MARKER_GROUP)
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
            drift.append(Drift("claim", "none", f"a {MARKER_GROUP}"))
        if strays:
            ids = ", ".join(stray["VpcId"] for stray in strays)
            drift.append(Drift("VPCs of this deployment", f"also {ids}", "one"))
        if not _dns(ctx, vpc["VpcId"]):
            drift.append(Drift("DNS support and host names", "off", "on"))
        return Found(vpc["VpcId"], vpc["State"], {"cidr": vpc["CidrBlock"]}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the VPC, claim it, and switch DNS on."""
        vpc: Item = create_once(
            ctx, find=lambda: self._current(ctx), create=lambda: self._create(ctx)
        )
        # Not again from the start, as another step would: a second VPC would be made.
        return retry_not_found(
            lambda: self._settle(ctx, vpc["VpcId"]), clock=ctx.clock, note=ctx.note
        )

    def update(self, ctx: Context, found: Found) -> Found:
        """Finish a VPC that an earlier run left half-made."""
        return self._settle(ctx, found.id)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete every VPC of the deployment."""
        for vpc in ctx.inventory.of_step("vpcs", self.name, fresh=True):
            _delete(ctx, vpc["VpcId"])

    def _current(self, ctx: Context) -> Item | None:
        vpcs = ctx.inventory.of_step("vpcs", self.name, fresh=True)
        return min(vpcs, key=lambda vpc: str(vpc["VpcId"])) if vpcs else None

    def _create(self, ctx: Context) -> Any:
        mine = tags(ctx.config, self.name, name=ctx.config.vpc_name)
        return ctx.aws.ec2_once.create_vpc(
            CidrBlock=ctx.config.vpc_cidr, TagSpecifications=specification("vpc", mine)
        )["Vpc"]

    def _settle(self, ctx: Context, mine: str) -> Found:
        winner = create_marker(ctx, mine)
        for vpc in ctx.inventory.of_step("vpcs", self.name, fresh=True):
            if vpc["VpcId"] != winner:
                ctx.note(f"deleting {vpc['VpcId']}: {winner} was first")
                _delete(ctx, vpc["VpcId"])
        for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
            change: Any = {attribute: {"Value": True}}
            ctx.aws.ec2.modify_vpc_attribute(VpcId=winner, **change)
        return Found(winner, "available", {"cidr": ctx.config.vpc_cidr})


def create_marker(ctx: Context, mine: str) -> str:
    """Return the VPC in which the deployment's private route table is, making it if need be.

    A token may still be remembered from a VPC that is gone: then no table of ours can be seen
    after a while, and the next token of the series decides.
    """
    for life in range(MAX_TOKEN_GENERATIONS):
        for table in _markers(ctx):
            return str(table["VpcId"])
        _create_marker_with(ctx, mine, life=life)
        visible = _visible_marker(ctx)
        if visible:
            return visible
    raise RuntimeError("every client token of this deployment was used up today")


def _create_marker_with(ctx: Context, mine: str, *, life: int) -> None:
    """Ask for the claim; afterwards it is decided, one way or the other."""
    table_tags = tags(ctx.config, MARKER_GROUP, name="LambdaFS-PrivateRouteTable")
    try:
        ctx.aws.ec2.create_route_table(
            VpcId=mine,
            ClientToken=client_token(ctx.config.deployment_name, MARKER_GROUP, life),
            TagSpecifications=specification("route-table", table_tags),
        )
    except ClientError as error:
        if error_code(error) != "IdempotentParameterMismatch":
            raise


def _visible_marker(ctx: Context) -> str:
    """Return the VPC of the claim as soon as it can be seen; '' when it stays invisible."""
    tries = iter(range(6))

    def probe() -> str | Pending:
        for table in _markers(ctx):
            return str(table["VpcId"])
        return "" if next(tries, None) is None else Pending("not visible yet")

    return wait_until(f"the {MARKER_GROUP} shows", probe, clock=ctx.clock, deadline=60, pause=2.0)


def _markers(ctx: Context) -> list[Item]:
    return ctx.inventory.of_step("route tables", MARKER_GROUP, fresh=True)


def _dns(ctx: Context, vpc: str) -> bool:
    ec2 = ctx.aws.ec2
    support = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
    names = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    return bool(support["EnableDnsSupport"]["Value"] and names["EnableDnsHostnames"]["Value"])


def _delete(ctx: Context, vpc: str) -> None:
    delete_with_retry(
        ctx,
        f"VPC {vpc}",
        lambda: ctx.aws.ec2.delete_vpc(VpcId=vpc),
        gone={"InvalidVpcID.NotFound"},
    )


@dataclass(frozen=True)
class Subnet(Step):
    """One subnet; `index` 0 or 1 chooses the zone and the address range of the configuration.

    The role tags tell EKS where load balancers belong:
    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """

    name: str
    public: bool
    index: int
    needs: tuple[str, ...] = ("vpc",)
    part: str = field(default="network", kw_only=True)

    def find(self, ctx: Context) -> Found | None:
        """Return the subnet, with its address range, zone and public addresses compared."""
        items = ctx.inventory.of_step("subnets", self.name)
        return self._found(ctx, items[0]) if items else None

    def _found(self, ctx: Context, subnet: Item) -> Found:
        drift = []
        wanted = self._cidr(ctx)
        if subnet["CidrBlock"] != wanted:
            mend = f"put {subnet['CidrBlock']} back into the configuration, or destroy first"
            drift.append(Drift("address range", subnet["CidrBlock"], wanted, mend))
        zones = ctx.config.availability_zones
        if zones and subnet["AvailabilityZone"] != zones[self.index]:
            mend = "put the zone back into availability_zones, or destroy first"
            drift.append(Drift("zone", subnet["AvailabilityZone"], zones[self.index], mend))
        if self.public and not subnet["MapPublicIpOnLaunch"]:
            drift.append(Drift("public addresses at launch", "off", "on"))
        facts = {"zone": subnet["AvailabilityZone"], "cidr": subnet["CidrBlock"]}
        return Found(subnet["SubnetId"], subnet["State"], facts, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the subnet; an earlier create whose answer was lost shows as a conflict."""
        zone = (ctx.config.availability_zones or ctx.defaults.zones)[self.index]
        try:
            subnet: Item = ctx.aws.ec2.create_subnet(
                VpcId=ctx.of("vpc").id,
                CidrBlock=self._cidr(ctx),
                AvailabilityZone=zone,
                TagSpecifications=specification("subnet", self._tags(ctx)),
            )["Subnet"]
        except ClientError as error:
            if error_code(error) != "InvalidSubnet.Conflict":
                raise
            subnet = self._made_before(ctx, error)
        return self._settle(ctx, subnet)

    def update(self, ctx: Context, found: Found) -> Found:
        """Switch public addresses on where they are off."""
        return self._settle(ctx, ctx.inventory.of_step("subnets", self.name)[0])

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the subnet once nothing stands in it."""
        delete_with_retry(
            ctx,
            f"subnet {found.id}",
            lambda: ctx.aws.ec2.delete_subnet(SubnetId=found.id),
            gone={"InvalidSubnetID.NotFound"},
        )

    def _made_before(self, ctx: Context, error: ClientError) -> Item:
        made = wait_visible(lambda: self._again(ctx), clock=ctx.clock)
        if made is None:
            raise SetupError(
                f"the address range {self._cidr(ctx)} of {self.name} is taken",
                str(error.response["Error"].get("Message", "")),
                "choose other ranges in public_subnet_cidrs and private_subnet_cidrs",
            ) from error
        return made

    def _again(self, ctx: Context) -> Item | None:
        items = ctx.inventory.of_step("subnets", self.name, fresh=True)
        return items[0] if items else None

    def _settle(self, ctx: Context, subnet: Item) -> Found:
        if self.public and not subnet["MapPublicIpOnLaunch"]:
            ctx.aws.ec2.modify_subnet_attribute(
                SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": True}
            )
        facts = {"zone": subnet["AvailabilityZone"], "cidr": subnet["CidrBlock"]}
        return Found(subnet["SubnetId"], "available", facts)

    def _cidr(self, ctx: Context) -> str:
        config = ctx.config
        ranges = config.public_subnet_cidrs if self.public else config.private_subnet_cidrs
        return ranges[self.index]

    def _tags(self, ctx: Context) -> dict[str, str]:
        kind = "public" if self.public else "private"
        role = "elb" if self.public else "internal-elb"
        name = f"serverless-mds-subnet-{kind}{self.index + 1}"
        load_balancers = {f"kubernetes.io/role/{role}": "1"}
        return tags(ctx.config, self.name, name=name, PrivacyType=kind) | load_balancers
