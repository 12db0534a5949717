"""Tags of Classic load balancers: at most ten, as the reference of AddTags says."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client

LISTENERS = [{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 80}]


def numbered(first: int, last: int) -> list[dict[str, str]]:
    return [{"Key": f"k{number}", "Value": "v"} for number in range(first, last)]


def test_a_load_balancer_takes_ten_tags(cloud: RehearsalCloud) -> None:
    elb = client("elb")
    subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    wanted = {"LoadBalancerName": "a", "Listeners": LISTENERS, "Subnets": [subnet]}
    with pytest.raises(ClientError, match="TooManyTags"):
        elb.create_load_balancer(**wanted, Tags=numbered(0, 11))
    elb.create_load_balancer(**wanted, Tags=numbered(0, 9))
    elb.add_tags(LoadBalancerNames=["a"], Tags=numbered(0, 10))
    with pytest.raises(ClientError, match="TooManyTags"):
        elb.add_tags(LoadBalancerNames=["a"], Tags=numbered(10, 11))
