"""Keys of the network: VPC, subnets, zones, security group."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from aws_setup.config.base import HEX, Cidr, Section, of_form

Zones = Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
SubnetId = Annotated[str, of_form(r"^subnet-[0-9a-f]{8,17}$", f"subnet- and {HEX}")]
VpcId = Annotated[str, of_form(r"^vpc-[0-9a-f]{8,17}$", f"vpc- and {HEX}")]


def _group_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}", text):
        raise ValueError(
            f"{text!r} contains characters that the name of a security group cannot have"
        )
    if text.startswith("sg-"):
        raise ValueError("the name of a security group cannot begin with sg-")
    return text


class Network(Section):
    """Network: VPC, subnets, zones, security group."""

    create_vpc: bool = True
    """Create the VPC and its network; False uses the existing VPC of vpc_id or vpc_name."""

    vpc_name: Annotated[str, StringConstraints(max_length=256)] = "LambdaFS_VPC"
    """Name tag of the VPC."""

    vpc_id: VpcId | None = Field(default=None, examples=["vpc-0123456789abcdef0"])
    """Id of an existing VPC to use when create_vpc is False and the name is not unique."""

    subnet_ids: Annotated[tuple[SubnetId, ...], Field(min_length=4)] | None = Field(
        default=None,
        examples=[[f"subnet-0123456789abcdef{number}" for number in range(4)]],
    )
    """Ids of subnets of the existing VPC: two or more public and two or more private ones, each in
    two zones. A public one has a route to an internet gateway. The first public one gets the VMs;
    if omitted, the subnets are chosen by their route tables."""

    vpc_cidr: Cidr = "10.0.0.0/16"
    """Address range of the VPC."""

    public_subnet_cidrs: Annotated[tuple[Cidr, ...], Field(min_length=2, max_length=2)] = (
        "10.0.0.0/20",
        "10.0.16.0/20",
    )
    """Address ranges of the two public subnets; the first must hold the fixed addresses."""

    private_subnet_cidrs: Annotated[tuple[Cidr, ...], Field(min_length=2, max_length=2)] = (
        "10.0.128.0/20",
        "10.0.144.0/20",
    )
    """Address ranges of the two private subnets, one in each zone."""

    availability_zones: Zones | None = Field(default=None, examples=[["us-east-1a", "us-east-1b"]])
    """Names of the two availability zones; if omitted, two with EKS and all instance types."""

    security_group_name: Annotated[str, AfterValidator(_group_name)] = "lambda-fs-security-group"
    """Name of the security group of all λFS and HopsFS resources; the default begins with
    deployment_name where that is not lambda-fs."""
