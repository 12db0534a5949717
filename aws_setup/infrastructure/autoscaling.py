"""Launch templates and the auto-scaling groups that use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import IN_USE_CODES, client_token, delete_with_retry, wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import specification, tags
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.infrastructure.run_instances import disk_charges, disks, metadata_options

CONTENT_TAG = "lambda-fs:fingerprint"
"""Tag key of a launch template: what its default version holds, and that version's number."""

PUBLIC_SUBNETS = ("public subnet 1", "public subnet 2")


@dataclass(frozen=True)
class AutoScalingSpec:
    """Machines of an auto-scaling group: the template's name, AMI and type, the group's name."""

    template: str
    group: str
    component: str
    ami: str
    instance_type: str


def auto_scaling_specs(config: Config) -> Sequence[AutoScalingSpec]:
    """Return the three kinds of machines that scale, with λFS's own names."""
    return (
        AutoScalingSpec(
            "lambda_fs_clients",
            "lambda_fs_clients_ags",
            "LambdaFSClientVM",
            config.lambda_fs_client_ami,
            config.lfs_client_autoscaling_group_instance_type,
        ),
        AutoScalingSpec(
            "hopsfs_clients",
            "hopsfs_clients_ags",
            "HopsFSClientVM",
            config.hopsfs_ami,
            config.hopsfs_client_autoscaling_group_instance_type,
        ),
        AutoScalingSpec(
            "hopsfs_namenodes",
            "hopsfs_namenodes_ags",
            "HopsFSNameNodeVM",
            config.hopsfs_ami,
            config.hopsfs_namenode_autoscaling_group_instance_type,
        ),
    )


@dataclass(frozen=True)
class LaunchTemplate(Step):
    """A launch template; a changed configuration becomes a new default version."""

    kind: AutoScalingSpec
    needs: tuple[str, ...] = ("security group",)
    part: str = "auto scaling"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return f"launch template {self.kind.template}"

    def find(self, ctx: Context) -> Found | None:
        """Return the template; its tag says what our version holds, and which one that is."""
        items = ctx.inventory.of_step("launch templates", self.name)
        if not items:
            return None
        template = items[0]
        facts = {"version": template["DefaultVersionNumber"]}
        return Found(template["LaunchTemplateId"], "available", facts, self._drift(ctx, template))

    def _drift(self, ctx: Context, template: Item) -> tuple[Drift, ...]:
        if "security group" not in ctx.found:
            return ()
        if tag_of(template, CONTENT_TAG) == self._mark(ctx, template["DefaultVersionNumber"]):
            return ()
        return (Drift("contents", "an older version", "as configured"),)

    def create(self, ctx: Context) -> Found:
        """Make the template.

        Its name keeps it from being made twice. A token that stayed the same would, for a day after
        a destroy, be answered with the id of the template that is gone.
        """
        name = self._template_name(ctx)
        mine = tags(ctx.config, self.name, name=name)
        marked = mine | {CONTENT_TAG: self._mark(ctx, 1)}
        try:
            made: Any = ctx.aws.ec2.create_launch_template(
                LaunchTemplateName=name,
                LaunchTemplateData=self._data(ctx),
                TagSpecifications=specification("launch-template", marked),
            )
        except ClientError as error:
            if error_code(error) != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise
            found = wait_visible(lambda: self._again(ctx), clock=ctx.clock)
            if found is None:
                raise
            return found
        return Found(made["LaunchTemplate"]["LaunchTemplateId"], "available", {"version": 1})

    def _again(self, ctx: Context) -> Found | None:
        ctx.inventory.all("launch templates", fresh=True)
        return self.find(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Add a version with the wanted contents and make it the default."""
        ec2, own = ctx.aws.ec2, found.id
        made = ec2.create_launch_template_version(
            LaunchTemplateId=own,
            LaunchTemplateData=self._data(ctx),
            ClientToken=client_token(own, self._fingerprint(ctx), found.facts["version"]),
        )
        version = made["LaunchTemplateVersion"]["VersionNumber"]
        ec2.modify_launch_template(LaunchTemplateId=own, DefaultVersion=str(version))
        ec2.create_tags(
            Resources=[own], Tags=[{"Key": CONTENT_TAG, "Value": self._mark(ctx, version)}]
        )
        return Found(own, "available", {"version": version})

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the template with all its versions."""
        delete_with_retry(
            ctx,
            f"launch template {found.id}",
            lambda: ctx.aws.ec2.delete_launch_template(LaunchTemplateId=found.id),
            gone={
                "InvalidLaunchTemplateId.NotFound",
                "InvalidLaunchTemplateId.NotFoundException",
            },
        )

    def _template_name(self, ctx: Context) -> str:
        return group_name(ctx.config, self.kind.template, "_")

    def _fingerprint(self, ctx: Context) -> str:
        config = ctx.config
        kind = (self.kind.ami, self.kind.instance_type, self.kind.component)
        return client_token(kind, config.ssh_keypair_name, ctx.of("security group").id)[:32]

    def _mark(self, ctx: Context, version: int) -> str:
        """Return the mark of a default version; another one, chosen by hand, has another."""
        return f"{self._fingerprint(ctx)}.{version}"

    def _data(self, ctx: Context) -> Any:
        """Return the contents; the groups stand in the interface, never beside it."""
        mine = tags(ctx.config, self.name, name=self.kind.template, Component=self.kind.component)
        interface = {
            "DeviceIndex": 0,
            "AssociatePublicIpAddress": True,
            "DeleteOnTermination": True,
            "Groups": [ctx.of("security group").id],
        }
        return {
            "ImageId": self.kind.ami,
            "InstanceType": self.kind.instance_type,
            "KeyName": ctx.config.ssh_keypair_name,
            "NetworkInterfaces": [interface],
            "BlockDeviceMappings": disks(ctx, self.kind.ami),
            "MetadataOptions": metadata_options(),
            "TagSpecifications": [
                *specification("instance", mine),
                *specification("volume", mine),
                *specification("network-interface", mine),
            ],
        }


@dataclass(frozen=True)
class AutoScalingGroup(Step):
    """An auto-scaling group over both public subnets; its sizes follow the configuration."""

    kind: AutoScalingSpec
    part: str = "auto scaling"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return f"auto-scaling group {self.kind.group}"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Its launch template and its subnets."""
        return (f"launch template {self.kind.template}", *PUBLIC_SUBNETS)

    def find(self, ctx: Context) -> Found | None:
        """Return the group, with its sizes compared; the desired number is the user's to move."""
        items = ctx.inventory.of_step("auto-scaling groups", self.name)
        return self._found(ctx, items[0]) if items else None

    def _found(self, ctx: Context, group: Item) -> Found:
        config = ctx.config
        has = (group["MinSize"], group["MaxSize"])
        wants = (config.autoscaling_group_min_size, config.autoscaling_group_max_size)
        drift = []
        if has != wants:
            said = ("-".join(map(str, has)), "-".join(map(str, wants)))
            drift.append(Drift("sizes (min-max)", *said))
        deleting = str(group.get("Status") or "")
        if deleting:
            drift.append(Drift("deletion", deleting, "a group", key=DriftKey.DELETION))
        facts = {"machines": len(group.get("Instances", [])), "desired": group["DesiredCapacity"]}
        state = deleting or "available"
        return Found(group["AutoScalingGroupName"], state, facts, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the group; its name is unique in the region, so a repeat finds the first."""
        try:
            ctx.aws.autoscaling.create_auto_scaling_group(**self._request(ctx))
        except ClientError as error:
            if error_code(error) != "AlreadyExists":
                raise
            found = wait_visible(lambda: self._again(ctx), clock=ctx.clock)
            if found is None:
                raise
            return self._anew(ctx, found) if _leaves(found) else found
        return Found(self._group_name(ctx.config), "available")

    def _anew(self, ctx: Context, found: Found) -> Found:
        """Make the group once the one of its name is gone."""
        self._await_gone(ctx, found.id)
        return self.create(ctx)

    def _again(self, ctx: Context) -> Found | None:
        ctx.inventory.all("auto-scaling groups", fresh=True)
        return self.find(ctx)

    def _request(self, ctx: Context) -> Any:
        config = ctx.config
        mine = tags(config, self.name, Component=self.kind.component)
        return {
            "AutoScalingGroupName": self._group_name(config),
            "LaunchTemplate": {
                "LaunchTemplateId": ctx.of(f"launch template {self.kind.template}").id,
                "Version": "$Default",
            },
            "MinSize": config.autoscaling_group_min_size,
            "MaxSize": config.autoscaling_group_max_size,
            "DesiredCapacity": config.autoscaling_group_desired_capacity,
            "VPCZoneIdentifier": ",".join(ctx.of(subnet).id for subnet in PUBLIC_SUBNETS),
            "Tags": [
                {"Key": key, "Value": value, "PropagateAtLaunch": key != "lambda-fs:step"}
                for key, value in mine.items()
            ],
        }

    def update(self, ctx: Context, found: Found) -> Found:
        """Set the sizes; a group that is being deleted is waited for and made anew."""
        if _leaves(found):
            return self._anew(ctx, found)
        ctx.aws.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=found.id,
            MinSize=ctx.config.autoscaling_group_min_size,
            MaxSize=ctx.config.autoscaling_group_max_size,
        )
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the group with its machines and return when both are gone."""
        delete_with_retry(
            ctx,
            f"auto-scaling group {found.id}",
            lambda: ctx.aws.autoscaling.delete_auto_scaling_group(
                AutoScalingGroupName=found.id, ForceDelete=True
            ),
            gone={"ValidationError"},
            busy=IN_USE_CODES,
        )
        self._await_gone(ctx, found.id)

    def _await_gone(self, ctx: Context, name: str) -> None:
        def gone() -> bool | Pending:
            answer = ctx.aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
            groups = answer["AutoScalingGroups"]
            return Pending(f"{len(groups[0]['Instances'])} machines left") if groups else True

        wait_until(
            f"auto-scaling group {name} is deleted",
            gone,
            clock=ctx.clock,
            deadline=900,
            pause=4,
            note=ctx.note,
        )

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The hours of the machines that the group starts with."""
        count = float(config.autoscaling_group_desired_capacity)
        if not count:
            return ()
        machines = CostItem(self.part, f"ec2:{self.kind.instance_type}", count)
        return (machines, CostItem(self.part, "ipv4", count))

    def disks(self, ctx: Context) -> Sequence[CostItem]:
        """The disks of the machines that the group starts with."""
        count = float(ctx.config.autoscaling_group_desired_capacity)
        return disk_charges(ctx, self.kind.ami, count=count, part="disks") if count else ()

    def _group_name(self, config: Config) -> str:
        return group_name(config, self.kind.group, "_")


def _leaves(found: Found) -> bool:
    return any(drift.key is DriftKey.DELETION for drift in found.drift)


def group_name(config: Config, name: str, separator: str) -> str:
    """Return a name that is unique in the region: λFS's own for the default deployment.

    Other deployments in the same region put their own name in front.
    """
    default = type(config).model_fields["deployment_name"].default
    own = config.deployment_name
    return name if own == default else f"{own}{separator}{name}"
