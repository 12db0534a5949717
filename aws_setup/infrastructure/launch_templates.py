"""The launch templates of the auto-scaling groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import client_token, delete_with_retry, wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import GROUP_TAG, regional_name, specification, tags
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.infrastructure.ami_copies import ami_in_use
from aws_setup.infrastructure.ami_details import machines_text
from aws_setup.infrastructure.lost_tags import Ec2Tagged, with_lost
from aws_setup.infrastructure.metadata_options import metadata_options
from aws_setup.infrastructure.run_instances import disks
from aws_setup.infrastructure.termination import terminate

CONTENT_TAG = "lambda-fs:fingerprint"
"""Tag key of a launch template: fingerprint and number of its default version."""

CONTENTS = "contents"
"""Key of the drift of a template that launches other machines than configured."""


@dataclass(frozen=True)
class AutoScalingSpec:
    """VMs of an auto-scaling group: names of template and group, Component tag, AMI and type."""

    template: str
    group: str
    component: str
    ami: str
    instance_type: str
    spot: bool = False

    @property
    def price_key(self) -> str:
        """The key of a machine's price."""
        return f"{'spot' if self.spot else 'ec2'}:{self.instance_type}"


def auto_scaling_specs(config: Config) -> Sequence[AutoScalingSpec]:
    """Return the three kinds of VMs that scale, with λFS's names."""
    return (
        AutoScalingSpec(
            "lambda_fs_clients",
            "lambda_fs_clients_ags",
            "LambdaFSClientVM",
            config.lambda_fs_client_ami,
            config.lfs_client_autoscaling_group_instance_type,
            spot="clients" in config.spot,
        ),
        AutoScalingSpec(
            "hopsfs_clients",
            "hopsfs_clients_ags",
            "HopsFSClientVM",
            config.hopsfs_ami,
            config.hopsfs_client_autoscaling_group_instance_type,
            spot="clients" in config.spot,
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
class LaunchTemplate(Ec2Tagged, Step):
    """A launch template; a changed configuration becomes a new default version."""

    kind: AutoScalingSpec
    needs: tuple[str, ...] = ("security group",)
    part: str = "auto scaling"
    kind_of_resource = "launch templates"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return f"launch template {self.kind.template}"

    def find(self, ctx: Context) -> Found | None:
        """Return the template; its tag is compared with the fingerprint of the configuration."""
        items = self.resources(ctx)
        if not items:
            return None
        template = items[0]
        facts = {"version": template["DefaultVersionNumber"]}
        return Found(template["LaunchTemplateId"], "available", facts, self._drift(ctx, template))

    def resources(self, ctx: Context) -> list[Item]:
        """Return the template; one without its tags is found by its name."""
        exists = all(need in ctx.found for need in self.needs)
        place = {"launch-template-name": self._template_name(ctx)} if exists else {}
        return with_lost(ctx, "launch templates", self.name, place)

    def wanted_tags(self, ctx: Context) -> dict[str, str]:
        """Return the tags of the template, but for the one of its contents."""
        return tags(ctx.config, self.name, name=self._template_name(ctx))

    def _drift(self, ctx: Context, template: Item) -> tuple[Drift, ...]:
        if "security group" not in ctx.found:
            return ()
        if tag_of(template, CONTENT_TAG) == self._content(ctx, template["DefaultVersionNumber"]):
            return ()
        return (Drift("contents", "an older version", "as configured", key=CONTENTS),)

    def create(self, ctx: Context) -> Found:
        """Create the template.

        Its name prevents a second template. For a token that stayed the same AWS would, for a day
        after a destroy, answer with the id of the deleted template.
        """
        name = self._template_name(ctx)
        template_tags = {**self.wanted_tags(ctx), CONTENT_TAG: self._content(ctx, 1)}
        try:
            answer: Any = ctx.aws.ec2.create_launch_template(
                LaunchTemplateName=name,
                LaunchTemplateData=self._data(ctx),
                TagSpecifications=specification("launch-template", template_tags),
            )
        except ClientError as error:
            if error_code(error) != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise
            found = wait_visible(lambda: self._refreshed(ctx), clock=ctx.clock)
            if found is None:
                raise
            return found
        return Found(answer["LaunchTemplate"]["LaunchTemplateId"], "available", {"version": 1})

    def _refreshed(self, ctx: Context) -> Found | None:
        ctx.inventory.all("launch templates", fresh=True)
        return self.find(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Create a version with the configured contents and make it the default."""
        ec2, template_id = ctx.aws.ec2, found.id
        answer = ec2.create_launch_template_version(
            LaunchTemplateId=template_id,
            LaunchTemplateData=self._data(ctx),
            ClientToken=client_token(template_id, self._fingerprint(ctx), found.facts["version"]),
        )
        version = answer["LaunchTemplateVersion"]["VersionNumber"]
        ec2.modify_launch_template(LaunchTemplateId=template_id, DefaultVersion=str(version))
        ec2.create_tags(
            Resources=[template_id],
            Tags=[{"Key": CONTENT_TAG, "Value": self._content(ctx, version)}],
        )
        return Found(template_id, "available", {"version": version})

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the template with all its versions, and machines that were detached from a group.

        They have the template's tags; those that are in a group are that group's.
        """
        machines = ctx.inventory.of_step("instances", self.name)
        detached = [it["InstanceId"] for it in machines if not tag_of(it, GROUP_TAG)]
        terminate(ctx, f"detached machines of {self.name}", detached)
        delete_with_retry(
            ctx,
            f"launch template {found.id}",
            lambda: ctx.aws.ec2.delete_launch_template(LaunchTemplateId=found.id),
            gone={
                "InvalidLaunchTemplateId.NotFound",
                "InvalidLaunchTemplateId.NotFoundException",
            },
        )

    def details(self, ctx: Context) -> str:
        """Return type and AMI of the machines that it launches."""
        return machines_text(ctx, self.kind.instance_type, None, self.kind.ami)

    def _template_name(self, ctx: Context) -> str:
        return regional_name(ctx.config, self.kind.template, "_")

    def _fingerprint(self, ctx: Context) -> str:
        config = ctx.config
        kind = (
            ami_in_use(ctx, self.kind.ami),
            self.kind.instance_type,
            self.kind.component,
            metadata_options(),
        )
        return client_token(kind, config.ssh_keypair_name, ctx.of("security group").id)[:32]

    def _content(self, ctx: Context, version: int) -> str:
        """Return the content tag for a default version; one chosen by hand has another number."""
        return f"{self._fingerprint(ctx)}.{version}"

    def _data(self, ctx: Context) -> Any:
        """Return the contents; EC2 accepts the security groups only in the network interface."""
        vm_tags = tags(
            ctx.config, self.name, name=self.kind.template, Component=self.kind.component
        )
        interface = {
            "DeviceIndex": 0,
            "AssociatePublicIpAddress": True,
            "DeleteOnTermination": True,
            "Groups": [ctx.of("security group").id],
        }
        return {
            "ImageId": ami_in_use(ctx, self.kind.ami),
            "InstanceType": self.kind.instance_type,
            "KeyName": ctx.config.ssh_keypair_name,
            "NetworkInterfaces": [interface],
            "BlockDeviceMappings": disks(ctx, ami_in_use(ctx, self.kind.ami)),
            "MetadataOptions": metadata_options(),
            "TagSpecifications": [
                *specification("instance", vm_tags),
                *specification("volume", vm_tags),
                *specification("network-interface", vm_tags),
            ],
        }
