"""Keys that every script reads: deployment, account, region, key pair, output."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from aws_setup.config.base import LocalPath, Section

ASK_AWS = "DEFAULT_VALUE"
"""The value of user_public_ip that asks AWS for the caller's address."""

DeploymentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]+$")]
AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]


def _operator(text: str) -> str:
    if text == ASK_AWS:
        return text
    try:
        address = IPv4Address(text.removesuffix("/32"))
    except AddressValueError:
        raise ValueError(f"{text!r} is neither an IPv4 address nor {ASK_AWS}") from None
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        raise ValueError(f"{address} is not an address that AWS can see you under")
    return str(address)


class General(Section):
    """Who runs this, where, and how it talks."""

    no_color: bool = False
    """Plain output: no colours and no live bars."""

    deployment_name: DeploymentName = "lambda-fs"
    """Name of this deployment: every resource is tagged with it, and destroy deletes by it."""

    aws_profile: str | None = Field(default=None, examples=["default"])
    """Profile of your AWS configuration; leave it out to use AWS's usual order of credentials."""

    aws_region: RegionName | None = Field(default=None, examples=["us-east-1"])
    """AWS region; leave it out to use your AWS configuration's. The λFS AMIs are in us-east-1."""

    aws_account_id: AccountId | None = Field(default=None, examples=["123456789012"])
    """Your 12-digit account id; when set, credentials of any other account are refused."""

    user_public_ip: Annotated[str, AfterValidator(_operator)] = ASK_AWS
    """Your public IPv4 address, allowed to SSH; DEFAULT_VALUE asks AWS for it."""

    ssh_keypair_name: str
    """Name of the EC2 key pair (RSA) that the machines get."""

    ssh_key_path: LocalPath
    """Path of that key pair's private key on this computer."""

    infrastructure_json_path: LocalPath = "./infrastructure_json"
    """Folder of the receipts; a path that ends in .json names the receipt file itself."""
