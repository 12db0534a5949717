"""Fault rules, the admin API, and the HTTP server."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, network, refused, run


@pytest.fixture
def ec2(cloud: RehearsalCloud) -> Any:
    return client("ec2")


def ask(cloud: RehearsalCloud, method: str, path: str, body: Any = None, host: str = "") -> Any:
    connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"))
    headers = {"Host": host} if host else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_nth_call_fails(cloud: RehearsalCloud, ec2: Any) -> None:
    cloud.faults.add(
        {"fault": "fail", "action": "CreateVpc", "calls": [2], "code": "InternalError"}
    )
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert refused(ec2.create_vpc, CidrBlock="10.1.0.0/16") == "InternalError"
    ec2.create_vpc(CidrBlock="10.1.0.0/16")
    assert len(ec2.describe_vpcs()["Vpcs"]) == 3


def test_share_of_calls_fails_the_same_each_time(cloud: RehearsalCloud, ec2: Any) -> None:
    rule = {"fault": "fail", "action": "ec2.Describe*", "percent": 30, "code": "Throttling"}

    def failures() -> list[bool]:
        cloud.faults.clear()
        cloud.faults.add(rule)
        del cloud.calls[:]
        for _ in range(50):
            try:
                ec2.describe_vpcs()
            except ec2.exceptions.ClientError:
                continue
        return [call.code == "Throttling" for call in cloud.calls]

    first = failures()
    assert first == failures()
    assert 5 < sum(first) < 25


def test_answer_lost_after_the_execution(cloud: RehearsalCloud, ec2: Any) -> None:
    cloud.faults.add({"fault": "lose-answer", "action": "CreateVpc", "times": 1})
    with pytest.raises(ConnectionClosedError):
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert len(ec2.describe_vpcs()["Vpcs"]) == 2
    assert cloud.calls[0].status == 0


def test_drop_all_calls_from_one_on(cloud: RehearsalCloud, ec2: Any) -> None:
    cloud.faults.add({"fault": "drop", "from_call": 2})
    ec2.describe_vpcs()
    for _ in range(3):
        with pytest.raises(ConnectionClosedError):
            ec2.create_vpc(CidrBlock="10.0.0.0/16")
    cloud.faults.clear()
    assert len(ec2.describe_vpcs()["Vpcs"]) == 1


def test_stale_reads(slow_cloud: RehearsalCloud) -> None:
    # EC2 API reference, "Eventual consistency": Invalid…NotFound just after a create
    ec2 = client("ec2")
    slow_cloud.faults.add({"fault": "stale-read", "action": "*", "seconds": 5})
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert refused(ec2.describe_vpcs, VpcIds=[vpc]) == "InvalidVpcID.NotFound"
    assert len(ec2.describe_vpcs()["Vpcs"]) == 1
    zone = {"AvailabilityZone": "us-east-1a"}
    other = {"VpcId": vpc, "CidrBlock": "10.0.0.0/20", **zone}
    assert refused(ec2.create_subnet, **other) == "InvalidVpcID.NotFound"
    slow_cloud.clock.advance(5)  # type: ignore[attr-defined]  # the fixture's clock is manual
    assert len(ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]) == 1
    subnet = ec2.create_subnet(**other)["Subnet"]["SubnetId"]
    assert len(ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]) == 1
    assert refused(ec2.describe_subnets, SubnetIds=[subnet]) == "InvalidSubnetID.NotFound"
    image = {"ImageId": "ami-079ac4c46055b2bdf", "InstanceType": "r5.xlarge"}
    slow_cloud.clock.advance(5)  # type: ignore[attr-defined]  # the same
    started = ec2.run_instances(MinCount=1, MaxCount=1, SubnetId=subnet, **image)
    assert not ec2.describe_instances()["Reservations"]
    assert len(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]) == 1
    instance = started["Instances"][0]["InstanceId"]
    assert refused(ec2.describe_instances, InstanceIds=[instance]) == "InvalidInstanceID.NotFound"


def test_groups_without_instances_are_listed(cloud: RehearsalCloud, ec2: Any) -> None:
    net, named = network(ec2), {"LaunchTemplateName": "ttt"}
    data = {"ImageId": "ami-079ac4c46055b2bdf", "InstanceType": "r5.xlarge"}
    ec2.create_launch_template(LaunchTemplateData=data, **named)
    scaling = client("autoscaling")
    sizes = {"MinSize": 0, "MaxSize": 8, "VPCZoneIdentifier": net.subnet}
    scaling.create_auto_scaling_group(AutoScalingGroupName="g", LaunchTemplate=named, **sizes)
    assert len(scaling.describe_auto_scaling_groups()["AutoScalingGroups"]) == 1
    cloud.faults.add({"fault": "stale-read", "action": "CreateVpc", "seconds": 60})
    ec2.create_vpc(CidrBlock="10.1.0.0/16")
    assert len(scaling.describe_auto_scaling_groups()["AutoScalingGroups"]) == 1


def test_no_capacity_in_a_zone(cloud: RehearsalCloud, ec2: Any) -> None:
    # EC2 error code InsufficientInstanceCapacity
    net = network(ec2)
    cloud.faults.add({"fault": "no-capacity", "zone": "us-east-1a", "instance_type": "r5.4*"})
    run(ec2, net)
    with pytest.raises(ec2.exceptions.ClientError, match="InsufficientInstanceCapacity"):
        run(ec2, net, InstanceType="r5.4xlarge")


def test_admin_api(cloud: RehearsalCloud, ec2: Any) -> None:
    rule = {"fault": "fail", "action": "CreateVpc", "code": "InternalError"}
    assert ask(cloud, "POST", "/_rehearsal/faults", rule)[0] == 200
    assert refused(ec2.create_vpc, CidrBlock="10.0.0.0/16") == "InternalError"
    assert json.loads(ask(cloud, "GET", "/_rehearsal/calls")[1])[0]["code"] == "InternalError"
    assert ask(cloud, "DELETE", "/_rehearsal/faults") == (200, "[]")
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    left = json.loads(ask(cloud, "GET", "/_rehearsal/snapshot")[1])
    assert [resource["kind"] for resource in left] == ["vpc"]
    denied = {"deny": [{"action": "ec2:CreateVpc"}]}
    assert ask(cloud, "POST", "/_rehearsal/settings", denied)[0] == 200
    assert refused(ec2.create_vpc, CidrBlock="10.0.0.0/16") == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/_rehearsal/faults", {"fault": "explode"}, 400, "explode"),
        ("/_rehearsal/faults", {"fault": "fail"}, 400, "code"),
        ("/_rehearsal/faults", {"fault": "drop", "from_call": 0}, 400, "from_call"),
        ("/_rehearsal/settings", {"denied": []}, 400, "denied"),
        ("/_rehearsal/nothing", None, 404, "no such route"),
    ],
)
def test_the_admin_api_rejects_in_one_line(
    cloud: RehearsalCloud, path: str, body: Any, status: int, text: str
) -> None:
    got, error = ask(cloud, "POST", path, body)
    assert got == status
    assert text in error
    assert "\n" not in error


def test_other_host_names_are_rejected(cloud: RehearsalCloud) -> None:
    # a web page that resolves its own name to 127.0.0.1 must not reach the cloud
    assert ask(cloud, "GET", "/_rehearsal/calls", host="evil.example")[0] == 403
    assert ask(cloud, "GET", "/_rehearsal/calls", host="localhost:1234")[0] == 200
