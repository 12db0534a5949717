"""What exists is paused, resumed, counted and stopped, whatever the configuration says later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws import paused
from aws_setup.rehearsal.aws.eks import catalog
from aws_setup.rehearsal.aws.eks.store import EksStore
from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import (
    CLUSTER,
    NODE_SCRIPT,
    NODES,
    SMALL,
    act,
    client,
    deploy,
    instances,
    node_group,
    shape,
)
from tests.support.calendar import Calendar, movable_calendar
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import run, write_config


@pytest.fixture(scope=SHARED)
def calendar() -> Iterator[Calendar]:
    with movable_calendar() as calendar:
        yield calendar


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory, calendar: Calendar) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


WITHOUT_NODES = {"num_openwhisk_core_vms": 0, "num_openwhisk_invoker_vms": 0}


def stopped(cloud: RehearsalCloud) -> set[str]:
    """Return what the schedules stop, by the beginnings of their names."""
    groups = cloud.store_of(ScheduleStore).groups.values()
    return {name.partition(".")[0] for group in groups for name in group.schedules}


def configure(folder: Path) -> dict[str, Any]:
    """Run the second script for both node groups; return its JSON document."""
    words = [word for name in NODES for word in ("--only", name)]
    return run(NODE_SCRIPT, folder, "configure", *words, "--yes", "--json").document


def desired() -> dict[str, int]:
    return {name: node_group(name)["scalingConfig"]["desiredSize"] for name in NODES}


def test_nodes_that_the_configuration_no_longer_wants_are_refused_and_not_forgotten(
    deployed: RehearsalCloud, folder: Path
) -> None:
    write_config(folder, **{**SMALL, **WITHOUT_NODES})
    planned: Any = act(folder, "create")
    assert {row["action"] for row in planned["steps"]} == {"exists"}
    assert set(NODES) <= stopped(deployed), "they run, and have their deadline"
    refused = configure(folder)
    assert refused["result"] == "refused"
    fixes = [problem["hint"] for problem in refused["problems"]]
    for key, name in zip(WITHOUT_NODES, NODES, strict=True):
        assert any(key in fix and name in fix for fix in fixes)
    assert desired() == NODES
    for name in NODES:
        client("eks").delete_nodegroup(clusterName=CLUSTER, nodegroupName=name)
    assert configure(folder)["result"] == "ok"


def test_a_pause_stops_nodes_and_resume_starts_them_whatever_the_configuration_says(
    folder: Path,
) -> None:
    before = shape()
    write_config(folder, **{**SMALL, **WITHOUT_NODES, "create_eks_cluster": False})
    act(folder, "pause")
    assert {item["State"]["Name"] for item in instances().values()} == {"stopped"}
    assert desired() == dict.fromkeys(NODES, 0)
    act(folder, "resume")
    assert shape() == before


def test_resume_restores_the_groups_of_before_and_create_changes_them(folder: Path) -> None:
    before = shape()
    act(folder, "pause")
    write_config(folder, **{**SMALL, "autoscaling_group_desired_capacity": 0})
    act(folder, "resume")
    assert shape() == before
    act(folder, "resume")
    assert shape() == before, "a second resume changes them no more than the first"
    act(folder, "create")
    assert {sizes[2:4] for sizes in shape()["groups"].values()} == {(0, 0)}


def test_what_is_switched_off_and_billed_is_named_before_the_run(folder: Path) -> None:
    """The plan's price does not have it."""
    off = {"create_zookeeper_vms": False, "create_autoscaling_groups": False}
    write_config(folder, **SMALL, **off, create_vpc=False, tags={"Team": "storage"})
    found = [one for one in act(folder, "plan")["warnings"] if "billed" in one["what"]]
    assert len(found) == 1
    for name in ("zookeeper", "auto-scaling group lambda_fs_clients_ags", "nat gateway"):
        assert f'--only "{name}"' in found[0]["hint"]
    assert "ndb manager" not in found[0]["hint"]
    write_config(folder, **SMALL)
    assert act(folder, "plan")["warnings"] == []


def test_a_cluster_under_another_name_is_neither_doubled_nor_forgotten(
    deployed: RehearsalCloud, folder: Path
) -> None:
    before, covered = len(deployed.calls.writes()), stopped(deployed)
    write_config(folder, **SMALL, eks_cluster_name="other")
    verbs = ("plan", "create", "resume", "pause", "destroy")
    for words in (*((verb,) for verb in verbs), ("extend", "6h")):
        problems = act(folder, *words, code=2)["problems"]
        assert CLUSTER in problems[0]["what"], words
        assert f"eks_cluster_name: {CLUSTER}" in problems[0]["hint"]
    assert len(deployed.calls.writes()) == before
    assert stopped(deployed) == covered


def test_plan_and_pause_name_the_price_of_a_version_in_extended_support(
    deployed: RehearsalCloud, folder: Path
) -> None:
    cluster = deployed.store_of(EksStore).regions["us-east-1"].clusters[CLUSTER]
    cluster.document["version"] = "1.33"  # Its standard support ended in July 2026.
    write_config(folder, **SMALL, tags={"Team": "storage"})
    assert act(folder, "plan")["prices"]["parts"]["eks"] == pytest.approx(0.60)
    assert act(folder, "pause")["prices"]["parts"]["eks"] == pytest.approx(0.60)
    support = act(folder, "status")["cost"]
    assert support["parts"]["eks"]["hourly_usd"] == pytest.approx(0.60)
    assert support["source"].startswith("AWS's price list"), "which has the surcharge alone"


def a_cluster_of(cloud: RehearsalCloud, version: str, **document: Any) -> None:
    cluster = cloud.store_of(EksStore).regions["us-east-1"].clusters[CLUSTER]
    cluster.document.update({"version": version, **document})


def support(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a run says of the support of the cluster's version."""
    said: list[dict[str, Any]] = document["warnings"]
    return [one for one in said if " support" in one["what"] and "Kubernetes" in one["what"]]


@pytest.mark.parametrize("words", [("status",), ("plan",), ("create",), ("pause",)])
def test_a_cluster_in_extended_support_says_since_when_and_what_helps(
    deployed: RehearsalCloud, folder: Path, words: tuple[str, ...]
) -> None:
    a_cluster_of(deployed, "1.33")
    before = len(deployed.calls.named("DescribeClusterVersions"))
    (said,) = support(act(folder, *words))
    assert said["what"] == f"Kubernetes 1.33 of {CLUSTER} is in extended support"
    assert "since 2026-07-29 the cluster costs $0.60 an hour instead of $0.10" in said["why"]
    assert f"--name {CLUSTER} --kubernetes-version 1.34`" in said["hint"]
    asked = len(deployed.calls.named("DescribeClusterVersions")) - before
    assert asked == (1 if words[0] in ("status", "pause") else 0)


def test_the_end_of_standard_support_is_said_before_it_comes_and_is_in_the_forecast(
    deployed: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    ends = today + timedelta(days=1)
    versions = [
        replace(one, end_of_standard=ends.date()) if one.name == "1.35" else one
        for one in catalog.KUBERNETES_VERSIONS
    ]
    before = act(folder, "status")["cost"]
    monkeypatch.setattr(catalog, "KUBERNETES_VERSIONS", tuple(versions))
    a_cluster_of(deployed, "1.35")
    status = act(folder, "status")
    (said,) = support(status)
    assert f"of {CLUSTER} ends on {ends:%Y-%m-%d}" in said["what"]
    assert "in 1 day; from then on the cluster costs $0.60" in said["why"]
    deadline = datetime.fromisoformat(status["cost"]["deadline"])
    extended = max(0.0, (deadline - ends).total_seconds() / 3600)
    more = status["cost"]["usd_at_deadline"] - before["usd_at_deadline"]
    assert more == pytest.approx(0.50 * extended, abs=0.2)
    weekend = status["cost"]["weekend_usd"] - before["weekend_usd"]
    assert 0.50 * 47 < weekend < 0.50 * 73
    a_cluster_of(deployed, "1.35", upgradePolicy={"supportType": "STANDARD"})
    assert support(act(folder, "status")) == [], "EKS upgrades it, and it costs the same"


def test_a_computer_whose_clock_is_slow_sees_what_the_deadline_has_stopped(
    deployed: RehearsalCloud,
) -> None:
    """Create would start the machines again, and the deadline would never stop them."""
    (item, deadline), *_ = (
        (item, deadline) for item in instances().values() if (deadline := paused.deadline_of(item))
    )
    reason = f"User initiated ({deadline:%Y-%m-%d %H:%M:%S} GMT)"
    ended = item | {"State": {"Name": "stopped"}, "StateTransitionReason": reason}
    assert paused.paused_since(ended) == deadline, "though it is not yet that time here"
    group = {
        "MinSize": 0,
        "MaxSize": 8,
        "DesiredCapacity": 0,
        "Tags": [
            {"Key": paused.SIZES_TAG, "Value": "0/8/1"},
            {"Key": paused.DEADLINE_TAG, "Value": paused.format_time(deadline)},
        ],
    }
    assert paused.paused_since(group) is None


def test_a_run_is_warned_of_a_deadline_that_may_come_before_its_end(
    folder: Path, calendar: Calendar
) -> None:
    what = "AWS may stop the machines during this run"
    write_config(folder, **SMALL, tags={"Team": "storage"})
    calendar.skip(11.75)
    document = act(folder, "create")
    assert what in [one["what"] for one in document["warnings"]]
    act(folder, "extend", "6h")
    write_config(folder, **SMALL, tags={"Team": "metadata"})
    assert what not in [one["what"] for one in act(folder, "create")["warnings"]]
