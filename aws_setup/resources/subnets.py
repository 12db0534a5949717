"""The four subnets: a public and a private one in each of two zones."""

from __future__ import annotations

from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from aws_setup.consistency import shown
from aws_setup.errors import SetupError
from aws_setup.inventory import Item
from aws_setup.resources.once import delete_patiently
from aws_setup.resources.tags import specification, tags
from aws_setup.session import error_code
from aws_setup.steps import Context, Drift, Found, Step


@dataclass(frozen=True)
class Subnet(Step):
    """One subnet; `index` 0 or 1 chooses the zone and the address range of the configuration.

    The role tags tell EKS where load balancers belong:
    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """

    name: str
    public: bool
    index: int
    needs: tuple[str, ...] = ("vpc",)
    part: str = field(default="network", kw_only=True)

    def find(self, ctx: Context) -> Found | None:
        """Return the subnet, with its address range, zone and public addresses compared."""
        items = ctx.inventory.of_step("subnets", self.name)
        return self._found(ctx, items[0]) if items else None

    def _found(self, ctx: Context, subnet: Item) -> Found:
        drift = []
        wanted = self._cidr(ctx)
        if subnet["CidrBlock"] != wanted:
            mend = f"put {subnet['CidrBlock']} back into the configuration, or destroy first"
            drift.append(Drift("address range", subnet["CidrBlock"], wanted, mend))
        zones = ctx.config.availability_zones
        if zones and subnet["AvailabilityZone"] != zones[self.index]:
            mend = "put the zone back into availability_zones, or destroy first"
            drift.append(Drift("zone", subnet["AvailabilityZone"], zones[self.index], mend))
        if self.public and not subnet["MapPublicIpOnLaunch"]:
            drift.append(Drift("public addresses at launch", "off", "on"))
        facts = {"zone": subnet["AvailabilityZone"], "cidr": subnet["CidrBlock"]}
        return Found(subnet["SubnetId"], subnet["State"], facts, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the subnet; an earlier create whose answer was lost shows as a conflict."""
        zone = (ctx.config.availability_zones or ctx.choices.zones)[self.index]
        try:
            subnet: Item = ctx.aws.ec2.create_subnet(
                VpcId=ctx.of("vpc").id,
                CidrBlock=self._cidr(ctx),
                AvailabilityZone=zone,
                TagSpecifications=specification("subnet", self._tags(ctx)),
            )["Subnet"]
        except ClientError as error:
            if error_code(error) != "InvalidSubnet.Conflict":
                raise
            subnet = self._made_before(ctx, error)
        return self._settle(ctx, subnet)

    def update(self, ctx: Context, found: Found) -> Found:
        """Switch public addresses on where they are off."""
        return self._settle(ctx, ctx.inventory.of_step("subnets", self.name)[0])

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the subnet once nothing stands in it."""
        delete_patiently(
            ctx,
            f"subnet {found.id}",
            lambda: ctx.aws.ec2.delete_subnet(SubnetId=found.id),
            gone={"InvalidSubnetID.NotFound"},
        )

    def _made_before(self, ctx: Context, error: ClientError) -> Item:
        made = shown(lambda: self._again(ctx), clock=ctx.clock)
        if made is None:
            raise SetupError(
                f"the address range {self._cidr(ctx)} of {self.name} is taken",
                str(error.response["Error"].get("Message", "")),
                "choose other ranges in public_subnet_cidrs and private_subnet_cidrs",
            ) from error
        return made

    def _again(self, ctx: Context) -> Item | None:
        items = ctx.inventory.of_step("subnets", self.name, fresh=True)
        return items[0] if items else None

    def _settle(self, ctx: Context, subnet: Item) -> Found:
        if self.public and not subnet["MapPublicIpOnLaunch"]:
            ctx.aws.ec2.modify_subnet_attribute(
                SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": True}
            )
        facts = {"zone": subnet["AvailabilityZone"], "cidr": subnet["CidrBlock"]}
        return Found(subnet["SubnetId"], "available", facts)

    def _cidr(self, ctx: Context) -> str:
        config = ctx.config
        ranges = config.public_subnet_cidrs if self.public else config.private_subnet_cidrs
        return ranges[self.index]

    def _tags(self, ctx: Context) -> dict[str, str]:
        kind = "public" if self.public else "private"
        role = "elb" if self.public else "internal-elb"
        name = f"serverless-mds-subnet-{kind}{self.index + 1}"
        load_balancers = {f"kubernetes.io/role/{role}": "1"}
        return tags(ctx.config, self.name, name=name, PrivacyType=kind) | load_balancers
