"""Checks that the published AMIs can be copied: AWS also needs their snapshots to be shared.

That an AMI is public lets others launch it. To copy it, its owner must have shared the snapshots,
too; without, CopyImage answers "You do not have permission to access the storage of this ami".
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html
https://github.com/clong/DetectionLab/issues/422
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aws_setup.aws.session import pages
from aws_setup.config.amis import DEFAULT_AMIS, DEFAULT_REGION
from aws_setup.infrastructure.ami_copies import copy_name
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse


def check(planned: PlannedResources) -> CheckResult:
    """Check the source of every AMI that this run copies."""
    copied = {
        ami.id: key for key, ami in DEFAULT_AMIS.items() if copy_name(key) in planned.to_create
    }
    if not copied:
        return CheckResult()
    client = planned.ctx.aws.brief("ec2", region=DEFAULT_REGION)
    # With a filter AWS leaves out what does not exist; with ids it refuses the whole call. The AMIs
    # are deprecated, which hides them without IncludeDeprecated.
    named = [{"Name": "image-id", "Values": sorted(copied)}]
    images = pages(client, "describe_images", "Images", Filters=named, IncludeDeprecated=True)
    known = {str(image["ImageId"]): image for image in images}
    findings = [_gone(ami, key) for ami, key in copied.items() if ami not in known]
    return CheckResult.of([*findings, *_unreadable(planned, client, list(known.values()))])


def _gone(ami: str, key: str) -> Finding:
    return refuse(
        f"the AMI {ami} cannot be copied",
        f"it does not exist in {DEFAULT_REGION} any more, or is shared with no other account",
        f"set {key} to an AMI of this region",
    )


def _unreadable(planned: PlannedResources, client: Any, images: Sequence[Any]) -> Iterator[Finding]:
    """Refuse the copies of AMIs with snapshots that this account may not read.

    DescribeSnapshots lists those that are public, its own, or shared with it.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
    """
    account = planned.ctx.aws.identity.account
    used = {
        str(image["ImageId"]): [
            str(disk["Ebs"]["SnapshotId"])
            for disk in image["BlockDeviceMappings"]
            if disk.get("Ebs", {}).get("SnapshotId")
        ]
        for image in images
        if image["OwnerId"] != account
    }
    ids = sorted({snapshot for snapshots in used.values() for snapshot in snapshots})
    if not ids:
        return
    filters = [{"Name": "snapshot-id", "Values": ids}]
    listed = pages(client, "describe_snapshots", "Snapshots", Filters=filters)
    readable = {str(item["SnapshotId"]) for item in listed}
    for image in images:
        ami = str(image["ImageId"])
        if hidden := [it for it in used.get(ami, []) if it not in readable]:
            yield _hidden(planned, image, hidden)


def _hidden(planned: PlannedResources, image: Any, hidden: Sequence[str]) -> Finding:
    ami, account = image["ImageId"], planned.ctx.aws.identity.account
    return refuse(
        f"the AMI {ami} cannot be copied to {planned.ctx.aws.region}",
        f"its owner, {image['OwnerId']}, has not shared {', '.join(hidden)} with account "
        f"{account}: CopyImage needs the snapshots of an AMI, too",
        f"use aws_region: {DEFAULT_REGION}, where the AMI can be launched; or launch an instance "
        "from it there, make an AMI of your own with `aws ec2 create-image`, copy that and set its "
        "key; or have its owner run `aws ec2 modify-snapshot-attribute --attribute "
        f"createVolumePermission --operation-type add --user-ids {account} --snapshot-id "
        f"{hidden[0]}`" + (", and the same for the others" if len(hidden) > 1 else ""),
    )
