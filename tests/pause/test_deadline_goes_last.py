"""destroy deletes the deadline after every machine: what it leaves running still stops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.engine.plan import Row, removal_needs
from aws_setup.engine.step import Action, Found
from aws_setup.pause.ended_deadline import deadline_last
from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.tables.cluster import cluster_removal_steps
from aws_setup.tables.teardown import removal_steps
from tests.pause.deployment import NODE_SCRIPT, NODES, SCRIPT, SMALL, act
from tests.pause.test_deadline import Calendar, clock, pass_time, roles, schedules, states, world
from tests.support.kube import tool
from tests.support.scripts import Ended, run, write_config
from tests.support.virtual_time import virtual_world

__all__ = ["clock", "world"]
"""The fixtures of a deployment with a calendar."""


def before(steps: Sequence[Step]) -> dict[str, set[str]]:
    """Return each step with those that are deleted before it, if everything exists."""
    return removal_needs([Row(step, Action.EXISTS, Found("id")) for step in deadline_last(steps)])


@pytest.mark.parametrize("after", ["12h", "never"])
def test_the_deadline_and_its_role_are_deleted_after_all_that_runs(after: str) -> None:
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem", auto_pause_after=after)
    order = before(removal_steps(config))
    machines = {name for name in order if name.startswith("auto-scaling group")} | set(NODES)
    machines |= {"ndb manager", "ndb data nodes 1", "zookeeper", "lambda-fs client"}
    assert len(machines) == 9
    assert machines <= order["deadline"]
    assert "deadline" in order["deadline role"]
    assert "eks cluster" not in order["deadline"], "what is no machine is not waited for"
    assert not {"deadline", "deadline role"} & order["eks cluster"]
    order = before(cluster_removal_steps(config))
    assert set(NODES) <= order["deadline"] < order["deadline role"]


@pytest.mark.parametrize("after", ["12h", "never"])
@pytest.mark.parametrize(
    "action",
    [
        "ec2:TerminateInstances",
        "autoscaling:DeleteAutoScalingGroup",
        "eks:DeleteNodegroup",
        "eks:DescribeNodegroup",
    ],
)
def test_what_a_failed_destroy_leaves_running_stops_at_the_deadline(
    deployed: RehearsalCloud, clock: Calendar, folder: Path, action: str, after: str
) -> None:
    write_config(folder, **SMALL, auto_pause_after=after)
    deployed.settings.deny = [DeniedPermission(action=action)]
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code in (1, 3)
    assert states() == {"running"}, "something is left"
    deployed.settings.deny = []
    pass_time(deployed, clock, 13)
    assert states() <= {"stopped"}, "all that was left"
    assert act(folder, "destroy")["leftovers"] == []
    assert (schedules(deployed), "lambda-fs-deadline" in roles()) == ({}, False)


def nodes_only(folder: Path, verb: str) -> Ended:
    """Run the second script, which has nothing but its nodes in this world."""
    return run(NODE_SCRIPT, folder, verb, "--yes", "--json")


def test_nodes_that_alone_have_a_deadline_keep_it_until_they_are_deleted(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    groups = ("lambda_fs_clients", "hopsfs_clients", "hopsfs_namenodes")
    others = [f"auto-scaling group {group}_ags" for group in groups]
    others += ["ndb manager", "ndb data nodes 1", "ndb data nodes 2"]
    others += ["zookeeper", "lambda-fs client", "hopsfs client"]
    act(folder, "destroy", *(word for name in others for word in ("--only", name)))
    deployed.settings.deny = [DeniedPermission(action="eks:DeleteNodegroup")]
    assert nodes_only(folder, "destroy").exit_code == 3
    pass_time(deployed, clock, 13)
    assert states() == set(), "their scaling groups have ended them"
    deployed.settings.deny = []
    ended = nodes_only(folder, "destroy")
    assert (ended.exit_code, schedules(deployed)) == (0, {}), ended.document["problems"]
    assert "lambda-fs-deadline" not in roles()


def test_the_deadline_alone_is_deleted_without_the_machines(
    deployed: RehearsalCloud, folder: Path
) -> None:
    ended = act(folder, "destroy", "--only", "deadline")
    deleted = {step["name"] for step in ended["steps"] if step["action"] == "delete"}
    assert (deleted, schedules(deployed)) == ({"deadline"}, {})
    assert states() == {"running"}


def test_a_deadline_that_comes_during_a_destroy_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        empty = {resource.id for resource in world.cloud.snapshot()}
        world.create()
        nodes = [word for name in NODES for word in ("--only", name)]
        assert run(NODE_SCRIPT, world.folder, "configure", *nodes, "--yes").exit_code == 0
        deadline = min(schedules(world.cloud).values())
        began = world.time.today()
        world.time.advance((deadline - began - timedelta(seconds=25)).total_seconds())
        assert world.destroy()["leftovers"] == []
        invocations = world.cloud.store_of(ScheduleStore).invocations
        assert {one.at >= deadline for one in invocations} == {True}
        assert {one.schedule.split(".")[0] for one in invocations} >= set(NODES)
        assert {resource.id for resource in world.cloud.snapshot()} <= empty
