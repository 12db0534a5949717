"""Fixtures and helpers of the rehearsal cloud."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings


@pytest.fixture
def settings() -> Settings:
    """The settings of the test's cloud; modules and tests override it."""
    return Settings(speed=0)


@pytest.fixture
def cloud(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[RehearsalCloud]:
    """A cloud for one test, without delays; boto3's endpoint is set to it."""
    with serve(settings) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        monkeypatch.setenv("AWS_SETUP_PACE", "0")
        monkeypatch.setenv("AWS_SETUP_REGISTRY", f"{running.url}/_rehearsal/registry")
        yield running
        assert running.clock.failed == []


@pytest.fixture
def slow_cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[RehearsalCloud]:
    """A cloud with AWS's delays, whose clock the test moves by `slow_cloud.clock.advance`."""
    with serve(Settings(), clock=ManualClock()) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running
        assert running.clock.failed == []


def client(service: str, region: str = "us-east-1") -> Any:
    """Return a boto3 client that does not retry, so that a test sees each error."""
    once = Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=40)
    return boto3.client(service, region_name=region, config=once)  # type: ignore[call-overload]


def refused(call: Any, **params: Any) -> str:
    """Return the code with which AWS refuses a call; the test fails when it does not."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


IMAGE = "ami-079ac4c46055b2bdf"
"""The AMI of the λFS client."""


@dataclass(frozen=True)
class Network:
    """Ids of a small network."""

    vpc: str
    subnet: str
    gateway: str
    group: str


def network(ec2: Any) -> Network:
    """Create a VPC with a public subnet, an internet gateway and a security group."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20", AvailabilityZone="us-east-1a")[
        "Subnet"
    ]["SubnetId"]
    on = {"Value": True}
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch=on)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    return Network(vpc, subnet, gateway, group)


def run(ec2: Any, net: Network, **more: Any) -> dict[str, Any]:
    """Launch one instance in the network and return it as RunInstances answers."""
    request: dict[str, Any] = {
        "ImageId": IMAGE,
        "InstanceType": "r5.xlarge",
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": net.subnet,
        "SecurityGroupIds": [net.group],
    }
    answer = ec2.run_instances(**request | more)
    return dict(answer["Instances"][0])


def tagged(kind: str, **tags: str) -> list[dict[str, Any]]:
    """Return TagSpecifications for one type of resource."""
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": pairs}]


def where(**values: str) -> list[dict[str, Any]]:
    """Return Filters; underscores in names become hyphens."""
    return [{"Name": k.replace("_", "-"), "Values": [v]} for k, v in values.items()]
