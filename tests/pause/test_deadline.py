"""The deadline: a day on the cloud's clock, with schedules that AWS keeps and fires by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.deadline import instances_by_group
from aws_setup.engine import wait
from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import (
    CLUSTER,
    SCRIPT,
    SMALL,
    act,
    client,
    deploy,
    instances,
    shape,
)
from tests.support.clock import CallClock
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import prepare, run, write_config

HOURS = 3600.0


class Calendar(CallClock):
    """A clock that a test advances and on which everything else takes no time."""

    def __init__(self) -> None:
        """Start at the computer's time, without AWS's delays."""
        super().__init__(seconds=0.001)
        self.speed = 0.0


def with_calendar(cloud: RehearsalCloud, patch: pytest.MonkeyPatch) -> Calendar:
    """Give the cloud a clock, which is also the scripts' calendar."""
    calendar = Calendar()
    cloud.clock = calendar
    patch.setattr(wait, "calendar_time", calendar.today)
    return calendar


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        shared_cloud() as cloud,
        pytest.MonkeyPatch.context() as patch,
        EksApiServers(cloud),
    ):
        with_calendar(cloud, patch)
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


@pytest.fixture
def clock(deployed: RehearsalCloud) -> Calendar:
    """The clock of that cloud."""
    assert isinstance(deployed.clock, Calendar)
    return deployed.clock


def pass_time(cloud: RehearsalCloud, clock: Calendar, hours: float) -> None:
    """Let time pass without any computer of the user's."""
    with cloud.lock:
        clock.advance(hours * HOURS)
        clock.apply_due()
        clock.apply_due()


def schedules(cloud: RehearsalCloud) -> dict[str, datetime]:
    """Return the schedules that exist and when they are invoked."""
    groups = cloud.store_of(ScheduleStore).groups.values()
    return {name: one.at for group in groups for name, one in group.schedules.items()}


def states() -> set[str]:
    return {item["State"]["Name"] for item in instances().values()}


def fired(cloud: RehearsalCloud) -> list[str]:
    """Return the errors of all invocations."""
    return [one.error for one in cloud.store_of(ScheduleStore).invocations]


def time_of(document: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(document["deadline"]["deadline"])


def roles() -> list[str]:
    return [role["RoleName"] for role in client("iam").list_roles()["Roles"]]


def deadline_tags() -> list[str]:
    """Return the deadlines in the tags of all VMs and groups."""
    groups = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    items = [*instances().values(), *(g for g in groups if g["Tags"])]
    tags = [{tag["Key"]: tag["Value"] for tag in item["Tags"]} for item in items]
    own = [one for one in tags if "aws:autoscaling:groupName" not in one and "Component" in one]
    return [one.get("lambda-fs:deadline", "") for one in own if one["Component"] != "EKSNode"]


@pytest.mark.parametrize(
    "action", ["scheduler:*", "scheduler:CreateSchedule", "iam:PassRole", "iam:PutRolePolicy"]
)
def test_a_missing_permission_is_a_warning(
    cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: str
) -> None:
    with_calendar(cloud, monkeypatch)
    few = {"create_eks_cluster": False, "create_autoscaling_groups": False}
    folder = prepare(tmp_path / "work", **{**SMALL, **few, "create_launch_templates": False})
    cloud.settings.deny = [DeniedPermission(action=action)]
    for verb in ("plan", "create", "create", "status"):
        document = act(folder, verb)
        what = [one["what"] for one in document["warnings"]]
        assert what.count("nothing will stop this deployment by itself") <= 1
        assert verb == "status" or "nothing will stop this deployment by itself" in what
    assert document["deadline"]["state"] == "none"
    cloud.settings.deny = []
    assert act(folder, "create")["deadline"]["state"] == "set"
    assert act(folder, "destroy")["leftovers"] == []


@pytest.mark.parametrize(
    "text", ["12", "0h", "1h banana", "9999d", "", "h", "1.5h", "6h6h", "never"]
)
def test_a_wrong_duration_changes_nothing(cloud: RehearsalCloud, tmp_path: Path, text: str) -> None:
    folder = prepare(tmp_path / "work")
    ended = run(SCRIPT, folder, "extend", text, "--yes")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: extend")
    if text != "never":
        write_config(folder, auto_pause_after=text)
        ended = run(SCRIPT, folder, "create", "--yes")
        assert ended.exit_code == 2
        assert "auto_pause_after" in ended.stderr
    assert [call.action for call in cloud.calls.writes()] == ["ImportKeyPair"]


@pytest.mark.parametrize("words", [("extend", "-1h"), ("create", "6h"), ("extend",)])
def test_a_wrong_command_line_changes_nothing(
    cloud: RehearsalCloud, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = prepare(tmp_path / "work")
    assert run(SCRIPT, folder, *words, "--yes").exit_code == 2
    assert [call.action for call in cloud.calls.writes()] == ["ImportKeyPair"]


def test_what_was_destroyed_is_neither_resumed_nor_paused(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    few = {"create_eks_cluster": False, "create_autoscaling_groups": False}
    folder = prepare(tmp_path / "work", **{**SMALL, **few, "create_launch_templates": False})
    act(folder, "create")
    act(folder, "destroy")
    written = len(cloud.calls.writes())
    for words in (("resume",), ("pause",), ("extend", "6h")):
        assert len(act(folder, *words, code=2)["problems"]) == 1
    assert len(cloud.calls.writes()) == written


def test_an_extension_that_fails_in_the_middle_is_no_refusal(
    deployed: RehearsalCloud, folder: Path
) -> None:
    first = act(folder, "status")
    deployed.settings.deny = [DeniedPermission(action="scheduler:CreateSchedule")]
    assert len(act(folder, "extend", "6h", code=1)["problems"]) == 1, "tags are written"
    deployed.settings.deny = []
    assert time_of(act(folder, "extend", "6h")) - time_of(first) == timedelta(hours=6)


def test_a_day_with_a_deadline(deployed: RehearsalCloud, clock: Calendar, folder: Path) -> None:
    before, created = shape(), schedules(deployed)
    assert len(created) == 11, "6 groups of VMs, 3 scaling groups, 2 node groups"
    first = act(folder, "status")
    assert first["deadline"]["state"] == "set"
    assert timedelta(hours=11.9) < time_of(first) - clock.today() < timedelta(hours=12.1)
    later = {name.split(".")[0] for name, at in created.items() if at > time_of(first)}
    assert later == {"ndb-manager", "ndb-data-nodes-1", "ndb-data-nodes-2", "zookeeper"}
    writes = len(deployed.calls.writes())
    again = act(folder, "create")
    assert {row["action"] for row in again["steps"]} == {"exists"}
    assert len(deployed.calls.writes()) == writes, "a run without changes writes nothing"

    moved = act(folder, "extend", "6h")
    assert time_of(moved) - time_of(first) == timedelta(hours=6)
    assert len(schedules(deployed)) == 11
    pass_time(deployed, clock, 13)
    assert fired(deployed) == [], "the old schedules are gone"
    assert states() == {"running"}

    pass_time(deployed, clock, 6)
    assert set(fired(deployed)) == {""}
    assert states() == {"stopped"}
    assert all(sizes["desiredSize"] == 0 for sizes, _ in shape()["nodes"].values())
    stopped = shape()
    shown = run(SCRIPT, folder, "status")
    assert f"Paused at {time_of(moved):%Y-%m-%d %H:%M} UTC by the deadline" in shown.stdout
    assert act(folder, "status")["deadline"]["state"] == "fired"
    for verb in ("create", "plan", "extend"):
        refused = act(folder, *((verb, "1h") if verb == "extend" else (verb,)), code=2)
        assert [one["what"] for one in refused["problems"]] == ["the deployment is paused"]
    assert act(folder, "pause")["result"] == "ok"
    assert shape() == stopped, "what the deadline has stopped is paused"

    resumed = act(folder, "resume")
    assert shape() == before
    assert timedelta(hours=11.9) < time_of(resumed) - clock.today() <= timedelta(hours=12.1)
    assert set(deadline_tags()) == {f"{time_of(resumed):%Y-%m-%dT%H:%M:%SZ}"}
    assert {row["action"] for row in act(folder, "create")["steps"]} == {"exists"}

    write_config(folder, **{**SMALL, "auto_pause_after": "never"})
    never = act(folder, "create")
    assert (never["deadline"]["state"], schedules(deployed)) == ("never", {})
    assert "lambda-fs-deadline" not in roles()
    pass_time(deployed, clock, 40)
    assert states() == {"running"}
    write_config(folder, **{**SMALL, "auto_pause_after": "never", "tags": {"Team": "storage"}})
    assert act(folder, "create")["deadline"]["state"] == "never", "a later change sets none"
    assert (schedules(deployed), "lambda-fs-deadline" in roles()) == ({}, False)
    write_config(folder, **{**SMALL, "auto_pause_after": "2d"})
    assert act(folder, "create")["deadline"]["auto_pause_after"] == "2d"
    assert len(schedules(deployed)) == 11
    assert act(folder, "destroy")["leftovers"] == []
    assert [one for one in deployed.snapshot() if one.service == "scheduler"] == []
    assert "lambda-fs-deadline" not in roles()


def test_machines_that_are_made_later_are_covered(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    settings = {**SMALL, "num_lambda_fs_zk_vms": 3, "autoscaling_group_desired_capacity": 2}
    write_config(folder, **settings)
    deadline = time_of(act(folder, "status"))
    act(folder, "create")
    assert time_of(act(folder, "status")) == deadline, "only extend and resume move it"
    pass_time(deployed, clock, 13)
    assert set(fired(deployed)) == {""}
    assert states() == {"stopped"}
    act(folder, "resume")
    group = shape()["groups"]["lambda_fs_clients_ags"]
    assert group[2] == 2


def test_a_node_group_that_was_not_deleted_keeps_its_deadline(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    why = {"code": "PodEvictionFailure", "message": "a pod was not evicted"}
    deployed.faults.add({"fault": "resource-failure", "kind": "nodegroup-deletion", **why})
    client("eks").delete_nodegroup(clusterName=CLUSTER, nodegroupName="core-nodes")
    pass_time(deployed, clock, 1)
    before = schedules(deployed)
    document = act(folder, "create")
    assert schedules(deployed) == before, "its nodes still run"
    warned = [one["what"] for one in document["warnings"]]
    assert "the deadline may not stop the node group core-nodes" in warned
    problems = act(folder, "pause", code=1)["problems"]
    (problem,) = [one for one in problems if "core-nodes" in one["what"]]
    assert "a pod was not evicted" in problem["why"]
    assert "run configure again: it re-creates the node group" in problem["hint"]


def test_a_schedule_that_was_disabled_by_hand_is_made_again(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    (group,) = deployed.store_of(ScheduleStore).groups.values()
    for name in list(group.schedules)[:2]:
        group.schedules[name].request["State"] = "DISABLED"
    del group.schedules[list(group.schedules)[3]]
    assert "update" in {row["action"] for row in act(folder, "plan")["steps"]}
    act(folder, "create")
    pass_time(deployed, clock, 13)
    assert states() == {"stopped"}


def test_what_the_role_may_not_do_is_not_done(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    other = instances_by_group(instances().values())["zookeeper"][0]["InstanceId"]
    client("ec2").create_tags(
        Resources=[other], Tags=[{"Key": "lambda-fs:deployment", "Value": "other"}]
    )
    pass_time(deployed, clock, 13)
    assert instances()[other]["State"]["Name"] == "running"
    errors = {one for one in fired(deployed) if one}
    assert [one.partition(" on ")[0] for one in errors] == [
        "not authorized to perform ec2:StopInstances"
    ]


def test_a_create_that_fails_has_a_deadline_for_what_it_has_made(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    prepare(folder, **SMALL, ndb_datanode_instance_type="r5.2xlarge")
    cloud.faults.add({"fault": "launch-failure", "instance_type": "r5.2xlarge"})
    act(folder, "create", code=1)
    names = {name.partition(".")[0] for name in schedules(cloud)}
    assert {"zookeeper", "ndb-manager", "lambda-fs-client"} <= names
    assert "" not in deadline_tags()
