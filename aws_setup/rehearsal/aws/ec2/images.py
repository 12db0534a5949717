"""AMIs: the configured AMIs, by default those of λFS; deprecation.

EC2 user guide, "Deprecate an Amazon EC2 AMI": a deprecated AMI is listed by id, or with
IncludeDeprecated, or to its owner, and can still be launched.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

from aws_setup.rehearsal.aws.ec2.describe import apply_filters, paginate
from aws_setup.rehearsal.core.settings import ACCOUNT, Image
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

PUBLISHER = "111122223333"
"""Account that owns the configured AMIs (an example number of AWS's documentation)."""

ROOT_GB = 8
"""Size of every AMI's root disk; the size of the real AMIs is unknown."""

FILTERS = {
    "image-id": "ImageId",
    "name": "Name",
    "owner-id": "OwnerId",
    "state": "State",
    "architecture": "Architecture",
    "root-device-type": "RootDeviceType",
    "virtualization-type": "VirtualizationType",
    "is-public": "Public",
}


class SharedSnapshots(dict[tuple[str, str], dict[str, Any]]):
    """The snapshots of published AMIs by region and id, as DescribeSnapshots returns them."""


class Images(dict[tuple[str, str], dict[str, Any]]):
    """The AMIs by region and id, as DescribeImages returns them."""


def start(cloud: CloudApi) -> None:
    """Publish the configured AMIs."""
    images = cloud.store_of(Images)
    for image in cloud.settings.images:
        published = images[image.region, image.id] = _published(image)
        if image.shared_snapshots:
            _share(cloud, image.region, published)


def _share(cloud: CloudApi, region: str, image: dict[str, Any]) -> None:
    for disk in image["BlockDeviceMappings"]:
        key, size = disk["Ebs"]["SnapshotId"], disk["Ebs"]["VolumeSize"]
        cloud.store_of(SharedSnapshots)[region, key] = {
            "SnapshotId": key,
            "OwnerId": PUBLISHER,
            "State": "completed",
            "Progress": "100%",
            "VolumeSize": size,
            "Encrypted": False,
            "StartTime": datetime(2023, 11, 1, tzinfo=UTC),
            "VolumeId": "vol-ffffffff",
            "Tags": [],
        }


def _published(image: Image) -> dict[str, Any]:
    return {
        "ImageId": image.id,
        "Name": image.name,
        "OwnerId": PUBLISHER,
        "State": "available",
        "Public": True,
        "Architecture": "x86_64",
        "ImageType": "machine",
        "RootDeviceName": "/dev/sda1",
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EnaSupport": True,
        "CreationDate": "2023-11-01T00:00:00.000Z",
        "DeprecationTime": image.deprecated,
        "BlockDeviceMappings": _disks(image),
        "Tags": [],
    }


def _disks(image: Image) -> list[dict[str, Any]]:
    disks = [_disk(image, "/dev/sda1", ROOT_GB, delete=True)]
    if image.second_disk_gb:
        disks.append(_disk(image, "/dev/sdb", image.second_disk_gb, delete=False))
    return disks


def _disk(image: Image, device: str, size: int, *, delete: bool) -> dict[str, Any]:
    digest = hashlib.sha256(f"{image.id} {device}".encode()).hexdigest()
    ebs = {
        "SnapshotId": f"snap-{digest[:17]}",
        "DeleteOnTermination": delete,
        "VolumeSize": size,
        "VolumeType": "gp2",
        "Encrypted": False,
    }
    return {"DeviceName": device, "Ebs": ebs}


def find_image(cloud: CloudApi, region: str, image_id: str) -> dict[str, Any]:
    """Return an AMI; raises InvalidAMIID.Malformed or .NotFound (EC2 error codes)."""
    if not re.fullmatch(r"ami-([0-9a-f]{8}|[0-9a-f]{17})", image_id):
        raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image_id}"')
    found = cloud.store_of(Images).get((region, image_id))
    if found is None:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    return found


def launchable_image(cloud: CloudApi, region: str, image_id: str) -> dict[str, Any]:
    """Return an AMI that can be launched; raises InvalidAMIID.Unavailable while it is copied."""
    image = find_image(cloud, region, image_id)
    if image["State"] != "available":
        message = f"The image ID '{image_id}' is not available: it is {image['State']}"
        raise AwsError("InvalidAMIID.Unavailable", message)
    return image


def _describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    image_ids = call.params.get("ImageIds", [])
    if image_ids:
        items = [find_image(cloud, call.region, image_id) for image_id in image_ids]
    else:
        items = [
            image for (region, _), image in cloud.store_of(Images).items() if region == call.region
        ]
        if not call.params.get("IncludeDeprecated"):
            items = [image for image in items if _is_listed(image)]
    owners = {ACCOUNT if o == "self" else o for o in call.params.get("Owners", [])}
    items = [image for image in items if not owners or image["OwnerId"] in owners]
    return paginate(call, apply_filters(items, call.params.get("Filters", []), FILTERS), "Images")


def _is_listed(image: dict[str, Any]) -> bool:
    if image["OwnerId"] == ACCOUNT or not image.get("DeprecationTime"):
        return True
    ends = datetime.fromisoformat(image["DeprecationTime"])
    return ends > datetime.now(UTC)


def _deregister(cloud: CloudApi, call: Call) -> dict[str, Any]:
    image = find_image(cloud, call.region, call.params["ImageId"])
    if image["OwnerId"] != ACCOUNT:
        message = f"You do not own the image '{image['ImageId']}'"
        raise AwsError("AuthFailure", message, status=403)
    del cloud.store_of(Images)[call.region, image["ImageId"]]
    return {"Return": True}


def list_resources(cloud: CloudApi) -> list[Resource]:
    """List the AMIs that the account owns; only their snapshots are billed."""
    return [
        Resource("ec2", "image", image_id, region, str(image["State"]), tags=tags_of(image))
        for (region, image_id), image in cloud.store_of(Images).items()
        if image["OwnerId"] == ACCOUNT
    ]


def tags_of(item: dict[str, Any]) -> dict[str, str]:
    """Return the tags of an AMI or a snapshot."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in item.get("Tags", [])}


ANSWERS = {
    ("ec2", "DescribeImages"): _describe,
    ("ec2", "DeregisterImage"): _deregister,
}
