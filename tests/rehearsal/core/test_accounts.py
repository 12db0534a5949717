"""Two accounts of the emulated cloud: resources are separated by the account of the access key."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission
from tests.support.aws import client

OTHER, KEY = "210987654321", "AKIAOTHER00000000000"


def _other(service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service, "us-east-1", aws_access_key_id=KEY, aws_secret_access_key="made-up"
    )


def test_an_access_key_sees_the_resources_of_its_account(cloud: RehearsalCloud) -> None:
    cloud.settings.accounts = {KEY: OTHER}
    identities = [made("sts").get_caller_identity() for made in (client, _other)]
    assert [found["Account"] for found in identities] == [ACCOUNT, OTHER]
    assert [found["Arn"].split(":")[4] for found in identities] == [ACCOUNT, OTHER]
    for number, made in enumerate((client, _other), 1):
        vpc = made("ec2").create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]
        made("ec2").create_volume(AvailabilityZone="us-east-1a", Size=number)
        made("iam").create_role(RoleName="one", AssumeRolePolicyDocument="{}", Path=f"/{number}/")
        # One name in both accounts; the second one answers with its own.
        made("ssm").put_parameter(Name="/one", Value=str(number), Type="String")
        assert [it["VpcId"] for it in made("ec2").describe_vpcs()["Vpcs"]].count(vpc["VpcId"]) == 1
    for number, made in enumerate((client, _other), 1):
        assert [it["Size"] for it in made("ec2").describe_volumes()["Volumes"]] == [number]
        assert made("iam").get_role(RoleName="one")["Role"]["Path"] == f"/{number}/"
        assert made("ssm").get_parameter(Name="/one")["Parameter"]["Value"] == str(number)


def test_permissions_are_those_of_the_account(cloud: RehearsalCloud) -> None:
    cloud.settings.accounts = {KEY: OTHER}
    cloud.settings.deny = [DeniedPermission(action="ec2:DescribeVpcs")]
    assert _other("ec2").describe_vpcs()["Vpcs"] is not None
    with pytest.raises(ClientError, match="not authorized"):
        client("ec2").describe_vpcs()
