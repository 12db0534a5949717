"""The disks of VMs that were changed by hand: detached, deleted, or kept after the VM.

DescribeInstances tells which disks a VM has: the AMI, which says which it should have, is asked
only where VMs of one AMI differ, or a disk would outlive its VM. What the volumes are is compared
in volume_drift, and disks that others have attached stay as they are.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-device-mapping-concepts.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import STEP_TAG
from aws_setup.engine.step import Drift
from aws_setup.infrastructure.volume_drift import SETTLED_STATES, volume_drift

KEPT = "kept disks"
"""Key of the drift of disks that would outlive their VM, and be billed."""


def disk_drift(ctx: Context, active: Sequence[Item]) -> list[Drift]:
    """Return the drift of disks that are missing, changed, or are not deleted with their VM."""
    drift = volume_drift(ctx, active)
    for item in active:
        if _is_doubtful(ctx, item):
            missing = sorted(_devices_of_ami(ctx, item) - _devices(item))
            drift += [_missing(item, device) for device in missing]
    if kept := sorted(f"{vm} {device}" for vm, device in _kept(ctx, active)):
        drift.append(Drift("disks kept after their VM", ", ".join(kept), "none", key=KEPT))
    return drift


def _missing(instance: Item, device: str) -> Drift:
    vm = instance["InstanceId"]
    return Drift(
        f"disk {device} of {vm}",
        "detached or deleted",
        "a disk",
        f"stop {vm}, run `aws ec2 attach-volume --instance-id {vm} --device {device} --volume-id` "
        f"with its volume's id, and start it; without the volume run `aws ec2 "
        f"terminate-instances --instance-ids {vm}`, then create again: the VM is replaced",
    )


def _is_doubtful(ctx: Context, instance: Item) -> bool:
    """Whether a VM lacks its root, what another one of the AMI has, or a disk with its tags."""
    if instance["State"]["Name"] not in SETTLED_STATES:
        return False
    ami, has = instance["ImageId"], _devices(instance)
    peers = [it for it in ctx.inventory.all("instances") if it["ImageId"] == ami]
    lost = instance.get("RootDeviceName") not in (None, "", *has)
    return lost or any(_devices(peer) - has for peer in peers) or _has_detached(ctx, instance)


def _has_detached(ctx: Context, instance: Item) -> bool:
    """Whether a disk with the tags of a VM's step is attached to none: each VM's have them."""
    step = "" if ctx.owned_only else tag_of(instance, STEP_TAG)
    disks = ctx.inventory.of_step("volumes", step) if step else []
    return any(disk["State"] == "available" for disk in disks)


def _devices(instance: Item) -> set[str]:
    return {str(disk["DeviceName"]) for disk in instance.get("BlockDeviceMappings", [])}


def _devices_of_ami(ctx: Context, instance: Item) -> set[str]:
    """Return the devices at which the AMI of a VM has disks; none where it is not known."""
    return {
        str(disk["DeviceName"])
        for image in ctx.inventory.all("images")
        if image["ImageId"] == instance["ImageId"]
        for disk in image.get("BlockDeviceMappings", ())
        if "Ebs" in disk
    }


def _kept(ctx: Context, active: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """Yield VM and device of the AMI's disks that the VM's termination would not delete."""
    for instance in active:
        for disk in instance.get("BlockDeviceMappings", []):
            if disk.get("Ebs", {}).get("DeleteOnTermination") is not False:
                continue
            if disk["DeviceName"] in _devices_of_ami(ctx, instance):
                yield str(instance["InstanceId"]), str(disk["DeviceName"])


def delete_with_vms(ctx: Context, active: Sequence[Item]) -> None:
    """Have every disk of the AMI deleted with its VM."""
    for vm, device in _kept(ctx, active):
        change: Any = {"DeviceName": device, "Ebs": {"DeleteOnTermination": True}}
        ctx.aws.ec2.modify_instance_attribute(InstanceId=vm, BlockDeviceMappings=[change])
