"""The rehearsal cloud's core: protocols, tokens, dry runs, permissions, threads, log, snapshot."""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from tests.support.aws import IMAGE, client, network, refused, run, tagged


def test_every_protocol_answers_and_refuses(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", Name="x"))["Vpc"]
    assert vpc["Tags"] == [{"Key": "Name", "Value": "x"}]
    found = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["x"]}])["Vpcs"]
    assert [item["VpcId"] for item in found] == [vpc["VpcId"]]
    assert refused(ec2.describe_vpcs, VpcIds=["vpc-00000000"]) == "InvalidVpcID.NotFound"
    assert refused(client("eks").describe_cluster, name="x") == "ResourceNotFoundException"
    assert refused(client("iam").get_role, RoleName="x") == "NoSuchEntity"
    quota = {"ServiceCode": "ec2", "QuotaCode": "L-00000000"}
    assert refused(client("service-quotas").get_service_quota, **quota) == "NoSuchResourceException"
    who = client("sts").get_caller_identity()
    assert who["Arn"] == "arn:aws:iam::123456789012:user/rehearsal"
    assert refused(client("s3").list_buckets).startswith("Invalid")


def test_the_log_distinguishes_reads_and_writes(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    ec2.describe_vpcs()
    refused(ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)
    assert [call.name for call in cloud.calls.writes()] == ["ec2.CreateVpc"]
    last = cloud.calls[-1]
    assert (last.code, last.status, last.reads) == ("DryRunOperation", 412, True)
    assert "Boto3" in last.client
    assert cloud.calls.count() == {"ec2.CreateVpc": 2, "ec2.DescribeVpcs": 1}


def test_same_token_same_answer(cloud: RehearsalCloud) -> None:
    # EC2 API reference, "Ensuring idempotency"
    ec2 = client("ec2")
    net = network(ec2)

    def start(_: int) -> str:
        return str(run(ec2, net, ClientToken="once")["InstanceId"])

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(start, range(16)))
    assert len(ids) == 1
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        run(ec2, net, ClientToken="once", InstanceType="r5.4xlarge")
    assert run(ec2, net, ClientToken="twice")["InstanceId"] not in ids


def test_a_token_is_kept_after_the_instance(slow_cloud: RehearsalCloud) -> None:
    # the same page; EC2 API reference, "Error codes": IdempotentInstanceTerminated
    ec2 = client("ec2")
    net = network(ec2)
    instance_id = run(ec2, net, ClientToken="once")["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance_id])
    assert run(ec2, net, ClientToken="once")["InstanceId"] == instance_id
    assert isinstance(slow_cloud.clock, ManualClock)
    for seconds in (300, 2 * 3600):
        slow_cloud.clock.advance(seconds)
        with pytest.raises(ClientError, match="IdempotentInstanceTerminated"):
            run(ec2, net, ClientToken="once")
    assert not ec2.describe_instances()["Reservations"]
    assert run(ec2, net, ClientToken="twice")["InstanceId"] != instance_id


def test_tokens_of_the_network(cloud: RehearsalCloud) -> None:
    # CreateNatGateway, CreateRouteTable, CreateLaunchTemplate: ClientToken
    ec2 = client("ec2")
    net = network(ec2)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    template = {"LaunchTemplateName": "ttt", "LaunchTemplateData": {"ImageId": IMAGE}}
    requests: list[tuple[Any, dict[str, Any], str, str]] = [
        (
            ec2.create_nat_gateway,
            {"SubnetId": net.subnet, "AllocationId": address},
            "NatGateway",
            "NatGatewayId",
        ),
        (ec2.create_route_table, {"VpcId": net.vpc}, "RouteTable", "RouteTableId"),
        (ec2.create_launch_template, template, "LaunchTemplate", "LaunchTemplateId"),
    ]
    for create, request, key, name in requests:
        ids = {create(ClientToken="once", **request)[key][name] for _ in range(2)}
        assert len(ids) == 1
        other = request | {"TagSpecifications": tagged("natgateway", a="b")}
        assert refused(create, ClientToken="once", **other) == "IdempotentParameterMismatch"


def test_a_failed_call_does_not_use_its_token(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    net = network(ec2)
    with pytest.raises(ClientError, match="InvalidGroup"):
        run(ec2, net, ClientToken="t", SecurityGroupIds=["sg-00000000"])
    assert run(ec2, net, ClientToken="t")["InstanceId"]


def test_dry_run(cloud: RehearsalCloud) -> None:
    # EC2 API reference, common query parameters: DryRun; permissions count
    ec2 = client("ec2")
    calls: list[tuple[Any, dict[str, Any]]] = [
        (ec2.create_vpc, {"CidrBlock": "10.0.0.0/16"}),
        (ec2.allocate_address, {"Domain": "vpc"}),
        (ec2.describe_instances, {}),
        (ec2.create_key_pair, {"KeyName": "k"}),
        (ec2.create_launch_template, {"LaunchTemplateName": "ttt", "LaunchTemplateData": {}}),
    ]
    for call, params in calls:
        assert refused(call, DryRun=True, **params) == "DryRunOperation"
    assert not cloud.snapshot()
    cloud.settings.deny = [DeniedPermission(action="ec2:CreateVpc")]
    denied = {"CidrBlock": "10.0.0.0/16", "DryRun": True}
    assert refused(ec2.create_vpc, **denied) == "UnauthorizedOperation"


def test_denied_permissions(cloud: RehearsalCloud) -> None:
    # each service's "Common errors" page
    cloud.settings.deny = [
        DeniedPermission(action="*:describe*"),
        DeniedPermission(action="iam:GetRole"),
    ]
    assert refused(client("ec2").describe_vpcs) == "UnauthorizedOperation"
    assert refused(client("eks").describe_cluster, name="x") == "AccessDeniedException"
    assert refused(client("iam").get_role, RoleName="x") == "AccessDenied"
    assert refused(client("autoscaling").describe_auto_scaling_groups) == "AccessDenied"
    cloud.settings.deny = [
        DeniedPermission(action="*", principal="arn:aws:iam::*:user/somebody-else")
    ]
    assert client("ec2").describe_vpcs()["Vpcs"]


def test_expired_and_unknown_credentials(cloud: RehearsalCloud) -> None:
    # EC2 error codes RequestExpired, AuthFailure; STS common errors
    codes = {
        "expired": ("RequestExpired", "ExpiredTokenException", "ExpiredToken"),
        "unknown": ("AuthFailure", "UnrecognizedClientException", "InvalidClientTokenId"),
    }
    for state, (ec2, eks, sts) in codes.items():
        cloud.settings.credentials = state  # type: ignore[assignment]  # both are of its type
        assert refused(client("ec2").describe_vpcs) == ec2
        assert refused(client("eks").list_clusters) == eks
        assert refused(client("sts").get_caller_identity) == sts


def test_the_snapshot_lists_the_resources(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    assert cloud.snapshot() == []
    net = network(ec2)
    made = run(ec2, net, TagSpecifications=tagged("instance", owner="me"))
    left = {resource.kind: resource for resource in cloud.snapshot()}
    assert left["instance"].tags == {"owner": "me"}
    assert left["instance"].bills
    assert left["volume"].bills
    kinds = {"vpc", "subnet", "security-group", "internet-gateway", "network-interface"}
    assert kinds | {"instance", "volume"} == left.keys()
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    assert {resource.kind for resource in cloud.snapshot()} == kinds - {"network-interface"}


class Plain:
    """Sends requests of the query protocol, signed once: boto3 takes three times as long."""

    def __init__(self, made: Any, url: str) -> None:
        """Take the headers of a client's requests."""
        self._host = url.removeprefix("http://")
        self._headers: dict[str, str] = {}
        made.meta.events.register("before-send", self._take)
        self._version = made.meta.service_model.api_version
        self._of_thread = threading.local()

    def _take(self, request: Any, **_: Any) -> None:
        kept = ("Authorization", "X-Amz-Date", "Content-Type", "User-Agent")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        self._headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in headers.items()}

    def __call__(self, action: str, **params: str) -> str:
        """Return the text of an answer, which is no error."""
        if not hasattr(self._of_thread, "connection"):
            self._of_thread.connection = http.client.HTTPConnection(self._host)
        connection = self._of_thread.connection
        body = urllib.parse.urlencode({"Action": action, "Version": self._version, **params})
        connection.request("POST", "/", body, self._headers)
        answer = connection.getresponse()
        text = str(answer.read().decode())
        assert answer.status == 200, text
        return text


def test_five_thousand_calls_from_32_threads(cloud: RehearsalCloud) -> None:
    made = client("ec2"), client("iam")
    ec2, iam = (Plain(one, cloud.url) for one in made)
    net = network(made[0])
    made[1].list_roles()
    cloud.settings.quotas.elastic_ips = 10_000

    def one(number: int) -> None:
        kind = number % 5
        if kind == 0:
            answer = ec2("AllocateAddress", Domain="vpc")
            [address] = re.findall("<allocationId>(.+)</allocationId>", answer)
            ec2("ReleaseAddress", AllocationId=address)
        elif kind == 1:
            ec2("DescribeSecurityGroups")
        elif kind == 2:
            iam("CreateRole", RoleName=f"r{number}", AssumeRolePolicyDocument=TRUST)
        elif kind == 3:
            tag = {"ResourceId.1": net.vpc, "Tag.1.Key": "n", "Tag.1.Value": str(number)}
            ec2("CreateTags", **tag)
        else:
            iam("GetPolicy", PolicyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")

    numbers = list(range(4200))
    random.Random(1).shuffle(numbers)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(one, numbers))
    assert len(cloud.calls) > 5000
    assert [call.name for call in cloud.calls if call.status != 200] == []
    roles = made[1].get_paginator("list_roles").paginate()
    assert len({role["RoleName"] for page in roles for role in page["Roles"]}) >= 840


TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
"Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""


def test_describe_is_fast(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    network(ec2)
    ec2.describe_subnets()
    started = time.process_time()
    for _ in range(50):
        ec2.describe_subnets()
    assert (time.process_time() - started) / 50 < 0.02
