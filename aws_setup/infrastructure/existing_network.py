"""An existing network: the VPC by id or name, and its subnets; used and never changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from aws_setup.aws.context import Context, ExistingResource
from aws_setup.aws.filters import literal
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import pages
from aws_setup.engine.step import Found
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.eks_cluster import ZONES_WITHOUT_EKS
from aws_setup.infrastructure.moved_network import in_use_first, refuse_moved
from aws_setup.infrastructure.subnet_routes import (
    EVERYWHERE,
    is_public,
    leads_to_internet,
    route_tables,
    table_of,
)


@dataclass(frozen=True)
class ExistingVpc(ExistingResource):
    """The VPC with the id vpc_id, else the only one with the name vpc_name."""

    name: str = "vpc"
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the VPC; raises SetupError when there is none, or several of the name.

        Raises:
            Refused: the deployment is in another VPC.
        """
        vpcs = named_vpcs(ctx)
        if len(vpcs) == 1:
            key = "vpc_id" if ctx.config.vpc_id else "vpc_name"
            chosen = f"create_vpc is False and {key} chooses {vpcs[0]['VpcId']}"
            refuse_moved(ctx, vpcs[0]["VpcId"], instead=chosen)
            return Found(vpcs[0]["VpcId"], vpcs[0]["State"], {"cidr": vpcs[0]["CidrBlock"]})
        configured = ctx.config.vpc_id or ctx.config.vpc_name
        if not vpcs:
            raise SetupError(
                f"the VPC {configured} does not exist in {ctx.aws.region}",
                "create_vpc is False, so it must exist",
                "set create_vpc: True, or correct vpc_id or vpc_name",
            )
        listed = ", ".join(f"{vpc['VpcId']} ({vpc['CidrBlock']})" for vpc in vpcs)
        raise SetupError(
            f"{len(vpcs)} VPCs are named {configured}",
            listed,
            "set vpc_id to the id of one of them",
        )

    def prompt(self, ctx: Context, ask: Callable[[str], str]) -> None:
        """Ask which VPC to use where several have the name."""
        if ctx.config.vpc_id:
            return
        vpcs = {vpc["VpcId"]: vpc["CidrBlock"] for vpc in named_vpcs(ctx)}
        if len(vpcs) > 1:
            listed = ", ".join(f"{vpc_id} ({cidr})" for vpc_id, cidr in vpcs.items())
            question = f"Several VPCs are named {ctx.config.vpc_name}: {listed}. Which one"
            answer = ask(question).strip()
            if answer in vpcs:
                ctx.config = ctx.config.model_copy(update={"vpc_id": answer})


def named_vpcs(ctx: Context) -> list[Any]:
    """Return the VPCs with the id vpc_id, or else with the name vpc_name."""
    config = ctx.config
    chosen = ("vpc-id", config.vpc_id) if config.vpc_id else ("tag:Name", config.vpc_name)
    filters = [{"Name": chosen[0], "Values": [literal(chosen[1])]}]
    return pages(ctx.aws.ec2, "describe_vpcs", "Vpcs", Filters=filters)


@dataclass(frozen=True)
class ExistingSubnet(ExistingResource):
    """A public or private subnet of an adopted VPC; numbers 1 and 2 are in different zones."""

    name: str
    public: bool
    index: int
    needs: tuple[str, ...] = ("vpc",)
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the subnet; raises SetupError when the VPC has too few of its kind."""
        vpc = ctx.found.get("vpc")
        if vpc is None:
            raise SetupError(
                f"the {self.name} was not found",
                "the VPC was not found",
                "correct vpc_id or vpc_name",
            )
        tables = route_tables(ctx, vpc.id)
        subnets = candidates(ctx, vpc.id)
        matching = [item for item in subnets if is_public(item["SubnetId"], tables) == self.public]
        chosen = one_per_zone(matching)
        if len(chosen) <= self.index:
            raise too_few(vpc.id, subnets, tables, public=self.public, zones=len(chosen))
        subnet = chosen[self.index]
        facts = {"zone": subnet["AvailabilityZone"], "cidr": subnet["CidrBlock"]}
        return Found(subnet["SubnetId"], subnet["State"], facts)


def candidates(ctx: Context, vpc_id: str) -> list[Any]:
    """Return the subnets to choose from, best first: those of subnet_ids, else all of the VPC.

    Raises:
        SetupError: the VPC has no subnet of an id in subnet_ids, or it has no IPv4 addresses.
    """
    config = ctx.config
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
    subnets = pages(ctx.aws.ec2, "describe_subnets", "Subnets", Filters=filters)
    if config.subnet_ids is None:
        usual = usual_subnets(subnets, with_eks=config.create_eks_cluster)
        return in_use_first(ctx, usual)
    by_id = {item["SubnetId"]: item for item in subnets}
    missing = [subnet for subnet in config.subnet_ids if subnet not in by_id]
    if missing:
        raise SetupError(
            f"subnet_ids: VPC {vpc_id} has no {', '.join(missing)}",
            f"its subnets are {', '.join(sorted(by_id)) or 'none'}",
            "correct subnet_ids, or remove it: then the subnets are chosen by their route tables",
        )
    chosen = [by_id[subnet] for subnet in config.subnet_ids]
    without = [item["SubnetId"] for item in chosen if not item.get("CidrBlock")]
    if without:
        raise SetupError(
            f"subnet_ids: {', '.join(without)} cannot be used",
            "it has IPv6 addresses only, and the machines have IPv4 addresses",
            "name subnets with an IPv4 range in subnet_ids",
        )
    return chosen


def usual_subnets(subnets: Sequence[Any], *, with_eks: bool) -> list[Any]:
    """Return the subnets that are chosen from without subnet_ids, by zone and address range.

    Those in Local Zones, Wavelength Zones and Outposts have other prices and few instance types:
    they are used only when they are named. Those with IPv6 alone are never used.
    """
    usable = [
        item
        for item in subnets
        if item.get("CidrBlock")
        and _is_regional(item)
        and not (with_eks and item.get("AvailabilityZoneId") in ZONES_WITHOUT_EKS)
    ]
    return sorted(usable, key=lambda it: (it["AvailabilityZone"], ip_network(it["CidrBlock"])))


def unfit_for_eks(subnet: Item) -> str:
    """Return what EKS does not support of a subnet's place, '' where a cluster may be there.

    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """
    zone_id = subnet.get("AvailabilityZoneId", "")
    if zone_id in ZONES_WITHOUT_EKS:
        return f"this zone ({zone_id})"
    return "" if _is_regional(subnet) else "Outposts, Local Zones and Wavelength Zones for it"


def _is_regional(subnet: Item) -> bool:
    """Whether a subnet is in one of the region's own zones, whose ids are as in `use1-az1`.

    Those of others have more parts: use1-bos1-az1, use1-wl1-bos-wlz1.
    https://docs.aws.amazon.com/global-infrastructure/latest/regions/az-ids.html
    """
    zone_id = subnet.get("AvailabilityZoneId") or ""
    return not subnet.get("OutpostArn") and str(zone_id).count("-") <= 1


def one_per_zone(subnets: Sequence[Any]) -> list[Any]:
    """Return the first subnet of each zone, in the order given."""
    by_zone: dict[str, Any] = {}
    for subnet in subnets:
        by_zone.setdefault(subnet["AvailabilityZone"], subnet)
    return list(by_zone.values())


def too_few(
    vpc_id: str, subnets: Sequence[Item], tables: Sequence[Item], *, public: bool, zones: int
) -> SetupError:
    """Return the error of a VPC with fewer than two zones that have a subnet of a kind."""
    kind = "public" if public else "private"
    listed = ", ".join(
        f"{item['SubnetId']} ({item['AvailabilityZone']}, "
        f"{'public' if is_public(item['SubnetId'], tables) else 'private'} by "
        f"{table_of(item['SubnetId'], tables).get('RouteTableId', 'no table')})"
        for item in subnets
    )
    fitting = [item["RouteTableId"] for item in tables if leads_to_internet(item) == public]
    return SetupError(
        f"VPC {vpc_id} has {count_of(zones, 'zone')} with a {kind} subnet, two are required",
        f"EKS requires two zones; a subnet is public if its route table has a route "
        f"{EVERYWHERE} to an internet gateway. Considered: {listed or 'no subnet'}",
        f"add a subnet with `aws ec2 create-subnet --vpc-id {vpc_id} --cidr-block RANGE "
        f"--availability-zone ZONE` and make it {kind} with `aws ec2 associate-route-table "
        f"--subnet-id SUBNET --route-table-id {fitting[0]}`"
        if fitting
        else f"add a subnet with `aws ec2 create-subnet --vpc-id {vpc_id} --cidr-block RANGE "
        f"--availability-zone ZONE`, a route table with `aws ec2 create-route-table --vpc-id "
        f"{vpc_id}`, its default route with `aws ec2 create-route --route-table-id TABLE "
        f"--destination-cidr-block {EVERYWHERE} "
        f"{'--gateway-id IGW' if public else '--nat-gateway-id NAT'}`, and associate both with "
        f"`aws ec2 associate-route-table --subnet-id SUBNET --route-table-id TABLE`",
    )
