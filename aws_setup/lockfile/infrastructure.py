"""The first script's part of the lock file: zones, machines with their AMIs, the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.infrastructure.ami_copies import source_of
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.instances import active_instances
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.vm_groups import vm_groups

FRESH = ("subnets", "instances", "auto-scaling groups", "eks cluster")
"""Kinds of resources that a run has created since they were listed."""

PUBLIC_SUBNETS = ("public subnet 1", "public subnet 2")


def infrastructure_part(ctx: Context, *, fresh: bool) -> dict[str, Any]:
    """Return what AWS says that the first script's resources are; `fresh`: ask AWS again."""
    if fresh:
        for kind in FRESH:
            ctx.inventory.all(kind, fresh=True)
    clusters = ctx.inventory.all("eks cluster")
    return {
        "zones": _zones(ctx),
        "amis": _amis(ctx),
        "machines": _machines(ctx),
        "auto_scaling": _auto_scaling(ctx),
        "kubernetes": kubernetes_of(clusters[0]) if clusters else {},
    }


def kubernetes_of(cluster: Item) -> dict[str, str]:
    """Return the versions of a cluster, and when it was created."""
    return {
        "version": str(cluster.get("version", "")),
        "platform": str(cluster.get("platformVersion", "")),
        "created": _date(cluster.get("createdAt")),
    }


def _zones(ctx: Context) -> list[str]:
    """Return the ids of the two zones; their names mean other zones in other accounts."""
    found = [ctx.inventory.of_step("subnets", step) for step in PUBLIC_SUBNETS]
    ids = [str(items[0].get("AvailabilityZoneId", "")) for items in found if items]
    return ids if all(ids) and len(ids) == len(PUBLIC_SUBNETS) else []


def _amis(ctx: Context) -> dict[str, Any]:
    """Return the AMIs in use, by their key of the configuration."""
    images = {str(image["ImageId"]): image for image in ctx.inventory.all("images")}
    used = {key: group.ami for group in vm_groups(ctx.config) if (key := group.ami_key)}
    return {key: _image(ami, images) for key, ami in sorted(used.items())}


def _image(ami: str, images: Mapping[str, Item]) -> dict[str, str]:
    image = images.get(ami, {})
    known = {
        "id": source_of(image) or ami,
        "name": str(image.get("Name", "")),
        "created": _date(image.get("CreationDate")),
        "deprecated": _date(image.get("DeprecationTime")),
    }
    return {key: value for key, value in known.items() if value}


def published_amis(ctx: Context) -> dict[str, str]:
    """Return the keys whose AMI is a copy, each with the AMI that it was copied from."""
    sources = {str(image["ImageId"]): source_of(image) for image in ctx.inventory.all("images")}
    keys = [key for key in type(ctx.config).model_fields if key.endswith("_ami")]
    found = {key: sources.get(getattr(ctx.config, key), "") for key in keys}
    return {key: source for key, source in found.items() if source}


def _machines(ctx: Context) -> dict[str, Any]:
    """Return the machines that exist, by the step that has launched them."""
    found = {}
    for group in vm_groups(ctx.config):
        active = active_instances(ctx, group.step)
        if active:
            found[group.step] = {
                "count": len(active),
                "instance_type": _only(active, "InstanceType"),
                "ami": _only(active, "ImageId"),
            }
    return found


def _only(instances: Sequence[Item], field: str) -> str:
    return ", ".join(sorted({str(instance[field]) for instance in instances}))


def _auto_scaling(ctx: Context) -> dict[str, Any]:
    """Return what the auto-scaling groups launch, of those that exist."""
    found = {}
    for spec in auto_scaling_specs(ctx.config):
        if ctx.inventory.of_step("auto-scaling groups", AutoScalingGroup(spec).name):
            found[spec.group] = {"instance_type": spec.instance_type, "ami": spec.ami}
    return found


def _date(value: Any) -> str:
    """Return a date of AWS's as ISO 8601 in UTC, to the second; '' for none."""
    text = value.isoformat() if hasattr(value, "isoformat") else str(value or "")
    return text[:19] + "Z" if text else ""
