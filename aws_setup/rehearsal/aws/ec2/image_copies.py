"""CopyImage, the snapshots of the copies, which outlive them, and those of volumes.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html: only within a partition; the
snapshots are the account's own, and deregistering an AMI keeps them.
"""

from __future__ import annotations

import copy
import itertools
import re
from datetime import UTC, datetime
from typing import Any

from aws_setup.rehearsal.aws.ec2.describe import apply_filters, paginate
from aws_setup.rehearsal.aws.ec2.images import Images, SharedSnapshots, find_image, tags_of
from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend, tags_for
from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
"""Names of AMIs (CreateImage, CopyImage)."""

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")

FILTERS = {
    "snapshot-id": "SnapshotId",
    "owner-id": "OwnerId",
    "status": "State",
    "encrypted": "Encrypted",
    "volume-size": "VolumeSize",
}


class Snapshots(dict[tuple[str, str], dict[str, Any]]):
    """The account's snapshots by region and id, as DescribeSnapshots returns them."""

    numbers = itertools.count(1)


def _copy(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CopyImage: pending until its snapshots are complete."""
    params = call.params
    _check(cloud, params)
    source = find_image(cloud, params["SourceRegion"], params["SourceImageId"])
    if source["State"] != "available":
        message = f"The image ID '{source['ImageId']}' is not available"
        raise AwsError("InvalidAMIID.Unavailable", message)
    _check_storage(cloud, params["SourceRegion"], source)
    images = cloud.store_of(Images)
    number = next(cloud.store_of(Snapshots).numbers)
    copied = copy.deepcopy(source) | {
        "ImageId": f"ami-{number:017x}",
        "Name": params["Name"],
        "OwnerId": ACCOUNT,
        "Public": False,
        "State": "pending",
        "CreationDate": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "Tags": _tags(params, "image"),
    }
    copied.pop("DeprecationTime", None)
    snapshots = [
        _snapshot(cloud, call, disk["Ebs"])
        for disk in copied["BlockDeviceMappings"]
        if "Ebs" in disk
    ]
    images[call.region, copied["ImageId"]] = copied

    def finish() -> None:
        copied["State"] = "available"
        for snapshot in snapshots:
            snapshot.update(State="completed", Progress="100%")

    cloud.schedule("image available", finish)
    return {"ImageId": copied["ImageId"]}


def _check(cloud: CloudApi, params: dict[str, Any]) -> None:
    name, region = str(params["Name"]), str(params["SourceRegion"])
    if not NAME.fullmatch(name):
        raise AwsError("InvalidAMIName.Malformed", f"AMI names must match the pattern: {name}")
    if not REGION.fullmatch(region) or _partition(region) != cloud.settings.partition:
        message = f"Invalid value '{region}' for SourceRegion"
        raise AwsError("InvalidParameterValue", message)
    if params.get("KmsKeyId") and not params.get("Encrypted"):
        message = "KmsKeyId must not be specified when Encrypted is not true"
        raise AwsError("InvalidParameterCombination", message)


def _check_storage(cloud: CloudApi, region: str, image: dict[str, Any]) -> None:
    """Reject the copy of an AMI of others whose snapshots are not shared.

    https://github.com/clong/DetectionLab/issues/422
    """
    disks = [disk["Ebs"]["SnapshotId"] for disk in image["BlockDeviceMappings"] if "Ebs" in disk]
    shared = cloud.store_of(SharedSnapshots)
    if image["OwnerId"] != ACCOUNT and any((region, disk) not in shared for disk in disks):
        message = "You do not have permission to access the storage of this ami"
        raise AwsError("InvalidRequest", message)


def _partition(region: str) -> str:
    names = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
    return next((names[part] for part in names if region.startswith(f"{part}-")), "aws")


def _snapshot(cloud: CloudApi, call: Call, ebs: dict[str, Any]) -> dict[str, Any]:
    """Create the snapshot of a copied disk; an encrypted source stays encrypted."""
    snapshots = cloud.store_of(Snapshots)
    snapshot_id = f"snap-{next(snapshots.numbers):017x}"
    encrypted = bool(call.params.get("Encrypted") or ebs.get("Encrypted"))
    ebs |= {"SnapshotId": snapshot_id, "Encrypted": encrypted}
    made = {
        "SnapshotId": snapshot_id,
        "OwnerId": ACCOUNT,
        "State": "pending",
        "Progress": "0%",
        "VolumeSize": ebs["VolumeSize"],
        "Encrypted": encrypted,
        "StartTime": datetime.now(UTC),
        "VolumeId": "vol-ffffffff",
        "Tags": _tags(call.params, "snapshot"),
    }
    snapshots[call.region, snapshot_id] = made
    return made


def _create(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateSnapshot: pending until its volume is copied.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshot.html
    """
    volume_id = call.params["VolumeId"]
    volume = ec2_backend(cloud, call).volumes.get(volume_id)
    if volume is None:
        raise AwsError("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
    disk = {"VolumeSize": volume.size, "Encrypted": volume.encrypted}
    made = _snapshot(cloud, call, disk) | {"VolumeId": volume_id}
    made["Description"] = call.params.get("Description", "")
    cloud.store_of(Snapshots)[call.region, made["SnapshotId"]] = made

    def finish() -> None:
        made.update(State="completed", Progress="100%")

    cloud.schedule("snapshot completed", finish)
    return dict(made)


def _tags(params: dict[str, Any], kind: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags_for(params, kind).items()]


def _find(cloud: CloudApi, call: Call, snapshot_id: str) -> dict[str, Any]:
    if not re.fullmatch(r"snap-([0-9a-f]{8}|[0-9a-f]{17})", snapshot_id):
        raise AwsError("InvalidSnapshotID.Malformed", f'Invalid id: "{snapshot_id}"')
    found = cloud.store_of(Snapshots).get((call.region, snapshot_id))
    if found is None:
        raise AwsError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    return found


def _describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeSnapshots: the account's own, and the public ones of published AMIs."""
    ids = call.params.get("SnapshotIds", [])
    owned = [
        item
        for store in (cloud.store_of(Snapshots), cloud.store_of(SharedSnapshots))
        for (region, _), item in store.items()
        if region == call.region
    ]
    items = [_find(cloud, call, snapshot_id) for snapshot_id in ids] if ids else owned
    owners = {ACCOUNT if owner == "self" else owner for owner in call.params.get("OwnerIds", [])}
    items = [item for item in items if not owners or item["OwnerId"] in owners]
    return paginate(
        call, apply_filters(items, call.params.get("Filters", []), FILTERS), "Snapshots"
    )


def _delete(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteSnapshot: refused while a registered AMI uses the snapshot."""
    snapshot = _find(cloud, call, call.params["SnapshotId"])
    for (region, image_id), image in cloud.store_of(Images).items():
        disks = (disk.get("Ebs", {}) for disk in image["BlockDeviceMappings"])
        if region == call.region and snapshot["SnapshotId"] in {d.get("SnapshotId") for d in disks}:
            message = f"The snapshot {snapshot['SnapshotId']} is currently in use by {image_id}"
            raise AwsError("InvalidSnapshot.InUse", message)
    del cloud.store_of(Snapshots)[call.region, snapshot["SnapshotId"]]
    return {}


def list_resources(cloud: CloudApi) -> list[Resource]:
    """List the account's snapshots, which are billed."""
    return [
        Resource("ec2", "snapshot", key, region, str(item["State"]), True, tags_of(item))
        for (region, key), item in cloud.store_of(Snapshots).items()
    ]


ANSWERS = {
    ("ec2", "CopyImage"): _copy,
    ("ec2", "CreateSnapshot"): _create,
    ("ec2", "DescribeSnapshots"): _describe,
    ("ec2", "DeleteSnapshot"): _delete,
}
