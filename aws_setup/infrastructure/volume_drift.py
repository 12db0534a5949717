"""The volumes of VMs that were changed by hand: type, IOPS, throughput, size, encryption and tags.

The AMI says what each should be. What AWS can change in place is changed; a bigger volume cannot
shrink and is kept. One list call for all VMs, and another where a volume has lost its tag.
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modify-volume.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tag_drift import TaggedItem, Write, is_own, tags_of
from aws_setup.aws.tags import STEP_TAG
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.engine.step import Drift
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem, SetupError

GP3 = {"Iops": 3000, "Throughput": 125}
"""What a gp3 volume has unless it is given more (API_EbsBlockDevice)."""

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "gp3": ("Iops", "Throughput"),
    "io1": ("Iops",),
    "io2": ("Iops",),
}
"""Type -> what can be set of its performance; that of other types follows from their size."""

MAGNETIC = "standard"
"""The one type that no volume can be changed back to (modify-volume-requirements)."""

REFUSED_NOW = ("VolumeModificationRateExceeded", "IncorrectModificationState")
"""Codes of a volume that was modified shortly before (EC2 error codes)."""

COOLDOWN = timedelta(hours=6)
"""Between two modifications of a volume (API_ModifyVolume)."""

SETTLED_STATES = ("running", "stopped")
"""States of a VM in which all its disks are attached."""

KEPT = ("VolumeId", "VolumeType", "Size", "Iops", "Throughput")
"""What a copy keeps of a volume that is changed."""

VOLUMES = "volumes"
"""Key of the drift of volumes that ModifyVolume corrects."""

UNITS = {"Size": " GiB", "Iops": " IOPS", "Throughput": " MiB/s"}


@dataclass(frozen=True)
class Disk:
    """A volume of the deployment at a device at which the AMI of its VM has a disk."""

    vm: Item
    device: str
    volume: Item
    wants: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The id of the volume."""
        return str(self.volume["VolumeId"])

    @property
    def what(self) -> str:
        """The disk as texts name it."""
        return f"disk {self.device} of {self.vm['InstanceId']}"

    @property
    def changes(self) -> dict[str, Any]:
        """What ModifyVolume has to set; no smaller size, which AWS refuses."""
        return {
            key: value
            for key, value in self.wants.items()
            if _setting(self.volume, key) != value and not (key == "Size" and self.surplus)
        }

    @property
    def surplus(self) -> int:
        """By how many GiB it is bigger than it should be."""
        wanted = self.wants.get("Size")
        return max(0, int(self.volume["Size"]) - int(wanted)) if wanted else 0


def _setting(volume: Item, key: str) -> Any:
    return volume.get(key) or (GP3.get(key) if volume["VolumeType"] == "gp3" else None)


def wanted_settings(disk: Item) -> dict[str, Any]:
    """Return type, size and performance of a volume that is made from an AMI's disk."""
    kind, size = disk.get("VolumeType"), disk.get("VolumeSize")
    wants = {"VolumeType": kind, "Size": size} if kind and size else {}
    if kind == MAGNETIC:
        wants.pop("VolumeType", None)
    defaults = GP3 if kind == "gp3" else {}
    for key in SETTINGS.get(str(kind), ()):
        if value := disk.get(key) or defaults.get(key):
            wants[key] = value
    return wants


def disks_of(ctx: Context, active: Sequence[Item]) -> list[Disk]:
    """Return the volumes of VMs at the devices of their AMIs; those of others are left alone."""
    at = {
        disk["Ebs"]["VolumeId"]: (vm, str(disk["DeviceName"]))
        for vm in active
        if vm["State"]["Name"] in SETTLED_STATES
        for disk in vm.get("BlockDeviceMappings", [])
        if "VolumeId" in disk.get("Ebs", {})
    }
    if not at or ctx.owned_only:
        return []
    images = {image["ImageId"]: image for image in ctx.inventory.all("images")}
    found = []
    for volume in _volumes(ctx, at):
        vm, device = at[volume["VolumeId"]]
        disks = images.get(vm["ImageId"], {}).get("BlockDeviceMappings", [])
        of_ami = {str(it["DeviceName"]): it["Ebs"] for it in disks if "Ebs" in it}
        if device in of_ami:
            found.append(Disk(vm, device, volume, wanted_settings(of_ami[device])))
    return sorted(found, key=lambda disk: disk.what)


def _volumes(ctx: Context, at: Mapping[str, tuple[Item, str]]) -> list[Item]:
    """Return the deployment's volumes of some ids, those that have lost one of its tags too."""
    own = [it for it in ctx.inventory.all("volumes") if it["VolumeId"] in at]
    missing = sorted(at.keys() - {it["VolumeId"] for it in own})
    if not missing:
        return own
    filters: Any = [{"Name": "volume-id", "Values": missing}]
    listed = pages(ctx.aws.ec2, "describe_volumes", "Volumes", Filters=filters)
    return [*own, *(it for it in listed if _is_own(ctx, it, at[it["VolumeId"]][0]))]


def _is_own(ctx: Context, volume: Item, vm: Item) -> bool:
    step = tag_of(vm, STEP_TAG)
    return is_own(tags_of(volume), deployment=ctx.config.deployment_name, step=step)


def volume_drift(ctx: Context, active: Sequence[Item]) -> list[Drift]:
    """Return the drift of the volumes of VMs, and warn of those that are bigger than the AMI's.

    Without permission to list volumes there is a warning and no drift.
    """

    def unknown(reason: str) -> list[Disk]:
        what = "the disks of the VMs are not compared with their AMIs"
        ctx.warn(Problem(what, reason, "allow ec2:DescribeVolumes and ec2:DescribeImages"))
        return []

    disks = advice(lambda: disks_of(ctx, active), unknown)
    return [drift for disk in disks for drift in _of(ctx, disk)]


def tagged_volumes(
    ctx: Context, active: Sequence[Item], wanted: Mapping[str, str], write: Write
) -> list[TaggedItem]:
    """Return the volumes of VMs with the tags that they have and should have."""
    disks = advice(lambda: disks_of(ctx, active), lambda _: [])
    return [TaggedItem(disk.id, tags_of(disk.volume), wanted, write) for disk in disks]


def _of(ctx: Context, disk: Disk) -> Iterator[Drift]:
    if disk.volume.get("State") == "error":
        yield _failed(disk)
        return
    if disk.changes:
        has = {key: _setting(disk.volume, key) for key in disk.changes}
        former = {key: disk.volume[key] for key in KEPT if key in disk.volume}
        yield Drift(disk.what, _text(has), _text(disk.changes), key=VOLUMES, replaces=former)
    if disk.volume.get("Encrypted") is False:
        vm = disk.vm["InstanceId"]
        fix = (
            f"EBS cannot encrypt a volume in place: copy a snapshot of {disk.id} with `aws ec2 "
            f"copy-snapshot --encrypted`, make a volume of it with the same tags and attach that "
            f"at {disk.device}; or, without its data, run `aws ec2 terminate-instances "
            f"--instance-ids {vm}`, then create again: the VM is replaced"
        )
        yield Drift(disk.what, f"{disk.id} is not encrypted", "encrypted", fix)
    if disk.surplus:
        ctx.warn(
            Problem(
                f"{disk.what} has {disk.volume['Size']} GiB, {disk.surplus} more than its AMI",
                "EBS cannot shrink a volume: it is kept, and billed with its size",
                "nothing has to be done; a VM that is replaced gets the AMI's size again",
            )
        )


def _failed(disk: Disk) -> Drift:
    """Return the conflict of a volume whose hardware has failed: its data cannot be read again.

    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-describing-volumes.html#volume-state
    """
    vm = disk.vm["InstanceId"]
    fix = (
        f"run `aws ec2 terminate-instances --instance-ids {vm}`, then create again: the VM is "
        "replaced; or restore the volume from a snapshot of yours"
    )
    return Drift(disk.what, f"{disk.id} is in the state error, its data is lost", "in use", fix)


def _text(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{value or 'no'}{UNITS.get(key, '')}" for key, value in settings.items())


def restore_volumes(ctx: Context, active: Sequence[Item], drift: Sequence[Drift]) -> None:
    """Change in place what can be, and return when AWS has applied it; the VMs keep running.

    Raises:
        SetupError: a volume was modified shortly before, or AWS could not modify it.
    """
    if not any(each.key == VOLUMES for each in drift):
        return
    ctx.inventory.refresh("volumes")
    changed = [disk for disk in disks_of(ctx, active) if disk.changes]
    reasons = {disk.id: reason for disk in changed if (reason := _modify(ctx, disk))}
    if not changed:
        return
    requested = _modifications(ctx, [disk.id for disk in changed])
    later = [it for it in changed if it.id in reasons and not _asked(it, requested.get(it.id, {}))]
    begun = [disk for disk in changed if disk not in later]
    if begun:
        ids = [disk.id for disk in begun]
        named = f"{begun[0].what} is" if len(begun) == 1 else ""
        what = f"{named or count_of(len(begun), 'disk is', 'disks are')} modified"
        takes = MEDIANS["volume modified"]
        ctx.wait_until(what, lambda: _probe(ctx, ids), deadline=1800, pause=5, usual=takes)
    for disk in changed:
        if disk not in later and "Size" in disk.changes:
            ctx.warn(_grown(disk))
    if later:
        raise SetupError.all([_later(it, requested.get(it.id, {}), reasons[it.id]) for it in later])


def _modify(ctx: Context, disk: Disk) -> str:
    """Send the request; return AWS's reason where the volume cannot be modified again yet."""
    ctx.note(f"{disk.what} ({disk.id}): {_text(disk.changes)}")
    try:
        ctx.aws.ec2.modify_volume(VolumeId=disk.id, **disk.changes)
    except ClientError as error:
        if error_code(error) not in REFUSED_NOW:
            raise
        return str(error.response["Error"].get("Message", "")) or error_code(error)
    return ""


def _modifications(ctx: Context, ids: Sequence[str]) -> dict[str, Item]:
    """Return the newest modification of each volume that was ever modified."""
    filters: Any = [{"Name": "volume-id", "Values": list(ids)}]
    answer: Any = ctx.aws.ec2.describe_volumes_modifications(Filters=filters)
    listed = sorted(answer["VolumesModifications"], key=lambda it: it["StartTime"])
    return {it["VolumeId"]: it for it in listed}


def _asked(disk: Disk, modification: Item) -> bool:
    """Whether the newest modification is the wanted one: its answer was lost, or a run killed."""
    targets = {key: modification.get(f"Target{key}") for key in disk.changes}
    return targets == disk.changes and modification.get("ModificationState") != "failed"


def _probe(ctx: Context, ids: Sequence[str]) -> bool | Pending:
    """Return whether the new settings apply: from `optimizing` on, which takes up to a day.

    https://docs.aws.amazon.com/ebs/latest/userguide/monitoring-volume-modifications.html
    """
    states = _modifications(ctx, ids)
    for volume, modification in states.items():
        if modification["ModificationState"] == "failed":
            raise SetupError(
                f"AWS could not modify the volume {volume}",
                str(modification.get("StatusMessage") or "AWS gives no reason"),
                "run the same command again in six hours",
            )
    busy = [it for it in states.values() if it["ModificationState"] == "modifying"]
    if busy or len(states) < len(ids):
        return Pending(f"modifying, {min((it.get('Progress', 0) for it in busy), default=0)} %")
    return True


def _later(disk: Disk, modification: Item, reason: str) -> Problem:
    began = modification.get("StartTime")
    after = f"after {began + COOLDOWN:%H:%M} UTC" if began else "in six hours"
    return Problem(
        f"{disk.what} ({disk.id}) was modified shortly before and cannot be now",
        f"{reason.rstrip('.')}; it should have {_text(disk.changes)}",
        f"run the same command again {after}; everything else continues from here",
    )


def _grown(disk: Disk) -> Problem:
    """Return the hint at what EBS does not do.

    https://docs.aws.amazon.com/ebs/latest/userguide/recognize-expanded-volume-linux.html
    """
    return Problem(
        f"{disk.what} has grown to {disk.changes['Size']} GiB, its file system has not",
        "EBS changes the volume only",
        "run `sudo growpart` for its partition and `sudo resize2fs` or `xfs_growfs` on the VM",
    )
