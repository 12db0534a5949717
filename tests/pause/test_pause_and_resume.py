"""pause and resume on a cloud without delays: what exists, what it costs, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.aws.eks.store import EksStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import (
    CLUSTER,
    NODES,
    SCRIPT,
    act,
    client,
    deploy,
    instances,
    receipt,
    shape,
)
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import prepare, run


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


def state_names() -> set[str]:
    return {item["State"]["Name"] for item in instances().values()}


def addresses(folder: Path) -> dict[str, str]:
    return {
        name: entry["instances"][0]["public_ip"]
        for name, entry in receipt(folder).items()
        if entry.get("instances")
    }


@pytest.mark.parametrize("verb", ["pause", "resume", "verify"])
def test_what_does_not_exist_is_neither_paused_nor_resumed_nor_verified(
    cloud: RehearsalCloud, tmp_path: Path, verb: str
) -> None:
    folder = prepare(tmp_path / "work")
    writes = len(cloud.calls.writes())
    refused = act(folder, verb, code=2)
    assert refused["problems"][0]["what"] == f"there is nothing to {verb}"
    assert len(cloud.calls.writes()) == writes


def test_a_pause_stops_every_machine_and_resume_restores_what_was(folder: Path) -> None:
    before, public = shape(), addresses(folder)
    paused = act(folder, "pause")
    assert state_names() == {"stopped"}
    during = shape()
    assert all(
        sizes["desiredSize"] == sizes["minSize"] == 0 for sizes, _ in during["nodes"].values()
    )
    assert all(group[3] == 0 for group in during["groups"].values())
    assert during["nat"] == before["nat"]
    assert 0.15 < paused["hourly_usd"] < 1.0, "cluster, NAT, its address and disks"
    assert set(addresses(folder).values()) == {None}

    assert {row["action"] for row in act(folder, "pause")["steps"]} == {"exists"}
    act(folder, "resume")
    assert shape() == before
    after = addresses(folder)
    assert after.keys() == public.keys()
    assert all(after[name] != public[name] for name in public), "the receipt has the new ones"
    assert {row["action"] for row in act(folder, "create")["steps"]} == {"exists"}


def test_a_paused_deployment_is_not_started_by_accident(folder: Path) -> None:
    act(folder, "pause")
    before = shape()
    for verb in ("create", "plan", "verify"):
        refused = act(folder, verb, code=2)
        assert [problem["what"] for problem in refused["problems"]] == ["the deployment is paused"]
        assert "resume" in refused["problems"][0]["hint"]
    shown = run(SCRIPT, folder, "status")
    assert "paused since" in shown.stdout
    assert shape() == before
    act(folder, "destroy")
    assert not instances()


def test_what_runs_while_its_resume_has_not_ended_is_verified(folder: Path) -> None:
    """As after a resume that was killed: the marks of the pause are still there."""
    act(folder, "pause")
    client("ec2").start_instances(InstanceIds=list(instances()))
    document = act(folder, "verify", "--only", "machines", code=1)
    assert "the deployment is paused" not in {it["what"] for it in document["problems"]}
    assert [check["name"] for check in document["checks"]] == ["machines"]


def test_deep_takes_the_nat_gateway_and_resume_makes_it_anew(folder: Path) -> None:
    before, normal = shape(), act(folder, "pause")["hourly_usd"]
    deep = act(folder, "pause", "--deep")
    during = shape()
    assert (during["nat"], during["addresses"]) == (0, 0)
    assert normal - deep["hourly_usd"] == pytest.approx(0.05)
    act(folder, "resume")
    assert shape() == before
    routes = client("ec2").describe_route_tables()["RouteTables"]
    assert not any(route["State"] == "blackhole" for item in routes for route in item["Routes"])


def test_only_picks_parts(folder: Path) -> None:
    before = shape()
    act(folder, "pause", "--only", "invoker-nodes")
    during = shape()
    assert during["nodes"]["invoker-nodes"][0]["desiredSize"] == 0
    assert during["nodes"]["core-nodes"] == before["nodes"]["core-nodes"]
    kinds = [
        item["InstanceId"] for item in instances().values() if item["State"]["Name"] == "running"
    ]
    assert len(kinds) >= 4, "NDB and ZooKeeper run"
    act(folder, "resume")
    assert shape() == before


def test_changes_during_a_pause_are_seen(folder: Path) -> None:
    before = shape()
    act(folder, "pause")
    first = sorted(instances())[0]
    client("ec2").start_instances(InstanceIds=[first])
    rows: list[dict[str, Any]] = act(folder, "pause")["steps"]
    assert [row["action"] for row in rows].count("update") == 1
    assert state_names() == {"stopped"}
    act(folder, "resume")
    assert shape() == before


@pytest.mark.parametrize("busy", ["cluster", "node group"])
def test_nothing_is_paused_in_the_middle_of_create(
    folder: Path, deployed: RehearsalCloud, busy: str
) -> None:
    cluster = deployed.store_of(EksStore).regions["us-east-1"].clusters[CLUSTER]
    document = cluster.nodegroups["core-nodes"].document if busy != "cluster" else cluster.document
    document["status"] = "CREATING"
    before, writes = shape(), len(deployed.calls.writes())
    refused = act(folder, "pause", code=2)
    assert [item["what"] for item in refused["problems"]] == ["the deployment is being created"]
    assert (shape(), len(deployed.calls.writes())) == (before, writes)


def test_the_plan_names_what_is_lost_and_the_answer_no_changes_nothing(folder: Path) -> None:
    before = shape()
    ended = run(SCRIPT, folder, "pause")
    assert ended.exit_code == 2, "there is no terminal"
    assert "terminated" in ended.stdout
    assert "Cost while paused: $" in ended.stdout
    assert all(name in ended.stdout for name in NODES)
    assert shape() == before
