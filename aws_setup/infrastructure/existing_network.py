"""An existing network: the VPC by id or name, and its subnets; used and never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import Context, ExistingResource
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import pages
from aws_setup.engine.step import Found
from aws_setup.errors import SetupError


@dataclass(frozen=True)
class ExistingVpc(ExistingResource):
    """The VPC with the id vpc_id, else the only one with the name vpc_name."""

    name: str = "vpc"
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the VPC; raises SetupError when there is none, or several of the name."""
        vpcs = named_vpcs(ctx)
        if len(vpcs) == 1:
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
    filters = [{"Name": chosen[0], "Values": [chosen[1]]}]
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
                f"the {self.name} was not found", "the VPC was not found", "fix that first"
            )
        filters = [{"Name": "vpc-id", "Values": [vpc.id]}]
        subnets = pages(ctx.aws.ec2, "describe_subnets", "Subnets", Filters=filters)
        chosen = one_per_zone([item for item in subnets if is_public(item) == self.public])
        if len(chosen) <= self.index:
            kind = "public" if self.public else "private"
            raise SetupError(
                f"VPC {vpc.id} has {len(chosen)} zones with a {kind} subnet, two are required",
                "EKS requires two zones, and VMs a public subnet in the first",
                f"add a {kind} subnet in another zone (tag PrivacyType={kind})",
            )
        subnet = chosen[self.index]
        facts = {"zone": subnet["AvailabilityZone"], "cidr": subnet["CidrBlock"]}
        return Found(subnet["SubnetId"], subnet["State"], facts)


def is_public(subnet: Item) -> bool:
    """Return whether a subnet is public: by its PrivacyType tag, else by its launch setting."""
    kind = tag_of(subnet, "PrivacyType")
    return kind == "public" if kind else bool(subnet["MapPublicIpOnLaunch"])


def one_per_zone(subnets: list[Any]) -> list[Any]:
    """Return the first subnet by address range of each zone, zones in alphabetical order."""
    ordered = sorted(subnets, key=lambda item: (item["AvailabilityZone"], item["CidrBlock"]))
    by_zone: dict[str, Any] = {}
    for subnet in ordered:
        by_zone.setdefault(subnet["AvailabilityZone"], subnet)
    return list(by_zone.values())
