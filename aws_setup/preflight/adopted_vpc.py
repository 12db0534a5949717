"""An adopted VPC as AWS describes it, for the checks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import pages
from aws_setup.infrastructure.subnet_routes import EVERYWHERE, route_tables, table_of

PUBLIC = ("public subnet 1", "public subnet 2")
PRIVATE = ("private subnet 1", "private subnet 2")


@dataclass(frozen=True)
class AdoptedNetwork:
    """An adopted VPC as AWS describes it; each listing is read once."""

    ctx: Context
    vpc_id: str

    @cached_property
    def subnets(self) -> Mapping[str, Item]:
        """The chosen subnets by step."""
        ids = {
            name: self.ctx.found[name].id for name in (*PUBLIC, *PRIVATE) if name in self.ctx.found
        }
        if not ids:
            return {}
        answer: Any = self.ctx.aws.ec2.describe_subnets(SubnetIds=list(ids.values()))
        by_id = {item["SubnetId"]: item for item in answer["Subnets"]}
        return {name: by_id[subnet] for name, subnet in ids.items()}

    @cached_property
    def tables(self) -> Sequence[Item]:
        """The route tables."""
        return route_tables(self.ctx, self.vpc_id)

    @cached_property
    def acls(self) -> Sequence[Item]:
        """The network ACLs."""
        acls: Any = self.ctx.aws.ec2.describe_network_acls(Filters=self._here("vpc-id"))
        return list(acls["NetworkAcls"])

    @cached_property
    def gateways(self) -> Sequence[str]:
        """The ids of the attached internet gateways."""
        filters = self._here("attachment.vpc-id")
        answer: Any = self.ctx.aws.ec2.describe_internet_gateways(Filters=filters)
        return [item["InternetGatewayId"] for item in answer["InternetGateways"]]

    @cached_property
    def nat_gateways(self) -> Mapping[str, Item]:
        """The NAT gateways by their ids, also those that have failed."""
        ec2, here = self.ctx.aws.ec2, self._here("vpc-id")
        listed = pages(ec2, "describe_nat_gateways", "NatGateways", Filter=here)
        return {item["NatGatewayId"]: item for item in listed}

    @cached_property
    def endpoints(self) -> Sequence[Item]:
        """The endpoints of services in the VPC."""
        answer: Any = self.ctx.aws.ec2.describe_vpc_endpoints(Filters=self._here("vpc-id"))
        return list(answer["VpcEndpoints"])

    def endpoints_of(self, service: str) -> Sequence[Item]:
        """Return the endpoints of a service of this region, as in `ecr.api`."""
        prefix = f".{self.ctx.aws.region}."
        named = ((item, str(item["ServiceName"])) for item in self.endpoints)
        return [item for item, name in named if name.partition(prefix)[2] == service]

    def dns(self, attribute: str) -> bool:
        """Return whether a DNS attribute of the VPC, as in enableDnsSupport, is on."""
        answer: Any = self.ctx.aws.ec2.describe_vpc_attribute(
            VpcId=self.vpc_id,
            Attribute=attribute,  # type: ignore[arg-type]
        )
        return bool(answer[attribute[0].upper() + attribute[1:]]["Value"])

    @cached_property
    def dns_servers(self) -> Sequence[str]:
        """The DNS servers that the VPC's DHCP options name; empty for AWS's own options."""
        ec2 = self.ctx.aws.ec2
        vpc: Any = ec2.describe_vpcs(VpcIds=[self.vpc_id])["Vpcs"][0]
        filters: Any = [
            {"Name": "dhcp-options-id", "Values": [vpc.get("DhcpOptionsId", "default")]}
        ]
        sets: Any = ec2.describe_dhcp_options(Filters=filters)["DhcpOptions"]
        return [
            str(value["Value"])
            for options in sets
            for option in options.get("DhcpConfigurations", [])
            if option["Key"] == "domain-name-servers"
            for value in option["Values"]
        ]

    def table(self, step: str) -> Item:
        """Return the route table of a chosen subnet."""
        return table_of(self.subnets[step]["SubnetId"], self.tables)

    def _here(self, name: str) -> Any:
        return [{"Name": name, "Values": [self.vpc_id]}]


def replace_route(table: str, option: str, target: str) -> str:
    """Return the command that gives a route table's default route another target."""
    return (
        f"`aws ec2 replace-route --route-table-id {table} "
        f"--destination-cidr-block {EVERYWHERE} {option} {target}`"
    )
