"""The internet gateway of the VPC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import create_once, delete_with_retry, use_created, wait_visible
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import specification, tags
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.lost_tags import Ec2Tagged, with_lost


@dataclass(frozen=True)
class InternetGateway(Ec2Tagged, Step):
    """The internet gateway, attached to the VPC."""

    name: str = "internet gateway"
    needs: tuple[str, ...] = ("vpc",)
    part: str = "network"
    kind_of_resource = "internet gateways"

    def resources(self, ctx: Context) -> list[Item]:
        """Return the gateways; one without its tags is found by its attachment."""
        vpc = ctx.found.get("vpc")
        place = {"attachment.vpc-id": vpc.id} if vpc else {}
        return with_lost(ctx, "internet gateways", self.name, place)

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the gateway."""
        return tags(ctx.config, self.name, name="Lambda-FS-InternetGateway")

    def find(self, ctx: Context) -> Found | None:
        """Return the gateway; a missing attachment or a second gateway is drift."""
        items = _attached_first(self.resources(ctx))
        if not items:
            return None
        drift = []
        drift += self._attachment(ctx, items[0])
        if len(items) > 1:
            drift.append(Drift("internet gateways", str(len(items)), "1"))
        return Found(items[0]["InternetGatewayId"], "attached", drift=tuple(drift))

    def _attachment(self, ctx: Context, gateway: Item) -> list[Drift]:
        vpcs = {attachment["VpcId"] for attachment in gateway["Attachments"]}
        vpc = ctx.found.get("vpc")
        if not vpcs:
            return [Drift("attachment", "none", "the VPC")]
        if vpc is None or vpc.id in vpcs:
            return []
        fix = (
            f"detach {gateway['InternetGatewayId']} from that VPC in the VPC console, "
            "and run the same command again"
        )
        return [Drift("attachment", ", ".join(sorted(vpcs)), vpc.id, fix)]

    def create(self, ctx: Context) -> Found:
        """Create and attach the gateway; of two simultaneous runs the first to attach wins."""
        gateway = create_once(
            ctx, find=lambda: self._current(ctx), create=lambda: self._create(ctx)
        )
        return use_created(ctx, self.name, lambda: self._ensure_attached(ctx, gateway))

    def update(self, ctx: Context, found: Found) -> Found:
        """Attach a gateway that an earlier run did not attach."""
        return self._ensure_attached(ctx, self._current(ctx))

    def delete(self, ctx: Context, found: Found) -> None:
        """Detach and delete every gateway of the deployment."""
        for gateway in ctx.inventory.of_step("internet gateways", self.name, fresh=True):
            self._delete(ctx, gateway)

    def _current(self, ctx: Context) -> Item | None:
        items = ctx.inventory.of_step("internet gateways", self.name, fresh=True)
        return _attached_first(items)[0] if items else None

    def _create(self, ctx: Context) -> Item:
        answer: Any = ctx.aws.ec2_once.create_internet_gateway(
            TagSpecifications=specification("internet-gateway", self.wanted_tags(ctx))
        )
        gateway: Item = answer["InternetGateway"]
        return gateway

    def _ensure_attached(self, ctx: Context, gateway: Item | None) -> Found:
        """Attach a gateway as AWS answered it; of several the attached one is kept."""
        if gateway and not gateway["Attachments"]:
            self._attach(ctx, gateway["InternetGatewayId"])
        return self._keep_one(ctx)

    def _attach(self, ctx: Context, gateway_id: str) -> None:
        vpc = ctx.of("vpc").id
        try:
            ctx.aws.ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc)
        except ClientError as error:
            if error_code(error) not in ("Resource.AlreadyAssociated", "InvalidParameterValue"):
                raise

    def _attached(self, ctx: Context) -> list[Item] | None:
        items = _attached_first(ctx.inventory.of_step("internet gateways", self.name, fresh=True))
        return items if items and items[0]["Attachments"] else None

    def _keep_one(self, ctx: Context) -> Found:
        items = wait_visible(lambda: self._attached(ctx), clock=ctx.clock)
        if items is None:
            raise SetupError(
                "the VPC has an internet gateway that is not managed by this deployment",
                "a VPC can have only one",
                "detach it, or use the existing VPC with create_vpc: False",
            )
        for gateway in items[1:]:
            self._delete(ctx, gateway)
        return Found(items[0]["InternetGatewayId"], "attached")

    def _delete(self, ctx: Context, gateway: Item) -> None:
        gateway_id = gateway["InternetGatewayId"]
        for attachment in gateway["Attachments"]:
            vpc = attachment["VpcId"]
            delete_with_retry(
                ctx,
                f"attachment of internet gateway {gateway_id}",
                lambda vpc=vpc: ctx.aws.ec2.detach_internet_gateway(  # type: ignore[misc]
                    InternetGatewayId=gateway_id, VpcId=vpc
                ),
                gone={"Gateway.NotAttached", "InvalidInternetGatewayID.NotFound"},
            )
        delete_with_retry(
            ctx,
            f"internet gateway {gateway_id}",
            lambda: ctx.aws.ec2.delete_internet_gateway(InternetGatewayId=gateway_id),
            gone={"InvalidInternetGatewayID.NotFound"},
        )


def _attached_first(gateways: list[Item]) -> list[Item]:
    return sorted(gateways, key=lambda item: (not item["Attachments"], item["InternetGatewayId"]))


def after_public_addresses(steps: Sequence[Step]) -> list[Step]:
    """Return the steps for deletion: the gateway goes after all that may have a public address.

    EC2 detaches no gateway from a VPC with such machines; where they stay, because their deletion
    is denied, it stays at once and not after a long wait.
    https://docs.aws.amazon.com/vpc/latest/userguide/working-with-igw.html
    """
    gateway = InternetGateway.name
    if gateway not in {step.name for step in steps}:
        return list(steps)
    public = (AutoScalingGroup, EksCluster, VmGroupStep)
    return [
        replace(step, follows=(*step.follows, gateway)) if isinstance(step, public) else step
        for step in steps
    ]
