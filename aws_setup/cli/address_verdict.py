"""After a time-out: the operator's present address, compared with what the rules let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from aws_setup.aws.context import Context
from aws_setup.config.general import DETECT_ADDRESS
from aws_setup.engine.deadline import within
from aws_setup.engine.result import Result
from aws_setup.errors import ALLOW_MY_IP, Place, Problem, SetupError, address_hint

Allowed = Sequence[str] | None
"""The address ranges that a place lets in; None when they are not known."""

COMPARED_WITHIN = 20.0
"""Seconds for asking what a place lets in: the command has waited long enough before."""


@contextmanager
def comparing_addresses(result: Result, context: Callable[[], Context | None]) -> Iterator[None]:
    """Say of every time-out in the block whether the operator's address is the cause.

    Args:
        result: its problems get the verdict.
        context: returns the deployment in AWS, None where there is no configuration.
    """
    try:
        yield
    except SetupError as error:
        error.problems = tuple(with_verdicts(error.problems, context))
        raise
    finally:
        result.problems = with_verdicts(result.problems, context)


def with_verdicts(
    problems: Sequence[Problem], context: Callable[[], Context | None]
) -> list[Problem]:
    """Return the problems; those of a time-out say what the comparison of addresses gives.

    What cannot be compared, as without a network, keeps its text.
    """
    places = [place for place in Place if any(address_hint(place) in it.hint for it in problems)]
    found = {place: text for place in places if (text := _verdict(place, context))}
    changed = []
    for problem in problems:
        hint = problem.hint
        for place, text in found.items():
            hint = hint.replace(address_hint(place), text)
        changed.append(replace(problem, hint=hint))
    return changed


def _verdict(place: Place, context: Callable[[], Context | None]) -> str:
    """Return the fix for a place by the addresses as they are now, '' when they are not known."""
    # The kubernetes package alone takes a second, and most runs end without a time-out.
    from aws_setup.infrastructure.operators import covers
    from aws_setup.preflight.public_ip import seen_address

    try:
        ctx = context()
        if ctx is None:
            return ""
        present = seen_address()
        with within(COMPARED_WITHIN, clock=ctx.clock):
            allowed = _allowed(ctx, place, present)
        if allowed is None:
            return ""
    except Exception:  # noqa: BLE001 -- advice: whatever it raises, the time-out is the error
        return ""
    if covers(allowed, present):
        return (
            f"check your network, VPN and proxy: your public address {present} is let in at "
            f"{place} and has not changed"
        )
    fixed = ctx.config.user_public_ip != DETECT_ADDRESS
    key = "set user_public_ip to DEFAULT_VALUE (unless you use a VPN) and " if fixed else ""
    before = ", ".join(allowed) or "no address"
    return f"{key}{ALLOW_MY_IP}: AWS sees you at {present}, and {place} lets in {before}"


def _allowed(ctx: Context, place: Place, present: str) -> Allowed:
    """Return what a place lets in now; None where the present address cannot find out."""
    from aws_setup.aws.cluster import cluster_of
    from aws_setup.infrastructure.operators import covers
    from aws_setup.infrastructure.security_group import owned_group, ssh_ranges
    from aws_setup.openwhisk.addresses import public_service, read_service
    from aws_setup.openwhisk.listener_access import access_of

    if place is Place.SSH:
        group = owned_group(ctx, fresh=True)
        return None if group is None else ssh_ranges(group)
    if place is Place.ENDPOINT:
        cluster = cluster_of(ctx, fresh=True)
        network = cluster["resourcesVpcConfig"] if cluster else {}
        ranges: Allowed = network.get("publicAccessCidrs")
        return ranges
    if ctx.config.openwhisk_internal:
        return None
    endpoint = _allowed(ctx, Place.ENDPOINT, present)
    if endpoint is not None and not covers(endpoint, present):
        # Its answer would be the next time-out: the Service is read through the endpoint.
        return None
    service = read_service(ctx, public_service(ctx.config))
    return None if service is None else access_of(ctx, service, fresh=True).ranges
