"""The AMI of managed nodes: Amazon publishes one in every region.

https://docs.aws.amazon.com/eks/latest/userguide/eks-optimized-amis.html
"""

from __future__ import annotations

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.ec2.images import Images
from aws_setup.rehearsal.rules import Call

NODE_IMAGE = "ami-0e4500000000a2023"
"""Stands for the EKS-optimised Amazon Linux 2023 AMI, whose id AWS changes with each release."""
AMAZON = "602401143452"
"""Account that publishes the EKS-optimised AMIs."""


def node_image(cloud: Cloud, call: Call) -> str:
    """Return the AMI that EKS launches nodes with; it is in the call's region from then on."""
    cloud.room(Images).setdefault(
        (call.region, NODE_IMAGE),
        {
            "ImageId": NODE_IMAGE,
            "Name": "amazon-eks-node-al2023-x86_64-standard-1.35-v20261105",
            "OwnerId": AMAZON,
            "State": "available",
            "Public": True,
            "Architecture": "x86_64",
            "ImageType": "machine",
            "RootDeviceName": "/dev/xvda",
            "RootDeviceType": "ebs",
            "VirtualizationType": "hvm",
            "Hypervisor": "xen",
            "EnaSupport": True,
            "CreationDate": "2026-11-05T00:00:00.000Z",
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {"DeleteOnTermination": True, "VolumeSize": 20, "VolumeType": "gp3"},
                }
            ],
            "Tags": [],
        },
    )
    return NODE_IMAGE
