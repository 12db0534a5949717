"""The caller's public IP address: configured, else looked up with AWS's checkip service."""

from __future__ import annotations

import os
import threading
import urllib.request
from http.client import HTTPException
from ipaddress import IPv4Address

from aws_setup.config import Config
from aws_setup.config.general import DETECT_ADDRESS
from aws_setup.config.version import USER_AGENT
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, refuse, warn

SERVICE = "https://checkip.amazonaws.com"
"""AWS's service that returns the caller's IPv4 address as one line of text."""

VARIABLE = "AWS_SETUP_CHECKIP"
"""Environment variable with the URL of another such service."""

TIMEOUT_SECONDS = 4.0
"""Seconds to wait for the service."""


def operator_cidr(config: Config) -> str:
    """Return the caller's address as a /32; '' when the service does not answer."""
    if config.user_public_ip != DETECT_ADDRESS:
        return f"{config.user_public_ip}/32"
    seen = seen_address()
    return f"{seen}/32" if seen else ""


def seen_address() -> str:
    """Return the caller's address as AWS's service sees it, whatever is configured; '' unknown."""
    try:
        return str(IPv4Address(_look_up()))
    except (OSError, ValueError):
        return ""


def _look_up() -> str:
    url = os.environ.get(VARIABLE, SERVICE)
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{VARIABLE} is not a URL")
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT})
    answers: list[str | Exception] = []

    def ask() -> None:
        try:
            # The URL is https, or what the user has set in the environment.
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # nosec B310
                answers.append(response.read(64).decode("ascii", "replace").strip())
        except (OSError, ValueError, HTTPException) as error:
            answers.append(error)

    # A thread, because the timeout of a socket does not end an answer of a byte a second.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(TIMEOUT_SECONDS)
    answer = answers[0] if answers else TimeoutError("no answer")
    if isinstance(answer, Exception):
        raise OSError(str(answer)) from answer
    return answer


def check(planned: PlannedResources) -> CheckResult:
    """Refuse a missing address, and warn of a private one, which AWS does not see."""
    creates_cluster = (
        "eks cluster" in planned.to_create and not planned.config.eks_public_access_cidrs
    )
    if not (creates_cluster or "security group" in planned.to_create):
        return CheckResult()
    if not planned.ctx.defaults.operator_cidr:
        finding = refuse(
            "your public address is not known",
            f"{SERVICE} did not answer within {TIMEOUT_SECONDS:.0f} s",
            "set user_public_ip to your public IPv4 address (a web search for 'my ip' shows it)",
        )
        return CheckResult.of([finding])
    address = IPv4Address(planned.ctx.defaults.operator_cidr.removesuffix("/32"))
    if address.is_global:
        return CheckResult()
    what = f"user_public_ip {address} is not a public address"
    if creates_cluster:
        why = "EKS allows only public addresses to access the cluster's public endpoint"
        hint = "set user_public_ip to DEFAULT_VALUE, or set eks_public_access_cidrs too"
        return CheckResult.of([refuse(what, why, hint)])
    why = "AWS sees another one, unless you connect through a VPN to the VPC"
    return CheckResult.of([warn(what, why, "set user_public_ip to DEFAULT_VALUE")])
