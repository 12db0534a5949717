"""The rehearsal cloud's core: boto3 reaches it, tokens, DryRun, permissions, faults, threads."""

from __future__ import annotations

from aws_setup.rehearsal.server import RehearsalCloud
from tests.cloud import client, cloud, refused, settings

__all__ = ["cloud", "settings"]


def test_vpc_through_boto3(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(
        CidrBlock="10.0.0.0/16",
        TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "x"}]}],
    )["Vpc"]
    assert vpc["Tags"] == [{"Key": "Name", "Value": "x"}]
    found = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["x"]}])["Vpcs"]
    assert [one["VpcId"] for one in found] == [vpc["VpcId"]]
    assert [call.action for call in cloud.calls.writes()] == ["CreateVpc"]
    assert refused(ec2.describe_vpcs, VpcIds=["vpc-00000000"]) == "InvalidVpcID.NotFound"
    assert refused(client("eks").describe_cluster, name="x") == "ResourceNotFoundException"
    assert refused(client("iam").get_role, RoleName="x") == "NoSuchEntity"
    assert client("sts").get_caller_identity()["Account"] == "123456789012"
