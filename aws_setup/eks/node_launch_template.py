"""The node groups as data, and their launch templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import client_token
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import limited_name, regional_name, specification, tags
from aws_setup.config import Config
from aws_setup.engine.step import Drift
from aws_setup.infrastructure.launch_templates import CONTENT_TAG, AutoScalingSpec, LaunchTemplate

CONTENTS = "contents"
"""What differs of a template that gets a new version, whereupon EKS replaces the nodes."""

LONGEST_NAME = 128
"""Characters of a launch template's name: LaunchTemplateName of
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html"""

MOST_REORDERED = 5
"""Tags of which all orders, 120, are tried."""

ROLE_LABEL = "openwhisk-role"
"""Node label by which OpenWhisk's chart schedules its pods."""

GROUP_LABEL = "eks.amazonaws.com/nodegroup"
"""Node label with the name of the node group, set by EKS."""


@dataclass(frozen=True)
class NodeGroupSpec:
    """A node group: its name, its OpenWhisk role, its instance type and its number of nodes."""

    group: str
    role: str
    instance_type: str
    count: int
    spot: bool = False

    @property
    def capacity(self) -> str:
        """EKS's capacityType."""
        return "SPOT" if self.spot else "ON_DEMAND"

    @property
    def price_key(self) -> str:
        """The key of a node's price."""
        return f"{'spot' if self.spot else 'ec2'}:{self.instance_type}"

    @property
    def scaling(self) -> dict[str, int]:
        """EKS's scalingConfig."""
        return {"minSize": self.count, "maxSize": self.count, "desiredSize": self.count}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of these nodes."""
        return {ROLE_LABEL: self.role}


def node_group_specs(config: Config) -> Sequence[NodeGroupSpec]:
    """Return the node groups for which the configuration sets a number of nodes."""
    return [spec for spec in every_node_group(config) if spec.count]


def every_node_group(config: Config) -> Sequence[NodeGroupSpec]:
    """Return both node groups, also one with 0 nodes: it may have been created with more."""
    return (
        NodeGroupSpec(
            "core-nodes",
            "core",
            config.openwhisk_core_instance_type,
            config.num_openwhisk_core_vms,
        ),
        NodeGroupSpec(
            "invoker-nodes",
            "invoker",
            config.openwhisk_invoker_instance_type,
            config.num_openwhisk_invoker_vms,
            spot="invokers" in config.spot,
        ),
    )


def node_template_step(config: Config, nodes: NodeGroupSpec) -> NodeTemplate:
    """Return the step of a node group's launch template."""
    name = f"{config.eks_cluster_name}-{nodes.group}"
    return NodeTemplate(
        AutoScalingSpec(name, nodes.group, "EKSNode", "", nodes.instance_type), needs=()
    )


@dataclass(frozen=True)
class NodeTemplate(LaunchTemplate):
    """The launch template of a node group: disk, key pair, IMDSv2, tags of what it launches."""

    part: str = "eks"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return f"{self.kind.group} template"

    def _drift(self, ctx: Context, template: Item) -> tuple[Drift, ...]:
        version, has = template["DefaultVersionNumber"], tag_of(template, CONTENT_TAG)
        if has == self._content(ctx, version):
            return ()
        if any(has == f"{former}.{version}" for former in self._former_fingerprints(ctx)):
            return ()
        return (Drift(CONTENTS, "an older version", "as configured"),)

    def details(self, ctx: Context) -> str:
        """Return the size of the nodes' disks; EKS chooses the AMI."""
        return f"{ctx.config.eks_node_disk_size} GiB gp3"

    def _template_name(self, ctx: Context) -> str:
        cluster = regional_name(ctx.config, ctx.config.eks_cluster_name, "-")
        return limited_name(cluster, f"-{self.kind.group}", longest=LONGEST_NAME)

    def _fingerprint(self, ctx: Context) -> str:
        return client_token(self._data(ctx))[:32]

    def _former_fingerprints(self, ctx: Context) -> Iterator[str]:
        """Yield the fingerprints of earlier versions, which kept the order of the user's tags.

        Of few tags every order is tried: it may be another one in the configuration by now.
        """
        data, keys = self._data(ctx), tuple(ctx.config.tags)
        for order in permutations(keys) if len(keys) <= MOST_REORDERED else (keys,):
            places = {key: place for place, key in enumerate(order)}
            listed = [
                spec
                | {"Tags": sorted(spec["Tags"], key=lambda it: places.get(it["Key"], len(places)))}
                for spec in data["TagSpecifications"]
            ]
            yield client_token(data | {"TagSpecifications": listed})[:32]

    def _data(self, ctx: Context) -> Any:
        """Return the contents; the instance type belongs to the node group, not to the template."""
        config = ctx.config
        instance_tags = tags(
            config, self.kind.group, name=f"{config.eks_cluster_name} {self.kind.group}"
        ) | {"Component": self.kind.component}
        disk = {
            "VolumeSize": config.eks_node_disk_size,
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
        }
        return {
            "KeyName": config.ssh_keypair_name,
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": disk}],
            # Two hops: a pod with a network of its own is one hop further away than the node.
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            "TagSpecifications": [
                *specification("instance", instance_tags),
                *specification("volume", instance_tags),
                *specification("network-interface", instance_tags),
            ],
        }
