"""Whether the disks and network interfaces of running VMs are attached.

AWS calls a VM running while a disk of it still is `attaching`, which can last for ever.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsInstanceBlockDevice.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterface.html
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_setup.aws.inventory import Item

BUSY = ("attaching", "detaching", "pending", "busy")
"""States of what a VM cannot use."""

HINT = (
    "stop the VM and start it again with `aws ec2 stop-instances` and `aws ec2 start-instances`, "
    "or terminate it; then run the same command again, which replaces what is missing"
)


def unattached(instances: Sequence[Item]) -> str:
    """Return which disks and interfaces of running VMs are not attached; '' when all are."""
    running = [item for item in instances if item["State"]["Name"] == "running"]
    return ", ".join(text for item in running for text in _of(item))


def _of(instance: Item) -> Iterator[str]:
    vm = instance["InstanceId"]
    for disk in instance.get("BlockDeviceMappings", []):
        status = disk.get("Ebs", {}).get("Status", "")
        if status in BUSY:
            yield f"disk {disk['DeviceName']} of {vm} ({disk['Ebs']['VolumeId']}) is {status}"
    for interface in instance.get("NetworkInterfaces", []):
        states = (interface.get("Status", ""), interface.get("Attachment", {}).get("Status", ""))
        if busy := next((state for state in states if state in BUSY), ""):
            yield f"interface {interface['NetworkInterfaceId']} of {vm} is {busy}"
