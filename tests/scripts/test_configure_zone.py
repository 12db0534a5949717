"""The zone of a single node: another one where AWS has no machine, else that of its volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
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


def group_of(name: str) -> dict[str, Any]:
    found = client("eks").describe_nodegroup(clusterName="zoo", nodegroupName=name)
    group: dict[str, Any] = found["nodegroup"]
    return group


def test_a_zone_that_does_not_offer_the_type_gets_no_nodes(zoo: Lab, cloud: RehearsalCloud) -> None:
    kinds = {"openwhisk_core_instance_type": "r5.xlarge"}
    kinds |= {"openwhisk_invoker_instance_type": "m5.2xlarge"}
    zoo.save(num_openwhisk_core_vms=2, num_openwhisk_invoker_vms=3, **kinds)
    cloud.settings.not_offered = {"us-east-1a": ["r5.xlarge"], "us-east-1b": ["m5.2xlarge"]}
    zoo.run("configure", "--only", "core-nodes", "--only", "invoker-nodes")
    assert zone_of(subnet_of("core-nodes")) == "us-east-1b"
    assert zone_of(subnet_of("invoker-nodes")) == "us-east-1a"


def test_spot_nodes_have_only_types_that_each_of_their_zones_offers(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    zoo.save(spot=["invokers"], num_openwhisk_invoker_vms=2)
    zoo.run("configure", "--only", "invoker-nodes")
    first, other, *rest = group_of("invoker-nodes")["instanceTypes"]
    zoo.run("destroy")
    cloud.settings.not_offered = {"us-east-1b": [other]}
    zoo.run("configure", "--only", "invoker-nodes")
    again = group_of("invoker-nodes")
    assert (again["instanceTypes"], len(again["subnets"])) == ([first, *rest], 2)


def test_what_eks_says_of_a_type_that_no_zone_offers_has_a_fix(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    zoo.save(openwhisk_core_instance_type="r5.xlarge")
    cloud.settings.not_offered = {zone: ["r5.xlarge"] for zone in ("us-east-1a", "us-east-1b")}
    problems = zoo.run("configure", "--only", "core-nodes", code=1)["problems"]
    problem = next(one for one in problems if "core-nodes" in one["what"])
    assert "this instance type is not offered in the zone" in problem["why"]
    assert problem["hint"].startswith("set another instance type")


def test_a_type_that_does_not_run_the_nodes_ami_is_refused_before_the_first_write(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    zoo.save(openwhisk_core_instance_type="m6g.xlarge")
    before = len(cloud.calls.writes())
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert problem["what"] == "the cluster's nodes cannot be of type m6g.xlarge"
    assert len(cloud.calls.writes()) == before


def test_what_eks_says_of_such_a_type_has_a_fix(zoo: Lab, cloud: RehearsalCloud) -> None:
    zoo.save(openwhisk_core_instance_type="m6g.xlarge")
    cloud.settings.deny = [DeniedPermission(action="ec2:DescribeInstanceTypes")]
    problems = zoo.run("configure", "--only", "core-nodes", code=1)["problems"]
    problem = next(one for one in problems if "core-nodes" in one["what"])
    assert "[m6g.xlarge] is not a valid instance type" in problem["why"]
    assert problem["hint"].startswith("set a type with Intel or AMD processors")


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


def volume_zones() -> set[str]:
    found = client("ec2").describe_volumes()["Volumes"]
    tag = "kubernetes.io/created-for/pvc/name"
    claimed = [it for it in found if any(pair["Key"] == tag for pair in it.get("Tags", ()))]
    return {str(it["AvailabilityZone"]) for it in claimed}


def drain(zoo: Lab, zone: str) -> None:
    """Keep pods from the core node of a zone."""
    there = {"topology.kubernetes.io/zone": zone, "openwhisk-role": "core"}
    for node in zoo.api.state.all("nodes"):
        if node["metadata"]["labels"].items() >= there.items():
            taint = {"key": "drained", "value": "", "effect": "NoSchedule"}
            zoo.api.state.put("nodes", {**node, "spec": {**node["spec"], "taints": [taint]}})


def test_fewer_nodes_stay_in_the_zone_of_the_volumes(zoo: Lab) -> None:
    zoo.save(num_openwhisk_core_vms=2)
    zoo.run("configure", "--only", "core-nodes", "--only", "invoker-nodes")
    drain(zoo, "us-east-1a")
    zoo.run("configure")
    assert volume_zones() == {"us-east-1b"}
    zoo.save(num_openwhisk_core_vms=1)
    (group,) = [it for it in zoo.run("plan")["steps"] if it["name"] == "core-nodes"]
    assert "beside the volumes" in str(group["drift"])
    zoo.run("configure")
    assert zone_of(subnet_of("core-nodes")) == "us-east-1b"
    pods = zoo.api.state.all("pods", "openwhisk")
    assert all(pod["status"]["phase"] != "Pending" for pod in pods)


def test_one_node_for_volumes_in_two_zones_is_refused_before_a_write(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    zoo.save(num_openwhisk_core_vms=2)
    zoo.run("configure")
    assert volume_zones() == {"us-east-1a", "us-east-1b"}
    zoo.save(num_openwhisk_core_vms=1)
    writes = len(cloud.calls.writes())
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert "us-east-1a, us-east-1b" in problem["what"]
    assert "num_openwhisk_core_vms: 2" in problem["hint"]
    assert 'destroy --only "openwhisk release"' in problem["hint"]
    assert len(cloud.calls.writes()) == writes
    assert group_of("core-nodes")["scalingConfig"]["desiredSize"] == 2
    zoo.run("destroy", "--only", "openwhisk release")
    zoo.run("configure")
    assert len(volume_zones()) == 1
