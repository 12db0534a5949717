"""What a volume should be by its AMI, and what of it can be changed in place."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.infrastructure.attachments import unattached
from aws_setup.infrastructure.volume_drift import Disk, wanted_settings

pytestmark = pytest.mark.kind("A2")

VM = {"InstanceId": "i-1"}
GP2, GP3 = {"VolumeType": "gp2"}, {"VolumeType": "gp3"}
PLAIN_GP3 = GP3 | {"Iops": 3000, "Throughput": 125}
IO2 = {"VolumeType": "io2", "Iops": 500}


@pytest.mark.parametrize(
    ("of_ami", "has", "changes"),
    [
        (GP2, GP2 | {"Iops": 300}, {}),
        (GP2, PLAIN_GP3, {"VolumeType": "gp2"}),
        (GP2, IO2, {"VolumeType": "gp2"}),
        (GP3, PLAIN_GP3, {}),
        (GP3, GP2 | {"Iops": 300}, PLAIN_GP3),
        (GP3, GP3 | {"Iops": 6000, "Throughput": 125}, {"Iops": 3000}),
        (GP3 | {"Iops": 6000}, PLAIN_GP3, {"Iops": 6000}),
        (GP3 | {"Throughput": 500}, PLAIN_GP3, {"Throughput": 500}),
        (IO2, IO2 | {"Iops": 900}, {"Iops": 500}),
        (IO2, PLAIN_GP3, {"VolumeType": "io2", "Iops": 500}),
        (GP2, GP2 | {"Size": 150}, {}),
        (GP2, GP2 | {"Size": 50}, {"Size": 100}),
        ({"VolumeSize": None}, GP3, {}),
    ],
)
def test_what_differs_and_can_be_changed(
    of_ami: dict[str, Any], has: dict[str, Any], changes: dict[str, Any]
) -> None:
    wants = wanted_settings({"VolumeSize": 100} | of_ami)
    assert Disk(VM, "/dev/sdb", {"VolumeId": "vol-1", "Size": 100} | has, wants).changes == changes


@pytest.mark.parametrize(
    ("disk", "interface", "text"),
    [
        ("attached", "in-use", ""),
        ("attaching", "in-use", "disk /dev/sdb of i-1 (vol-1) is attaching"),
        ("detaching", "in-use", "disk /dev/sdb of i-1 (vol-1) is detaching"),
        ("attached", "pending", "interface eni-1 of i-1 is pending"),
        ("attached", "attaching", "interface eni-1 of i-1 is attaching"),
    ],
)
def test_what_a_running_vm_cannot_use_is_named(disk: str, interface: str, text: str) -> None:
    vm = {
        "InstanceId": "i-1",
        "State": {"Name": "running"},
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sdb", "Ebs": {"VolumeId": "vol-1", "Status": disk}}
        ],
        "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "Status": interface}],
    }
    assert unattached([vm]) == text
    assert unattached([vm | {"State": {"Name": "stopped"}}]) == ""


def test_a_magnetic_disk_that_was_changed_keeps_its_new_type() -> None:
    """EBS refuses to change a volume to `standard`: each create would fail."""
    assert wanted_settings({"VolumeType": "standard", "VolumeSize": 8}) == {"Size": 8}
