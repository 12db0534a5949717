"""The clients of a session: botocore's own, and those of S3 with boto3's downloads."""

from __future__ import annotations

import pytest
from botocore.exceptions import ProfileNotFound

from aws_setup.aws.session import Aws


def test_only_clients_of_s3_have_the_transfers_of_boto3() -> None:
    aws = Aws(region="us-east-1")
    elsewhere = aws.client("s3", region="eu-west-1")
    for client in (aws.client("s3"), elsewhere):
        assert callable(client.download_file)
    assert not hasattr(aws.ec2, "download_file")
    assert (aws.ec2.meta.region_name, elsewhere.meta.region_name) == ("us-east-1", "eu-west-1")


def test_an_unknown_profile_is_refused_when_the_session_is_opened() -> None:
    with pytest.raises(ProfileNotFound, match="nobody"):
        Aws(profile="nobody", region="us-east-1")
