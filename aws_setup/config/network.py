"""Keys of the network: VPC, subnets, zones, security group."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from aws_setup.config.base import Cidr, Section

VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-[0-9a-f]{8,17}$")]


class Network(Section):
    """The VPC and what is in it."""

    create_vpc: bool = True
    """Make the VPC and its network; False uses the existing VPC of vpc_id or vpc_name."""

    vpc_name: str = "LambdaFS_VPC"
    """Name tag of the VPC."""

    vpc_id: VpcId | None = None
    """Id of an existing VPC to use when create_vpc is False and the name is not unique."""

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

    availability_zones: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] | None = None
    """Names of the two zones; left out, they are chosen by what EKS and your types need."""

    security_group_name: str = "lambda-fs-security-group"
    """Name of the security group of all λFS and HopsFS resources."""
