"""What the inventory reads again: what this run may have changed since it was read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.rehearsal.core.server import RehearsalCloud


@pytest.fixture
def aws(cloud: RehearsalCloud) -> Iterator[Aws]:
    session = Aws(region="us-east-1")
    yield session
    session.close()


@pytest.fixture
def inventory(aws: Aws) -> Iterator[Inventory]:
    found = Inventory(aws, Config(ssh_keypair_name="k", ssh_key_path="/k"))
    yield found
    found.close()


def reads(cloud: RehearsalCloud, action: str) -> int:
    return len(cloud.calls.named(action))


def test_what_no_write_has_changed_is_not_read_again(
    cloud: RehearsalCloud, aws: Aws, inventory: Inventory
) -> None:
    assert inventory.all("vpcs") == inventory.all("node groups") == []
    inventory.refresh("vpcs")
    inventory.all("vpcs")
    assert reads(cloud, "DescribeVpcs") == 1, "nothing was written"
    tags = [{"Key": "lambda-fs:deployment", "Value": "lambda-fs"}]
    specification = [{"ResourceType": "vpc", "Tags": tags}]
    aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=specification)  # type: ignore[arg-type]
    assert inventory.all("vpcs") == [], "who does not ask for it reads what was listed"
    inventory.refresh("vpcs")
    assert len(inventory.all("vpcs")) == 1
    inventory.refresh("node groups")
    inventory.all("node groups")
    assert reads(cloud, "ListNodegroups") == 1, "EC2's writes change no node group"


def test_a_write_without_an_answer_counts(
    cloud: RehearsalCloud, aws: Aws, inventory: Inventory
) -> None:
    inventory.all("vpcs")
    cloud.faults.add({"fault": "lose-answer", "action": "ec2.CreateVpc"})
    with pytest.raises(HTTPClientError):
        aws.ec2_once.create_vpc(CidrBlock="10.0.0.0/16")
    inventory.refresh("vpcs")
    inventory.all("vpcs")
    assert reads(cloud, "DescribeVpcs") == 2


def test_a_refused_write_counts_too(cloud: RehearsalCloud, aws: Aws, inventory: Inventory) -> None:
    inventory.all("vpcs")
    with pytest.raises(ClientError):
        aws.ec2.create_vpc(CidrBlock="10.0.0.0/99")
    inventory.refresh("vpcs")
    inventory.all("vpcs")
    assert reads(cloud, "DescribeVpcs") == 2
