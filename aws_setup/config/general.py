"""Keys that every script reads: deployment, account, region, key pair, output."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from aws_setup.config.base import Section

DeploymentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]


class General(Section):
    """Who runs this, where, and how it talks."""

    no_color: bool = False
    """Plain output: no colours and no live bars."""

    deployment_name: DeploymentName = "lambda-fs"
    """Name of this deployment: every resource is tagged with it, and destroy deletes by it."""

    aws_profile: str | None = None
    """Profile of your AWS configuration; leave it out to use AWS's usual order of credentials."""

    aws_region: str | None = None
    """AWS region; leave it out to use your AWS configuration's. The λFS AMIs are in us-east-1."""

    aws_account_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")] | None = None
    """Your 12-digit account id; when set, credentials of any other account are refused."""

    user_public_ip: str = "DEFAULT_VALUE"
    """Your public IPv4 address, allowed to SSH; DEFAULT_VALUE asks AWS for it."""

    ssh_keypair_name: str
    """Name of the EC2 key pair (RSA) that the machines get."""

    ssh_key_path: str
    """Path of that key pair's private key on this computer."""

    infrastructure_json_path: str = "./infrastructure_json"
    """Folder of the receipts; a path that ends in .json names the receipt file itself."""
