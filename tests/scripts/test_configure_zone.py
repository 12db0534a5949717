"""The zone of a single node: another one where AWS has no machine, else that of its volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def subnet_of(group: str) -> str:
    """Return the only subnet of a node group."""
    found = client("eks").describe_nodegroup(clusterName="zoo", nodegroupName=group)
    (subnet,) = found["nodegroup"]["subnets"]
    return str(subnet)


def zone_of(subnet: str) -> str:
    """Return a subnet's zone."""
    found = client("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"]
    return str(found[0]["AvailabilityZone"])


def test_a_single_node_is_created_again_where_there_is_capacity_and_stays_with_its_volumes(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    for zone in ("us-east-1a", "us-east-1b"):
        cloud.faults.add({"fault": "no-capacity", "zone": zone})
    problems = {it["what"]: it["hint"] for it in zoo.run("configure", code=1)["problems"]}
    hint = next(text for what, text in problems.items() if what.startswith("core-nodes"))
    assert hint.startswith("run configure again: it re-creates the node group, in another zone")
    first = subnet_of("core-nodes")

    cloud.faults.clear()
    cloud.faults.add({"fault": "no-capacity", "zone": zone_of(first)})
    zoo.run("configure")
    second = subnet_of("core-nodes")
    assert zone_of(second) != zone_of(first)

    cloud.faults.clear()
    client("eks").delete_nodegroup(clusterName="zoo", nodegroupName="core-nodes")
    zoo.run("configure")
    assert subnet_of("core-nodes") == second, "the database's volume is in its zone"
