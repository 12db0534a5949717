"""The AMI of managed nodes: Amazon publishes one in every region."""

from __future__ import annotations

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.rules import Call

NODE_IMAGE = "ami-0e4500000000a2023"
"""Stands for the EKS-optimised Amazon Linux 2023 AMI, whose id AWS changes with each release."""


def node_image(cloud: Cloud, call: Call) -> str:
    """Return the AMI that EKS launches nodes with in the call's region."""
    return NODE_IMAGE
