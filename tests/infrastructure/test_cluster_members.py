"""Where the machine of a lost data node is launched, from the tags and facts of a plan alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cluster_members import (
    at_known_addresses,
    holds_data,
    refuse_unknown_address,
)
from aws_setup.infrastructure.run_instances import missing_launches
from aws_setup.infrastructure.vm_groups import VmGroup, vm_groups

NODES = "ndb data nodes 1"


def context(*states: str, addresses: dict[str, list[str]] | None = None) -> Context:
    """Return what a plan has found: machines of a started cluster, and the addresses it read."""
    tags = [{"Key": "lambda-fs:ndb", "Value": "started"}]
    items = [{"InstanceId": "i", "State": {"Name": state}, "Tags": tags} for state in states]
    found = {}
    if addresses is not None:
        found["ndb management server"] = Found("i", facts={"addresses": addresses})
    inventory = SimpleNamespace(all=lambda _: items)
    return cast(Context, SimpleNamespace(found=found, inventory=inventory))


def group(**keys: Any) -> VmGroup:
    config = Config(ssh_keypair_name="key", ssh_key_path="/key", **keys)
    return next(group for group in vm_groups(config) if group.step == NODES)


@pytest.mark.parametrize(
    ("states", "holds"),
    [
        (("running",), True),
        (("stopped",), True),
        (("shutting-down", "terminated"), False),
        ((), False),
    ],
)
def test_a_cluster_holds_data_as_long_as_one_of_its_machines_exists(
    states: tuple[str, ...], holds: bool
) -> None:
    assert holds_data(context(*states)) is holds


def test_a_lost_machine_is_launched_at_its_address_under_its_name() -> None:
    known = {NODES: ["10.0.1.1", "10.0.1.2"]}
    there = at_known_addresses(context("running", addresses=known), group())
    active: list[Any] = [
        {
            "PrivateIpAddress": "10.0.1.2",
            "Tags": [{"Key": "Name", "Value": "ndb-datanode-type1-1"}],
        }
    ]
    (launch,) = missing_launches(there, active)
    assert (launch.name, launch.address) == ("ndb-datanode-type1-0", "10.0.1.1")


def test_without_the_address_nothing_is_launched_into_a_cluster_with_data() -> None:
    ctx = context("running")
    with pytest.raises(SetupError, match="the address of the lost machine is not known"):
        refuse_unknown_address(ctx, at_known_addresses(ctx, group()))
    refuse_unknown_address(context(), group())
    refuse_unknown_address(ctx, group(start_ndb_cluster=False))
