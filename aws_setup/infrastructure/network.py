"""The VPC and its subnets: one VPC for the deployment even when two runs start simultaneously.

CreateVpc takes no client token, CreateRouteTable does. So the private route table is the marker:
its token is the same for every run of the deployment, and the VPC in which AWS creates it is *the*
VPC. A run that loses deletes the VPC that it created and continues with the winner's.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import (
    client_token,
    create_once,
    delete_with_retry,
    remembered_tokens,
    use_created,
    wait_visible,
)
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import specification, tags
from aws_setup.engine.retry import DECIDED
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.blockers import blocked, users_of_subnet
from aws_setup.infrastructure.default_group import close_default_group, open_group_drift
from aws_setup.infrastructure.lost_tags import Ec2Tagged, lost, with_lost
from aws_setup.infrastructure.moved_network import refuse_moved
from aws_setup.infrastructure.vpc_contents import refuse_deletion

MARKER_GROUP = "private route table"
"""Name of the step whose route table marks the deployment's VPC."""

MAX_TOKEN_GENERATIONS = 20
"""Most creations and deletions of one deployment within the lifetime of a client token."""


@dataclass(frozen=True)
class Vpc(Ec2Tagged, Step):
    """The VPC, its default security group closed, DNS support and host names on.

    EKS's private endpoint needs DNS:
    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """

    name: str = "vpc"
    part: str = "network"
    kind_of_resource = "vpcs"

    def find(self, ctx: Context) -> Found | None:
        """Return the VPC with the marker, else the first of this deployment.

        Raises:
            Refused: the deployment is in an existing VPC, and would be in a new one, too.
        """
        vpcs = self.resources(ctx)
        if not vpcs:
            refuse_moved(ctx, "", instead="create_vpc is True, so a new VPC would be created")
            return None
        markers = ctx.inventory.of_step("route tables", MARKER_GROUP)
        if not markers:
            markers = lost(ctx, "route tables", MARKER_GROUP, {"vpc-id": vpcs[0]["VpcId"]})
        marked = {table["VpcId"] for table in markers}
        ordered = sorted(vpcs, key=lambda vpc: (vpc["VpcId"] not in marked, vpc["VpcId"]))
        return self._found(ctx, ordered[0], surplus=ordered[1:], marked=bool(marked))

    def resources(self, ctx: Context) -> list[Item]:
        """Return the VPCs; one without its tags is found by the marker in it."""
        markers = ctx.inventory.of_step("route tables", MARKER_GROUP)
        place = {"vpc-id": str(markers[0]["VpcId"])} if markers else {}
        return with_lost(ctx, "vpcs", self.name, place)

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the VPC."""
        return tags(ctx.config, self.name, name=ctx.config.vpc_name)

    def _found(self, ctx: Context, vpc: Item, *, surplus: list[Item], marked: bool) -> Found:
        config = ctx.config
        drift: list[Drift] = []
        if vpc["CidrBlock"] != config.vpc_cidr:
            fix = f"set vpc_cidr: {vpc['CidrBlock']}, or run destroy and then create again"
            drift.append(Drift("address range", vpc["CidrBlock"], config.vpc_cidr, fix))
        if not marked:
            drift.append(Drift("marker", "none", f"a {MARKER_GROUP}"))
        if surplus:
            ids = ", ".join(other["VpcId"] for other in surplus)
            drift.append(Drift("VPCs of this deployment", f"also {ids}", "one (it is deleted)"))
        if not _dns(ctx, vpc["VpcId"]):
            drift.append(Drift("DNS support and host names", "off", "on"))
        drift += open_group_drift(ctx, vpc["VpcId"])
        return Found(vpc["VpcId"], vpc["State"], {"cidr": vpc["CidrBlock"]}, tuple(drift))

    def details(self, ctx: Context) -> str:
        """Return the address range."""
        return ctx.config.vpc_cidr

    def create(self, ctx: Context) -> Found:
        """Create the VPC and its marker, and enable DNS."""
        vpc: Item = create_once(
            ctx, find=lambda: self._current(ctx), create=lambda: self._create(ctx)
        )
        return use_created(ctx, self.name, lambda: self._ensure_single(ctx, vpc["VpcId"]))

    def update(self, ctx: Context, found: Found) -> Found:
        """Complete a VPC that an earlier run did not complete."""
        return self._ensure_single(ctx, found.id)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete every VPC of the deployment."""
        for vpc in ctx.inventory.of_step("vpcs", self.name, fresh=True):
            _delete(ctx, vpc["VpcId"], refused=partial(refuse_deletion, ctx, vpc["VpcId"]))

    def _current(self, ctx: Context) -> Item | None:
        vpcs = ctx.inventory.of_step("vpcs", self.name, fresh=True)
        return min(vpcs, key=lambda vpc: str(vpc["VpcId"])) if vpcs else None

    def _create(self, ctx: Context) -> Any:
        vpc_tags = specification("vpc", self.wanted_tags(ctx))
        return ctx.aws.ec2_once.create_vpc(
            CidrBlock=ctx.config.vpc_cidr, TagSpecifications=vpc_tags
        )["Vpc"]

    def _ensure_single(self, ctx: Context, vpc_id: str) -> Found:
        winner = ensure_marker(ctx, vpc_id)
        for vpc in ctx.inventory.of_step("vpcs", self.name, fresh=True):
            if vpc["VpcId"] != winner:
                ctx.note(f"deleting {vpc['VpcId']}: another run created {winner} first")
                _delete(ctx, vpc["VpcId"], refused=partial(refuse_deletion, ctx, vpc["VpcId"]))
        for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
            change: Any = {attribute: {"Value": True}}
            ctx.aws.ec2.modify_vpc_attribute(VpcId=winner, **change)
        close_default_group(ctx, winner)
        return Found(winner, "available", {"cidr": ctx.config.vpc_cidr})


def ensure_marker(ctx: Context, vpc_id: str) -> str:
    """Return the VPC that has the deployment's private route table; create it if necessary.

    All runs send the same first token, also one that has no run lock. AWS may still remember it
    from a VPC that has been deleted: then no owned table becomes visible, and the next token
    decides, which runs after a destroy have not sent yet.
    """
    for generation in range(MAX_TOKEN_GENERATIONS):
        for table in _markers(ctx):
            return str(table["VpcId"])
        _create_marker(ctx, vpc_id, generation=generation)
        visible = _visible_marker(ctx)
        if visible:
            return visible
    raise remembered_tokens(f"the {MARKER_GROUP}", tokens=MAX_TOKEN_GENERATIONS)


def _create_marker(ctx: Context, vpc_id: str, *, generation: int) -> None:
    """Request the marker; afterwards it is decided which VPC has it."""
    series = (generation, ctx.first_run) if generation and ctx.first_run else (generation,)
    table_tags = tags(ctx.config, MARKER_GROUP, name="LambdaFS-PrivateRouteTable")
    try:
        ctx.aws.ec2.create_route_table(
            VpcId=vpc_id,
            ClientToken=client_token(ctx.config.deployment_name, MARKER_GROUP, *series),
            TagSpecifications=specification("route-table", table_tags),
        )
    except ClientError as error:
        if error_code(error) != "IdempotentParameterMismatch":
            raise


def _visible_marker(ctx: Context) -> str:
    """Return the VPC of the marker as soon as it is visible; '' when it stays invisible."""
    markers = wait_visible(lambda: _markers(ctx) or None, clock=ctx.clock, policy=DECIDED)
    return str(markers[0]["VpcId"]) if markers else ""


def _markers(ctx: Context) -> list[Item]:
    return ctx.inventory.of_step("route tables", MARKER_GROUP, fresh=True)


def _dns(ctx: Context, vpc: str) -> bool:
    ec2 = ctx.aws.ec2
    support = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
    names = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    return bool(support["EnableDnsSupport"]["Value"] and names["EnableDnsHostnames"]["Value"])


def _delete(ctx: Context, vpc: str, *, refused: Callable[[], None] = lambda: None) -> None:
    delete_with_retry(
        ctx,
        f"VPC {vpc}",
        lambda: ctx.aws.ec2.delete_vpc(VpcId=vpc),
        gone={"InvalidVpcID.NotFound"},
        refused=refused,
    )


@dataclass(frozen=True)
class Subnet(Ec2Tagged, Step):
    """One subnet; `index` 0 or 1 chooses the zone and the address range of the configuration.

    By the role tags EKS chooses the subnets of load balancers:
    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """

    name: str
    public: bool
    index: int
    needs: tuple[str, ...] = ("vpc",)
    part: str = field(default="network", kw_only=True)
    kind_of_resource = "subnets"

    def resources(self, ctx: Context) -> list[Item]:
        """Return the subnet; one without its tags is found by its address range."""
        vpc = ctx.found.get("vpc")
        place = {"vpc-id": vpc.id, "cidr-block": self._cidr(ctx)} if vpc else {}
        return with_lost(ctx, "subnets", self.name, place)

    def find(self, ctx: Context) -> Found | None:
        """Return the subnet, with its address range, zone and public addresses compared."""
        items = self.resources(ctx)
        return self._found(ctx, items[0]) if items else None

    def _found(self, ctx: Context, subnet: Item) -> Found:
        drift = []
        cidr = self._cidr(ctx)
        if subnet["CidrBlock"] != cidr:
            fix = f"restore {subnet['CidrBlock']} in the configuration, or run destroy first"
            drift.append(Drift("address range", subnet["CidrBlock"], cidr, fix))
        zones = ctx.config.availability_zones
        if zones and subnet["AvailabilityZone"] != zones[self.index]:
            fix = "restore the zone in availability_zones, or run destroy first"
            drift.append(Drift("zone", subnet["AvailabilityZone"], zones[self.index], fix))
        if self.public and not subnet["MapPublicIpOnLaunch"]:
            drift.append(Drift("public addresses at launch", "off", "on"))
        facts = {"zone": subnet["AvailabilityZone"], "cidr": subnet["CidrBlock"]}
        return Found(subnet["SubnetId"], subnet["State"], facts, tuple(drift))

    def details(self, ctx: Context) -> str:
        """Return the address range and the zone."""
        zones = ctx.config.availability_zones or ctx.defaults.zones
        zone = zones[self.index] if len(zones) > self.index else ""
        return ", ".join(filter(None, (self._cidr(ctx), zone)))

    def create(self, ctx: Context) -> Found:
        """Create the subnet; after a create whose answer was lost AWS reports a conflict."""
        zone = (ctx.config.availability_zones or ctx.defaults.zones)[self.index]
        try:
            subnet: Item = ctx.aws.ec2.create_subnet(
                VpcId=ctx.of("vpc").id,
                CidrBlock=self._cidr(ctx),
                AvailabilityZone=zone,
                TagSpecifications=specification("subnet", self.wanted_tags(ctx)),
            )["Subnet"]
        except ClientError as error:
            if error_code(error) != "InvalidSubnet.Conflict":
                raise
            subnet = self._created_before(ctx, error)
        return self._ensure_public(ctx, subnet)

    def update(self, ctx: Context, found: Found) -> Found:
        """Enable public addresses at launch where they are off."""
        return self._ensure_public(ctx, ctx.inventory.of_step("subnets", self.name)[0])

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the subnet once nothing uses it."""
        delete_with_retry(
            ctx,
            f"subnet {found.id}",
            lambda: ctx.aws.ec2.delete_subnet(SubnetId=found.id),
            gone={"InvalidSubnetID.NotFound"},
            refused=blocked(ctx, users_of_subnet, found.id, what=f"subnet {found.id}"),
        )

    def _created_before(self, ctx: Context, error: ClientError) -> Item:
        subnet = wait_visible(lambda: self._owned_subnet(ctx), clock=ctx.clock)
        if subnet is None:
            raise SetupError(
                f"the address range {self._cidr(ctx)} of {self.name} is in use",
                str(error.response["Error"].get("Message", "")),
                "choose other ranges in public_subnet_cidrs and private_subnet_cidrs",
            ) from error
        return subnet

    def _owned_subnet(self, ctx: Context) -> Item | None:
        items = ctx.inventory.of_step("subnets", self.name, fresh=True)
        return items[0] if items else None

    def _ensure_public(self, ctx: Context, subnet: Item) -> Found:
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

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the subnet, with the one by which EKS chooses it."""
        kind = "public" if self.public else "private"
        role = "elb" if self.public else "internal-elb"
        name = f"serverless-mds-subnet-{kind}{self.index + 1}"
        load_balancers = {f"kubernetes.io/role/{role}": "1"}
        return tags(ctx.config, self.name, name=name, PrivacyType=kind) | load_balancers
