"""Keys that every script reads: deployment, account, region, key pair, output."""

from __future__ import annotations

import re
from ipaddress import ip_interface
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from aws_setup.config.additional_tags import BoundaryArn, Tags
from aws_setup.config.base import LocalPath, Section, of_form
from aws_setup.config.durations import AutoPause
from aws_setup.config.spot import SpotParts

DETECT_ADDRESS = "DEFAULT_VALUE"
"""Value of user_public_ip that looks up the caller's address with AWS's checkip service."""

_DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""Names that no file on Windows can have, whatever its extension:
https://learn.microsoft.com/windows/win32/fileio/naming-a-file"""


def _file_name(name: str) -> str:
    """Check a name that files on this computer are called by."""
    if _DEVICE.fullmatch(name):
        raise ValueError("Windows reserves this name for a device; choose another")
    return name


DeploymentName = Annotated[
    str,
    of_form(
        r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$",
        "2 to 32 lower-case letters, digits and hyphens, beginning with a letter and not ending "
        "with a hyphen",
    ),
    AfterValidator(_file_name),
]
RegionName = Annotated[
    str, of_form(r"^[a-z]{2,4}(-[a-z]+)+-[0-9]+$", "the code of a region, such as us-east-1")
]
AccountId = Annotated[str, of_form(r"^[0-9]{12}$", "12 digits")]


def _public_addresses(value: Any) -> Any:
    """Check one address or range, or a list of them; other types are pydantic's to refuse."""
    if isinstance(value, str):
        return value if value == DETECT_ADDRESS else _public_address(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        if not value:
            raise ValueError(f"the list is empty; {DETECT_ADDRESS} looks the address up")
        return tuple(dict.fromkeys(map(_public_address, value)))
    return value


def _listed_addresses(value: Any) -> Any:
    """Check a list of addresses and ranges; other types are pydantic's to refuse."""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(dict.fromkeys(map(_public_address, value)))
    return value


def _public_address(text: str) -> str:
    """Return an address, or a range without host bits, in its usual spelling."""
    try:
        network = ip_interface(text.strip()).network
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an IPv4 or IPv6 address, a range of them, nor {DETECT_ADDRESS}"
        ) from None
    if ip_interface(text.strip()).ip != network.network_address:
        raise ValueError(f"{text} has host bits set; the network is {network}")
    first = network.network_address
    if not network.prefixlen or first.is_unspecified or first.is_loopback or first.is_multicast:
        raise ValueError(f"{text} cannot be a public address")
    return str(first) if network.prefixlen == network.max_prefixlen else str(network)


class General(Section):
    """General."""

    profile: Literal["paper", "small", "smoke"] = "paper"
    """Sizes: `paper` is the published evaluation's, `small` is for development, `smoke` the least
    that passes `verify`. It sets the keys that are commented out below; a key that you write has
    precedence."""

    spot: SpotParts = Field(default=(), examples=[["invokers", "clients"]])
    """Parts whose machines are Spot Instances, which cost about a third and which AWS takes back
    when it needs them: `invokers` (the nodes of the NameNodes) and `clients` (the scaling groups of
    clients). They lose no data; NDB and ZooKeeper would, and are refused."""

    auto_pause_after: AutoPause = "12h"
    """AWS stops all machines of the deployment by itself this long after create or resume, such as
    90m, 1h30m or 2d; all data is kept, and `extend 6h` moves the time. With `never` they run, and
    cost, until you stop them."""

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
    """Additional tags of everything that the scripts create, for example {CostCenter: "4711"}. None
    is empty, and no two keys differ in upper and lower case alone. OpenWhisk's load balancers get
    the first five by key: AWS's reference gives them ten, with those of this project."""

    permissions_boundary: BoundaryArn | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:policy/boundary"]
    )
    """ARN of the managed policy that is set as permissions boundary of every role created."""

    user_public_ip: Annotated[str | tuple[str, ...], BeforeValidator(_public_addresses)] = (
        DETECT_ADDRESS
    )
    """Your public address, allowed to connect by SSH, or a list of addresses and ranges, IPv4 or
    IPv6, such as [203.0.113.0/24, "2001:db8::/64"]; DEFAULT_VALUE looks it up."""

    operators: Annotated[
        tuple[str, ...], BeforeValidator(_listed_addresses), Field(max_length=40)
    ] = Field(default=(), examples=[["198.51.100.7", "203.0.113.0/24"]])
    """Addresses and ranges of further operators, who may use SSH, the cluster's endpoint and
    OpenWhisk's public load balancer as you may; IPv6 is for SSH only, the others take IPv4."""

    ssh_keypair_name: str
    """Name of the EC2 key pair (RSA) for the machines; each keeps that of its launch."""

    ssh_key_path: LocalPath
    """Path of that key pair's private key on this computer."""

    infrastructure_json_path: LocalPath = "./infrastructure_json"
    """Folder of the receipts; a path that ends in .json names the receipt file itself."""
