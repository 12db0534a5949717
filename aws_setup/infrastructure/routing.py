"""Route tables with their default routes and the subnets that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import (
    client_token,
    delete_with_retry,
    remembered_tokens,
    wait_visible,
)
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import DEPLOYMENT_TAG, specification, tags
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.lost_tags import Ec2Tagged, with_lost
from aws_setup.infrastructure.network import MARKER_GROUP, MAX_TOKEN_GENERATIONS
from aws_setup.infrastructure.subnet_routes import EVERYWHERE, route_tables

PUBLIC = "public route table"


def _tables(ctx: Context, step: str) -> list[Item]:
    """Return the tables of a step; one without its tags is found in the VPC."""
    vpc = ctx.found.get("vpc")
    return with_lost(ctx, "route tables", step, {"vpc-id": vpc.id} if vpc else {})


@dataclass(frozen=True)
class RouteTable(Ec2Tagged, Step):
    """A route table; the private one is also the VPC's marker (see network.py)."""

    name: str
    title: str
    needs: tuple[str, ...] = ("vpc",)
    part: str = "network"
    kind_of_resource = "route tables"

    def resources(self, ctx: Context) -> list[Item]:
        """Return the table; one without its tags is found in the VPC."""
        return _tables(ctx, self.name)

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the table."""
        return tags(ctx.config, self.name, name=self.title)

    def find(self, ctx: Context) -> Found | None:
        """Return the table."""
        items = self.resources(ctx)
        return Found(items[0]["RouteTableId"], "available") if items else None

    def create(self, ctx: Context) -> Found:
        """Create the table, unless the VPC step has created it as its marker.

        For the token of a table that has been deleted since, AWS answers with that table, which
        never becomes visible: the next token of the series is tried. Another run's public table is
        the answer to the same token; the marker has a token of its own and is searched first.
        """
        found = self._current(ctx) if self.name == MARKER_GROUP else None
        for generation in range(MAX_TOKEN_GENERATIONS):
            if found is not None:
                return found
            self._request(ctx, generation=generation)
            found = wait_visible(lambda: self._current(ctx), clock=ctx.clock)
        raise remembered_tokens(f"the {self.name}", tokens=MAX_TOKEN_GENERATIONS)

    def _current(self, ctx: Context) -> Found | None:
        items = ctx.inventory.of_step("route tables", self.name, fresh=True)
        return Found(items[0]["RouteTableId"], "available") if items else None

    def _request(self, ctx: Context, *, generation: int) -> None:
        vpc = ctx.of("vpc").id
        ctx.aws.ec2.create_route_table(
            VpcId=vpc,
            ClientToken=client_token(ctx.config.deployment_name, self.name, vpc, generation),
            TagSpecifications=specification("route-table", self.wanted_tags(ctx)),
        )

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove its associations and delete it."""
        for table in ctx.inventory.of_step("route tables", self.name, fresh=True):
            for association in table["Associations"]:
                if association.get("Main"):
                    _replace_main(ctx, table, association["RouteTableAssociationId"])
                else:
                    _disassociate(ctx, association["RouteTableAssociationId"])
        delete_with_retry(
            ctx,
            f"route table {found.id}",
            lambda: ctx.aws.ec2.delete_route_table(RouteTableId=found.id),
            gone={"InvalidRouteTableID.NotFound"},
        )


def _replace_main(ctx: Context, table: Item, association: str) -> None:
    """Make another table the main one of the VPC: AWS deletes a main table with the VPC alone.

    Somebody has made this one the main table; AWS's own is still there, or has been deleted.
    https://docs.aws.amazon.com/vpc/latest/userguide/WorkWithRouteTables.html

    Raises:
        SetupError: the VPC has no other table than the deployment's.
    """
    table_id, vpc, name = table["RouteTableId"], table["VpcId"], ctx.config.deployment_name
    tables = route_tables(ctx, vpc)
    others = [it["RouteTableId"] for it in tables if tag_of(it, DEPLOYMENT_TAG) != name]
    if not others:
        raise SetupError(
            f"route table {table_id} is kept",
            f"it is the main route table of {vpc}, and the deployment has no other for its place",
            f"run `aws ec2 create-route-table --vpc-id {vpc}`, `aws ec2 "
            f"replace-route-table-association --association-id {association} --route-table-id RTB` "
            "with the id of the new one, and then destroy again",
        )
    ctx.aws.ec2.replace_route_table_association(AssociationId=association, RouteTableId=others[0])


def _disassociate(ctx: Context, association: str) -> None:
    delete_with_retry(
        ctx,
        f"route table association {association}",
        lambda: ctx.aws.ec2.disassociate_route_table(AssociationId=association),
        gone={"InvalidAssociationID.NotFound"},
    )


@dataclass(frozen=True)
class DefaultRoute(Step):
    """The default route of a table, through a gateway; deleted with the table."""

    name: str
    table: str
    gateway: str
    part: str = "network"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The table and the gateway."""
        return (self.table, self.gateway)

    def find(self, ctx: Context) -> Found | None:
        """Return the route; a blackhole or another target is drift."""
        route = self._route(ctx)
        if route is None:
            return None
        target = route.get("NatGatewayId") or route.get("GatewayId") or "nothing"
        gateway = ctx.found.get(self.gateway)
        drift: tuple[Drift, ...] = ()
        if gateway is None or target != gateway.id or route.get("State") == "blackhole":
            has = f"{target} ({route.get('State')})"
            drift = (Drift("target", has, gateway.id if gateway else f"the {self.gateway}"),)
        return Found(f"{EVERYWHERE} -> {target}", str(route.get("State")), drift=drift)

    def create(self, ctx: Context) -> Found:
        """Add the route."""
        try:
            ctx.aws.ec2.create_route(**self._request(ctx))
        except ClientError as error:
            if error_code(error) != "RouteAlreadyExists":
                raise
            ctx.aws.ec2.replace_route(**self._request(ctx))
        return Found(f"{EVERYWHERE} -> {ctx.of(self.gateway).id}", "active")

    def update(self, ctx: Context, found: Found) -> Found:
        """Replace the route's target by the gateway."""
        ctx.aws.ec2.replace_route(**self._request(ctx))
        return Found(f"{EVERYWHERE} -> {ctx.of(self.gateway).id}", "active")

    def _route(self, ctx: Context) -> Item | None:
        for table in _tables(ctx, self.table):
            for route in table["Routes"]:
                if route.get("DestinationCidrBlock") == EVERYWHERE:
                    return dict(route)
        return None

    def _request(self, ctx: Context) -> Any:
        gateway = ctx.of(self.gateway).id
        key = "NatGatewayId" if gateway.startswith("nat-") else "GatewayId"
        table = ctx.of(self.table).id
        return {"RouteTableId": table, "DestinationCidrBlock": EVERYWHERE, key: gateway}


@dataclass(frozen=True)
class Association(Step):
    """A subnet's association with a route table; deleted with the table."""

    name: str
    table: str
    subnet: str
    part: str = "network"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The table and the subnet."""
        return (self.table, self.subnet)

    def find(self, ctx: Context) -> Found | None:
        """Return the association."""
        subnet = ctx.found.get(self.subnet)
        for table in _tables(ctx, self.table):
            for association in table["Associations"]:
                if subnet and association.get("SubnetId") == subnet.id:
                    return Found(association["RouteTableAssociationId"], "associated")
        return None

    def create(self, ctx: Context) -> Found:
        """Associate the subnet with the table."""
        try:
            answer = ctx.aws.ec2.associate_route_table(
                RouteTableId=ctx.of(self.table).id, SubnetId=ctx.of(self.subnet).id
            )
        except ClientError as error:
            if error_code(error) != "Resource.AlreadyAssociated":
                raise
            ctx.inventory.all("route tables", fresh=True)
            return self.find(ctx) or self._move(ctx)
        return Found(answer["AssociationId"], "associated")

    def _move(self, ctx: Context) -> Found:
        """Move the subnet from the table with which it was associated by hand."""
        ec2, subnet = ctx.aws.ec2, ctx.of(self.subnet).id
        filters: Any = [{"Name": "association.subnet-id", "Values": [subnet]}]
        others = ec2.describe_route_tables(Filters=filters)["RouteTables"]
        association_id = next(
            association["RouteTableAssociationId"]
            for other in others
            for association in other["Associations"]
            if association.get("SubnetId") == subnet
        )
        answer = ec2.replace_route_table_association(
            AssociationId=association_id, RouteTableId=ctx.of(self.table).id
        )
        return Found(answer["NewAssociationId"], "associated")

    def delete(self, ctx: Context, found: Found) -> None:
        """Disassociate the subnet from the table."""
        _disassociate(ctx, found.id)


PUBLIC_ROUTING = ("public route", "public subnet 1 routing", "public subnet 2 routing")
"""The steps without which no packet from outside reaches a machine."""


def routing_steps() -> list[Step]:
    """Return the steps of both tables: table, default route, and two associations each."""
    steps: list[Step] = [
        RouteTable(PUBLIC, "LambdaFS-PublicRouteTable"),
        DefaultRoute("public route", PUBLIC, "internet gateway"),
        RouteTable(MARKER_GROUP, "LambdaFS-PrivateRouteTable"),
        DefaultRoute("private route", MARKER_GROUP, "nat gateway"),
    ]
    for kind, table in (("public", PUBLIC), ("private", MARKER_GROUP)):
        for number in (1, 2):
            subnet = f"{kind} subnet {number}"
            steps.append(Association(f"{subnet} routing", table, subnet))
    return steps
