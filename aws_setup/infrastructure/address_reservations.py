"""Reservations of the fixed private addresses, so that nothing else gets one by chance.

EC2 hands out any free address of a subnet: to machines without a fixed one, to NAT gateways, load
balancers and the interfaces of an EKS cluster. An address in an explicit reservation goes only to
a request that names it.
https://docs.aws.amazon.com/vpc/latest/userguide/subnet-cidr-reservation.html
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import specification, tags
from aws_setup.config import Config
from aws_setup.config.cross_checks import fixed_addresses
from aws_setup.engine.step import Drift, Found
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.nat_gateway import NatGateway

NAME = "reserved addresses"
SUBNET = "public subnet 1"
"""The subnet of the machines with fixed addresses."""


@dataclass(frozen=True)
class ReservedAddresses(Step):
    """One explicit reservation for each fixed address of the configuration."""

    name: str = NAME
    needs: tuple[str, ...] = (SUBNET,)
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the reservations of the subnet, with those that are missing as drift."""
        subnet = ctx.found.get(SUBNET)
        reserved = _reservations(ctx, subnet.id) if subnet else {}
        if not reserved:
            return None
        missing = [cidr for cidr in _wanted(ctx.config) if cidr not in reserved]
        drift = (Drift("reservations", "none of " + ", ".join(missing), "all"),) if missing else ()
        return Found(", ".join(sorted(reserved)), "reserved", drift=drift)

    def create(self, ctx: Context) -> Found:
        """Reserve all; a repeated request is refused and changes nothing."""
        return self._reserve_all(ctx, reserved=())

    def update(self, ctx: Context, found: Found) -> Found:
        """Reserve what is not reserved."""
        return self._reserve_all(ctx, reserved=_reservations(ctx, ctx.of(SUBNET).id))

    def _reserve_all(self, ctx: Context, *, reserved: Collection[str]) -> Found:
        wanted = _wanted(ctx.config)
        for cidr in wanted:
            if cidr not in reserved:
                _reserve(ctx, ctx.of(SUBNET).id, cidr)
        return Found(", ".join(wanted), "reserved")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the reservations; the subnet could not be deleted otherwise."""
        subnet = ctx.found.get(SUBNET)
        for reservation_id in (_reservations(ctx, subnet.id) if subnet else {}).values():
            try:
                ctx.aws.ec2.delete_subnet_cidr_reservation(SubnetCidrReservationId=reservation_id)
            except ClientError as error:
                if not error_code(error).endswith("NotFound"):
                    raise


def _wanted(config: Config) -> list[str]:
    return sorted({f"{address}/32" for _, address in fixed_addresses(config)})


def _reservations(ctx: Context, subnet: str) -> dict[str, str]:
    """Return range -> id of the explicit reservations of a subnet."""
    answer: Any = ctx.aws.ec2.get_subnet_cidr_reservations(SubnetId=subnet)
    return {
        str(item["Cidr"]): str(item["SubnetCidrReservationId"])
        for item in answer["SubnetIpv4CidrReservations"]
        if item["ReservationType"] == "explicit"
    }


def _reserve(ctx: Context, subnet: str, cidr: str) -> None:
    kind: Any = "subnet-cidr-reservation"
    try:
        ctx.aws.ec2.create_subnet_cidr_reservation(
            SubnetId=subnet,
            Cidr=cidr,
            ReservationType="explicit",
            Description="fixed address of a lambda-fs machine",
            TagSpecifications=specification(kind, tags(ctx.config, NAME)),
        )
    except ClientError as error:
        # After a lost answer, or in a run at the same time.
        if cidr not in _reservations(ctx, subnet):
            raise error


def after_fixed_addresses(steps: Sequence[Step], *, fixed: Sequence[str]) -> list[Step]:
    """Return the steps such that fixed addresses are taken before others are handed out.

    Whatever starts in the subnet follows `fixed`: the reservations or, in a subnet of the user's
    that is never changed, the groups with fixed addresses, which are only waited for until they
    are requested.
    """
    names = {step.name for step in steps}
    before = tuple(name for name in fixed if name in names)
    return [replace(step, follows=before) if _starts_in(step, before) else step for step in steps]  # type: ignore[type-var]


def _starts_in(step: Step, before: Sequence[str]) -> bool:
    """Return whether a step takes addresses of the subnet without naming them."""
    takes = SUBNET in step.needs and step.name not in before
    return takes and isinstance(step, (AutoScalingGroup, EksCluster, NatGateway, VmGroupStep))
