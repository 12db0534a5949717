"""The caller's public IP address: configured, else looked up with AWS's checkip service."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from http.client import HTTPException
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.config.general import DETECT_ADDRESS
from aws_setup.config.version import USER_AGENT
from aws_setup.engine.http_deadline import why_broken
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

if TYPE_CHECKING:
    from aws_setup.preflight.planned import PlannedResources

SERVICE = "https://checkip.amazonaws.com"
"""AWS's service that returns the caller's IPv4 address as one line of text."""

VARIABLE = "AWS_SETUP_CHECKIP"
"""Environment variable with the URL of another such service."""

SHOWN = 60
"""Characters of an unusable answer that are shown."""

TIMEOUT_SECONDS = 4.0
"""Seconds to wait for the service."""


def prepare(ctx: Context) -> None:
    """Put the caller's address into the context: the security group is compared with it."""
    ctx.defaults = replace(ctx.defaults, **known(ctx.config))


def known(config: Config) -> dict[str, Any]:
    """Return the fields of Defaults about the caller's addresses: which they are, or why not."""
    try:
        return {"operator_cidrs": operator_cidrs(config), "address_problem": ""}
    except (OSError, ValueError) as error:
        return {"operator_cidrs": (), "address_problem": " ".join(str(error).split())}


def operator_cidrs(config: Config) -> tuple[str, ...]:
    """Return who may connect from outside, as ranges: the caller, then those of `operators`.

    Raises:
        OSError: the service does not answer.
        ValueError: it answers something else than addresses.
    """
    others = (str(ip_network(address)) for address in config.operators)
    return tuple(dict.fromkeys([*own_cidrs(config), *others]))


def own_cidrs(config: Config) -> tuple[str, ...]:
    """Return the caller's addresses as ranges: those of user_public_ip, else what is looked up.

    Raises:
        OSError: the service does not answer.
        ValueError: it answers something else than addresses.
    """
    configured = config.user_public_ip
    if configured == DETECT_ADDRESS:
        return (str(ip_network(seen_address())),)
    listed = (configured,) if isinstance(configured, str) else configured
    return tuple(str(ip_network(address)) for address in listed)


def seen_address() -> str:
    """Return the caller's address as AWS's service sees it, whatever is configured.

    Raises:
        OSError: the service does not answer.
        ValueError: it answers something else than one address, as a proxy does.
    """
    answer = _look_up()
    words = answer.replace(",", " ").split()
    shown = answer if len(answer) <= SHOWN else answer[:SHOWN] + "…"
    said = f"{_service()} answered {shown!r}"
    try:
        addresses = dict.fromkeys(str(ip_address(word)) for word in words)
    except ValueError:
        raise ValueError(f"{said}, no address: a proxy or login page may be in its place") from None
    if len(addresses) > 1:
        raise ValueError(f"{said}, {len(addresses)} addresses: a proxy may have added its own")
    if not addresses:
        raise ValueError(f"{said}, nothing")
    return next(iter(addresses))


def _service() -> str:
    return os.environ.get(VARIABLE, SERVICE)


def _look_up() -> str:
    url = _service()
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
    late = f"{url} did not answer within {TIMEOUT_SECONDS:.0f} s"
    answer = answers[0] if answers else TimeoutError(late)
    if isinstance(answer, TimeoutError):
        raise OSError(late) from answer
    if isinstance(answer, Exception):
        raise OSError(f"{url} did not answer: {_reason(answer)}") from answer
    return answer


def _reason(error: Exception) -> str:
    """Return why a request failed; of an answer with an error its status."""
    return str(error) if isinstance(error, HTTPError) else why_broken(error)


def check(planned: PlannedResources) -> CheckResult:
    """Refuse a missing address, and warn of a private one, which AWS does not see."""
    creates_cluster = (
        "eks cluster" in planned.to_create and not planned.config.eks_public_access_cidrs
    )
    if not (creates_cluster or "security group" in planned.to_create):
        return CheckResult()
    cidrs = planned.ctx.defaults.operator_cidrs
    if not cidrs:
        finding = refuse(
            "your public address is not known",
            planned.ctx.defaults.address_problem,
            "set user_public_ip to your public address, or a list of addresses and ranges (a web "
            "search for 'my ip' shows it)",
        )
        return CheckResult.of([finding])
    if creates_cluster and not any(":" not in cidr for cidr in cidrs):
        return CheckResult.of([_without_ipv4(cidrs)])
    return CheckResult.of(_private(cidr, creates_cluster) for cidr in cidrs if _is_private(cidr))


def _without_ipv4(cidrs: Sequence[str]) -> Finding:
    return refuse(
        "the cluster's public endpoint cannot be limited to your address",
        f"EKS takes IPv4 ranges only, and you have {', '.join(cidrs)}",
        "set eks_public_access_cidrs to the IPv4 range through which you reach the internet, or "
        "add an IPv4 address to user_public_ip",
    )


def _is_private(cidr: str) -> bool:
    return not ip_network(cidr).is_global


def _private(cidr: str, creates_cluster: bool) -> Finding:
    what = f"user_public_ip {cidr.removesuffix('/32').removesuffix('/128')} is not a public address"
    if creates_cluster and ":" not in cidr:
        why = "EKS allows only public addresses to access the cluster's public endpoint"
        hint = "set user_public_ip to DEFAULT_VALUE, or set eks_public_access_cidrs too"
        return refuse(what, why, hint)
    why = "AWS sees another one, unless you connect through a VPN to the VPC"
    return warn(what, why, "set user_public_ip to DEFAULT_VALUE")


def private_addresses(ctx: Context) -> list[Finding]:
    """Return a warning for each private address of the caller's, which AWS does not see."""
    cidrs = ctx.defaults.operator_cidrs
    return [_private(cidr, creates_cluster=False) for cidr in cidrs if _is_private(cidr)]
