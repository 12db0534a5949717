"""The operator's public address: configured, else what AWS's check-ip service sees."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from ipaddress import AddressValueError, IPv4Address

from aws_setup.config import Config
from aws_setup.config.general import DETECT_ADDRESS
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, refuse, warn

SERVICE = "https://checkip.amazonaws.com"
"""AWS's own answer to "which address do I come from": one line of text, IPv4."""

VARIABLE = "AWS_SETUP_CHECKIP"
"""Environment variable that names another such service."""

TIMEOUT_SECONDS = 4.0
"""Seconds to wait for the service."""


def operator_cidr(config: Config) -> str:
    """Return the operator's address as a /32, '' when the service does not answer."""
    if config.user_public_ip != DETECT_ADDRESS:
        return f"{config.user_public_ip}/32"
    try:
        return f"{IPv4Address(_asked())}/32"
    except (OSError, AddressValueError, ValueError):
        return ""


def _asked() -> str:
    url = os.environ.get(VARIABLE, SERVICE)
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{VARIABLE} is no web address")
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
        text: str = answer.read(64).decode("ascii", "replace").strip()
    return text


def check(needs: PlannedResources) -> CheckResult:
    """Refuse what nobody could log in through; warn of an address that AWS does not see."""
    cluster = "eks cluster" in needs.to_make and not needs.config.eks_public_access_cidrs
    if not (cluster or "security group" in needs.to_make):
        return CheckResult()
    if not needs.ctx.defaults.operator_cidr:
        finding = refuse(
            "your public address is not known",
            f"{SERVICE} did not answer within {TIMEOUT_SECONDS:.0f} s",
            "set user_public_ip to your public IPv4 address (a search for 'my ip' shows it)",
        )
        return CheckResult.of([finding])
    address = IPv4Address(needs.ctx.defaults.operator_cidr.removesuffix("/32"))
    if address.is_global:
        return CheckResult()
    what = f"user_public_ip {address} is not a public address"
    if cluster:
        why = "EKS lets public addresses only into the cluster's public endpoint"
        hint = "leave user_public_ip at DEFAULT_VALUE, or set eks_public_access_cidrs too"
        return CheckResult.of([refuse(what, why, hint)])
    why = "AWS sees another one, unless you come through a VPN into the VPC"
    return CheckResult.of([warn(what, why, "leave user_public_ip at DEFAULT_VALUE")])
