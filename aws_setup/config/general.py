"""Keys that every script reads: deployment, account, region, key pair, output."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from aws_setup.config.additional_tags import BoundaryArn, Tags
from aws_setup.config.base import LocalPath, Section

DETECT_ADDRESS = "DEFAULT_VALUE"
"""Value of user_public_ip that looks up the caller's address with AWS's checkip service."""

DeploymentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]+$")]
AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]


def _public_address(text: str) -> str:
    if text == DETECT_ADDRESS:
        return text
    try:
        address = IPv4Address(text.removesuffix("/32"))
    except AddressValueError:
        raise ValueError(f"{text!r} is neither an IPv4 address nor {DETECT_ADDRESS}") from None
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        raise ValueError(f"{address} cannot be a public address")
    return str(address)


class General(Section):
    """General."""

    profile: Literal["paper", "small", "smoke"] = "paper"
    """Sizes: `paper` is the published evaluation's, `small` is for development, `smoke` the least
    that passes `verify`. It sets the keys that are commented out below; a key that you write has
    precedence."""

    no_color: bool = False
    """Plain output: no colours and no progress bars."""

    deployment_name: DeploymentName = "lambda-fs"
    """Name of this deployment: all resources are tagged with it, and destroy selects by it."""

    aws_profile: str | None = Field(default=None, examples=["default"])
    """Profile of your AWS configuration; if omitted, AWS's default credential chain is used."""

    aws_region: RegionName | None = Field(default=None, examples=["us-east-1"])
    """AWS region; if omitted, that of your AWS configuration. The λFS AMIs are in us-east-1."""

    aws_account_id: AccountId | None = Field(default=None, examples=["123456789012"])
    """Your 12-digit account id; when set, credentials of any other account are refused."""

    tags: Tags = Field(default={}, examples=[{"CostCenter": "4711"}])
    """Additional tags of everything that the scripts create, for example {CostCenter: "4711"}."""

    permissions_boundary: BoundaryArn | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:policy/boundary"]
    )
    """ARN of the managed policy that is set as permissions boundary of every role created."""

    user_public_ip: Annotated[str, AfterValidator(_public_address)] = DETECT_ADDRESS
    """Your public IPv4 address, allowed to connect by SSH; DEFAULT_VALUE looks it up."""

    ssh_keypair_name: str
    """Name of the EC2 key pair (RSA) for the machines."""

    ssh_key_path: LocalPath
    """Path of that key pair's private key on this computer."""

    infrastructure_json_path: LocalPath = "./infrastructure_json"
    """Folder of the receipts; a path that ends in .json names the receipt file itself."""
