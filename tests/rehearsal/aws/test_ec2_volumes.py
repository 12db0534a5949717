"""ModifyVolume, against the EC2 API reference's page and the EBS user guide."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, refused


def made(ec2: Any, **settings: Any) -> str:
    volume = {"AvailabilityZone": "us-east-1a", "Size": 100, "VolumeType": "gp2"} | settings
    return str(ec2.create_volume(**volume)["VolumeId"])


@pytest.mark.kind("A2")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Size": 99}, "InvalidParameterValue"),
        ({}, "InvalidParameterValue"),
        ({"VolumeType": "standard"}, "InvalidParameterValue"),
        ({"Iops": 3000}, "InvalidParameterCombination"),
        ({"VolumeType": "gp3", "Iops": 100}, "InvalidParameterValue"),
        ({"VolumeType": "gp3", "Throughput": 5000}, "InvalidParameterValue"),
        ({"VolumeType": "io2"}, "MissingParameter"),
        ({"VolumeType": "io2", "Iops": 500, "Throughput": 200}, "InvalidParameterCombination"),
        ({"VolumeType": "st1"}, "InvalidParameterValue"),
        ({"VolumeId": "vol-0123456789abcdef0", "Size": 200}, "InvalidVolume.NotFound"),
    ],
)
def test_what_a_type_cannot_have_is_refused(
    cloud: RehearsalCloud, change: dict[str, Any], code: str
) -> None:
    ec2 = client("ec2")
    request = {"VolumeId": made(ec2)} | change
    assert refused(lambda: ec2.modify_volume(**request)) == code


@pytest.mark.kind("A2")
def test_a_modification_has_states_and_the_next_one_waits_six_hours(
    slow_cloud: RehearsalCloud,
) -> None:
    assert isinstance(slow_cloud.clock, ManualClock)
    ec2 = client("ec2")
    volume = made(ec2)

    def state() -> tuple[str, str]:
        (shown,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        (change,) = ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"]
        return str(shown["VolumeType"]), str(change["ModificationState"])

    def again() -> str:
        return refused(lambda: ec2.modify_volume(VolumeId=volume, Size=200))

    answer = ec2.modify_volume(VolumeId=volume, VolumeType="gp3")["VolumeModification"]
    assert (answer["OriginalVolumeType"], answer["TargetIops"]) == ("gp2", 3000)
    assert state() == ("gp2", "modifying")
    assert again() == "IncorrectModificationState"
    slow_cloud.clock.advance(20)
    assert state() == ("gp3", "optimizing")
    assert again() == "IncorrectModificationState"
    slow_cloud.clock.advance(600)
    assert state() == ("gp3", "completed")
    assert again() == "VolumeModificationRateExceeded"
    slow_cloud.clock.advance(6 * 3600)
    assert ec2.modify_volume(VolumeId=volume, Size=200)["VolumeModification"]["TargetSize"] == 200
