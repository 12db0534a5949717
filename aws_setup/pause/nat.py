"""What `pause --deep` deletes beside stopping: the NAT gateway and its address.

`resume` re-creates both with the steps of create; the new address is another one.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context
from aws_setup.engine.step import Drift, Found
from aws_setup.infrastructure.nat_gateway import ElasticIp, NatGateway
from aws_setup.pause.vms import create_is_running

DEEP = (Drift("with --deep", "exists", "deleted"),)


@dataclass(frozen=True)
class DeletedNat(NatGateway):
    """No NAT gateway: nothing in the private subnets runs while the deployment is paused."""

    needs: tuple[str, ...] = ()
    deep: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the gateway, which is drift; skipped when there is none.

        Raises:
            Refused: it is being created.
        """
        found = super().find(ctx)
        if found is None:
            return Found("", skipped="it does not exist")
        if not found.ready:
            raise create_is_running(f"{self.name} is {found.state}")
        if not self.deep:
            return found
        return Found(found.id, found.state, found.facts, DEEP, since=found.since)

    def update(self, ctx: Context, found: Found) -> Found:
        """Delete the gateway and return when its address is free."""
        super().delete(ctx, found)
        return Found("", "deleted")


@dataclass(frozen=True)
class ReleasedAddress(ElasticIp):
    """No elastic IP for a NAT gateway."""

    needs: tuple[str, ...] = ("nat gateway",)
    deep: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the address, which is drift; skipped when there is none."""
        found = super().find(ctx)
        if found is None:
            return Found("", skipped="it does not exist")
        return Found(found.id, found.state, found.facts, DEEP) if self.deep else found

    def update(self, ctx: Context, found: Found) -> Found:
        """Release the address."""
        super().delete(ctx, found)
        return Found("", "released")
