"""What a subnet's route table says of it: public is a subnet with a route to an internet gateway.

Neither a tag nor MapPublicIpOnLaunch decides that: the machines of this project ask for a public
address themselves. https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item

EVERYWHERE = "0.0.0.0/0"

_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
)
"""Fields of a route that can hold its target (EC2 API reference, Route)."""


def route_tables(ctx: Context, vpc_id: str) -> Sequence[Item]:
    """Return all route tables of a VPC."""
    filters: Any = [{"Name": "vpc-id", "Values": [vpc_id]}]
    tables: Sequence[Item] = ctx.aws.ec2.describe_route_tables(Filters=filters)["RouteTables"]
    return tables


def table_of(subnet_id: str, tables: Sequence[Item]) -> Item:
    """Return a subnet's route table: the one associated with it, else the main one; or {}."""
    main: Item = {}
    for table in tables:
        for association in table.get("Associations", []):
            if association.get("SubnetId") == subnet_id:
                return table
            if association.get("Main"):
                main = table
    return main


def default_route(table: Item) -> Item:
    """Return the IPv4 default route of a route table, {} where it has none."""
    routes = table.get("Routes", [])
    return next((item for item in routes if item.get("DestinationCidrBlock") == EVERYWHERE), {})


def target_of(route: Item) -> str:
    """Return the id of a route's target, '' where it has none."""
    return next((str(route[field]) for field in _TARGETS if route.get(field)), "")


def leads_to_internet(table: Item) -> bool:
    """Return whether the default route of a table names an internet gateway, attached or not."""
    return target_of(default_route(table)).startswith("igw-")


def is_public(subnet_id: str, tables: Sequence[Item]) -> bool:
    """Return whether a subnet's default route names an internet gateway."""
    return leads_to_internet(table_of(subnet_id, tables))
