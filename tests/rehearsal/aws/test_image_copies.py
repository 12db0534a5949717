"""CopyImage as EC2 does it: states, snapshots, encryption, tags, and what is refused."""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, refused

ZOOKEEPER = "ami-0700bf4465e5fd16d"
SOURCE = {"SourceImageId": ZOOKEEPER, "SourceRegion": "us-east-1", "Name": "zookeeper"}


def tagged(*kinds: str) -> Any:
    """Return TagSpecifications with a tag that names its kind."""
    return [{"ResourceType": kind, "Tags": [{"Key": "of", "Value": kind}]} for kind in kinds]


def test_a_copy_has_its_own_encrypted_tagged_snapshots(slow_cloud: RehearsalCloud) -> None:
    assert isinstance(slow_cloud.clock, ManualClock)
    ec2 = client("ec2", "eu-west-1")
    request = SOURCE | {"Encrypted": True, "TagSpecifications": tagged("image", "snapshot")}
    copied = ec2.copy_image(**request, ClientToken="one")["ImageId"]
    assert ec2.copy_image(**request, ClientToken="one")["ImageId"] == copied
    [pending] = ec2.describe_images(Owners=["self"])["Images"]
    assert (pending["State"], pending["Tags"]) == ("pending", [{"Key": "of", "Value": "image"}])
    assert "DeprecationTime" not in pending
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [(it["State"], it["Encrypted"], it["VolumeSize"]) for it in snapshots] == [
        ("pending", True, 8),
        ("pending", True, 100),
    ]
    assert snapshots[0]["Tags"] == [{"Key": "of", "Value": "snapshot"}]
    slow_cloud.clock.advance(300)
    assert ec2.describe_images(ImageIds=[copied])["Images"][0]["State"] == "available"
    states = {item["State"] for item in ec2.describe_snapshots()["Snapshots"]}
    assert states == {"completed"}
    first = snapshots[0]["SnapshotId"]
    assert refused(ec2.delete_snapshot, SnapshotId=first) == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=copied)
    assert len(ec2.describe_snapshots()["Snapshots"]) == 2, "they outlive the AMI, and are billed"
    billed = [item for item in slow_cloud.snapshot() if item.kind == "snapshot"]
    assert all(item.bills for item in billed)
    for snapshot in snapshots:
        ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    assert refused(ec2.delete_snapshot, SnapshotId=first) == "InvalidSnapshot.NotFound"
    assert not ec2.describe_snapshots()["Snapshots"]


def test_copies_that_ec2_refuses(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2", "eu-west-1")
    for changes, code in (
        ({"SourceImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"SourceImageId": "zookeeper"}, "InvalidAMIID.Malformed"),
        ({"SourceRegion": "eu-west-1"}, "InvalidAMIID.NotFound"),
        ({"SourceRegion": "cn-north-1"}, "InvalidParameterValue"),
        ({"SourceRegion": "nowhere"}, "InvalidParameterValue"),
        ({"Name": "no:colon"}, "InvalidAMIName.Malformed"),
        ({"KmsKeyId": "alias/mine"}, "InvalidParameterCombination"),
    ):
        assert refused(ec2.copy_image, **SOURCE | changes) == code
    assert not ec2.describe_images(Owners=["self"])["Images"]


def test_without_encryption_a_copy_stays_as_its_source(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2", "eu-west-1")
    ec2.copy_image(**SOURCE)
    assert not any(item["Encrypted"] for item in ec2.describe_snapshots()["Snapshots"])
