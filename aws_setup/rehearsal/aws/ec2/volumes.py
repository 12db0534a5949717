"""ModifyVolume and its states: what each type can have, no shrinking, once in six hours.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVolume.html
https://docs.aws.amazon.com/ebs/latest/userguide/modify-volume-requirements.html
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.aws.ec2.describe import apply_filters, paginate
from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

SETTINGS = {
    "Size": "size",
    "VolumeType": "volume_type",
    "Iops": "iops",
    "Throughput": "throughput",
}
"""Parameter of ModifyVolume -> moto's attribute of a volume."""

FILTERS = {
    "volume-id": "VolumeId",
    "modification-state": "ModificationState",
    "original-size": "OriginalSize",
    "original-iops": "OriginalIops",
    "original-volume-type": "OriginalVolumeType",
    "start-time": "StartTime",
    "target-size": "TargetSize",
    "target-iops": "TargetIops",
    "target-volume-type": "TargetVolumeType",
}


@dataclass(frozen=True)
class VolumeType:
    """What volumes of a type can have: GiB, IOPS and MiB/s; None: not to be set."""

    size: tuple[int, int]
    iops: tuple[int, int] | None = None
    throughput: tuple[int, int] | None = None


TYPES = {
    "gp2": VolumeType((1, 16_384)),
    "gp3": VolumeType((1, 65_536), (3000, 80_000), (125, 2000)),
    "io1": VolumeType((4, 16_384), (100, 64_000)),
    "io2": VolumeType((4, 65_536), (100, 256_000)),
    "st1": VolumeType((125, 16_384)),
    "sc1": VolumeType((125, 16_384)),
}
"""Magnetic volumes (`standard`) are no target of a modification."""


class Modifications(dict[str, dict[str, Any]]):
    """The newest modification of each volume, as DescribeVolumesModifications shows it."""


class RecentlyModified(set[str]):
    """The volumes that cannot be modified yet."""


def _find(cloud: CloudApi, call: Call, volume_id: str) -> Any:
    volume = ec2_backend(cloud, call).volumes.get(volume_id)
    if volume is None:
        raise AwsError("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
    return volume


def _check(cloud: CloudApi, call: Call) -> None:
    """ModifyVolume, also as a dry run."""
    volume = _find(cloud, call, call.params["VolumeId"])
    if not SETTINGS.keys() & call.params.keys():
        message = "Invalid input: Must specify at least one of size, type, iops or throughput"
        raise AwsError("InvalidParameterValue", message)
    _check_target(volume, call.params)
    newest = cloud.store_of(Modifications).get(volume.id, {})
    if newest.get("ModificationState") in ("modifying", "optimizing"):
        state = newest["ModificationState"].upper()
        message = f"Volume {volume.id} cannot be modified in modification state {state}"
        raise AwsError("IncorrectModificationState", message)
    if volume.id in cloud.store_of(RecentlyModified):
        message = (
            "You've reached the maximum modification rate per volume limit. Wait at least 6 hours "
            "between modifications per EBS volume."
        )
        raise AwsError("VolumeModificationRateExceeded", message)


def _check_target(volume: Any, params: dict[str, Any]) -> None:
    size = int(params.get("Size", volume.size))
    if size < volume.size:
        message = "New size cannot be smaller than existing size"
        raise AwsError("InvalidParameterValue", message)
    kind = params.get("VolumeType", volume.volume_type)
    allowed = TYPES.get(kind)
    if allowed is None:
        message = f"Volumes cannot be modified to the type {kind}"
        raise AwsError("InvalidParameterValue", message)
    if not allowed.size[0] <= size <= allowed.size[1]:
        message = f"Volume of {size}GiB is invalid for volume type {kind}; it is outside the range"
        raise AwsError("InvalidParameterValue", f"{message} {allowed.size[0]} to {allowed.size[1]}")
    _check_number("iops", params.get("Iops"), allowed.iops, kind)
    _check_number("throughput", params.get("Throughput"), allowed.throughput, kind)
    if kind in ("io1", "io2") and not (params.get("Iops") or volume.iops):
        message = f"The parameter iops must be specified for {kind} volumes"
        raise AwsError("MissingParameter", message)


def _check_number(name: str, value: Any, allowed: tuple[int, int] | None, kind: str) -> None:
    if value is None:
        return
    if allowed is None:
        message = f"The parameter {name} is not supported for {kind} volumes"
        raise AwsError("InvalidParameterCombination", message)
    if not allowed[0] <= int(value) <= allowed[1]:
        message = f"Volume {name} of {value} is outside the range {allowed[0]} to {allowed[1]}"
        raise AwsError("InvalidParameterValue", message)


def _target(volume: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return what the volume will have: what its type has by itself where nothing is asked."""
    kind = params.get("VolumeType", volume.volume_type)
    allowed, size = TYPES[kind], int(params.get("Size", volume.size))
    target = {"Size": size, "VolumeType": kind}
    iops, throughput = params.get("Iops", volume.iops), params.get("Throughput", volume.throughput)
    if kind == "gp2":
        target["Iops"] = min(max(100, 3 * size), 16_000)
    if allowed.iops:
        target["Iops"] = max(int(iops or 0), allowed.iops[0])
    if allowed.throughput:
        target["Throughput"] = max(int(throughput or 0), allowed.throughput[0])
    return target


def _modify(cloud: CloudApi, call: Call) -> dict[str, Any]:
    volume = _find(cloud, call, call.params["VolumeId"])
    target = _target(volume, call.params)
    had = {name: getattr(volume, attribute) for name, attribute in SETTINGS.items()}
    modification = {
        "VolumeId": volume.id,
        "ModificationState": "modifying",
        "Progress": 0,
        "StartTime": cloud.clock.today(),
        **{f"Original{name}": value for name, value in had.items() if value},
        **{f"Target{name}": value for name, value in target.items()},
    }
    cloud.store_of(Modifications)[volume.id] = modification
    recent = cloud.store_of(RecentlyModified)
    recent.add(volume.id)

    def apply() -> None:
        for name, attribute in SETTINGS.items():
            setattr(volume, attribute, target.get(name))
        modification.update(ModificationState="optimizing", Progress=1)
        cloud.schedule("volume optimized", done)

    def done() -> None:
        modification.update(
            ModificationState="completed", Progress=100, EndTime=cloud.clock.today()
        )

    cloud.schedule("volume modified", apply)
    cloud.schedule("volume modifiable again", lambda: recent.discard(volume.id))
    return {"VolumeModification": dict(modification)}


def _describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    ids = call.params.get("VolumeIds") or []
    for volume_id in ids:
        _find(cloud, call, volume_id)
    known = ec2_backend(cloud, call).volumes
    items = [
        dict(item)
        for volume_id, item in cloud.store_of(Modifications).items()
        if volume_id in known and (not ids or volume_id in ids)
    ]
    chosen = apply_filters(items, call.params.get("Filters", []), FILTERS)
    return paginate(call, chosen, "VolumesModifications")


def _lost(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """DescribeVolumes: volumes whose hardware has failed are in the state `error`."""
    if cloud.faults.stuck("volume") == "error":
        for volume in answer["Volumes"]:
            if any(it["Device"] != ROOT for it in volume.get("Attachments", [])):
                volume["State"] = "error"


def _detach(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DetachVolume: no instance need be named; a root disk stays until that has stopped.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachVolume.html
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-detaching-volume.html
    """
    volume = _find(cloud, call, call.params["VolumeId"])
    held = volume.attachment
    if held is None:
        message = f"Volume '{volume.id}' is in the 'available' state."
        raise AwsError("IncorrectState", message)
    if held.device == ROOT and held.instance.state != "stopped":
        message = f"Unable to detach root volume '{ROOT}' from instance '{held.instance.id}'"
        raise AwsError("OperationNotPermitted", message)
    named = {"VolumeId": volume.id, "InstanceId": held.instance.id, "Device": held.device}
    return dict(cloud.ask_action(call, "DetachVolume", **named))


ROOT = "/dev/sda1"
"""The device of the root disk of every AMI."""

AFTER = {("ec2", "DescribeVolumes"): _lost}
ANSWERS = {
    ("ec2", "DetachVolume"): _detach,
    ("ec2", "ModifyVolume"): _modify,
    ("ec2", "DescribeVolumesModifications"): _describe,
}
BEFORE = {("ec2", "ModifyVolume"): _check}
