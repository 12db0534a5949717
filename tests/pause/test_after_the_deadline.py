"""What a run says after the deadline about machines that run all the same, and what stops them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws import deadline
from aws_setup.aws.deadline import instances_by_group
from aws_setup.rehearsal.aws.eks.store import EksStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.pause.deployment import CLUSTER, SCRIPT, SMALL, act, client, instances
from tests.pause.test_deadline import (
    Calendar,
    clock,
    pass_time,
    schedules,
    states,
    time_of,
    world,
)
from tests.support.scripts import run, write_config

__all__ = ["clock", "world"]
"""The fixtures of a deployment with a calendar."""


def vms(step: str) -> list[str]:
    return [str(item["InstanceId"]) for item in instances_by_group(instances().values())[step]]


def warned(document: dict[str, Any]) -> list[str]:
    return [str(one["what"]) for one in document["warnings"]]


def hints(document: dict[str, Any]) -> str:
    return " ".join(str(one["hint"]) for one in document["warnings"])


def start_by_hand(cloud: RehearsalCloud) -> str:
    client("ec2").start_instances(InstanceIds=vms("zookeeper"))
    return "zookeeper"


def roll_out(cloud: RehearsalCloud) -> str:
    """Let EKS refuse every change of a node group, as while it replaces the nodes."""
    group = cloud.store_of(EksStore).regions["us-east-1"].clusters[CLUSTER].nodegroups["core-nodes"]
    group.document["status"] = "UPDATING"
    return "core-nodes"


@pytest.mark.parametrize("after", [True, False])
def test_a_machine_that_the_deadline_has_not_stopped_is_named_with_what_stops_it(
    deployed: RehearsalCloud, clock: Calendar, folder: Path, after: bool
) -> None:
    name = "" if after else roll_out(deployed)
    pass_time(deployed, clock, 13)
    if after:
        assert act(folder, "status")["deadline"]["state"] == "fired"
        name = start_by_hand(deployed)
    shown = act(folder, "status")
    assert shown["deadline"]["state"] == "partial"
    assert warned(shown) == [f"nothing will stop {name} by itself"]
    assert re.search(r"create_aws_infrastructure\.py -y \S+ pause", hints(shown))
    assert not re.search(r"create_aws_infrastructure\.py -y \S+ create", hints(shown)), "refused"
    assert act(folder, "create", code=2)["problems"][0]["what"] == "the deployment is paused"
    assert f"but {name} run" in run(SCRIPT, folder, "status").stdout
    if not after:
        groups = deployed.store_of(EksStore).regions["us-east-1"].clusters[CLUSTER].nodegroups
        groups[name].document["status"] = "ACTIVE"
    act(folder, "pause")
    shown = act(folder, "status")
    assert (shown["deadline"]["state"], warned(shown)) == ("fired", [])
    assert states() == {"stopped"}


def test_servers_that_are_about_to_stop_are_named_without_a_warning(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    left = time_of(act(folder, "status")) - clock.today() + timedelta(minutes=5)
    pass_time(deployed, clock, left / timedelta(hours=1))
    shown = act(folder, "status")
    assert (shown["deadline"]["state"], warned(shown)) == ("fired", [])
    assert "zookeeper still run, and are to stop by" in run(SCRIPT, folder, "status").stdout


def test_a_machine_that_was_terminated_keeps_no_other_one_running(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    write_config(folder, **{**SMALL, "num_lambda_fs_zk_vms": 3})
    act(folder, "create")
    client("ec2").terminate_instances(InstanceIds=vms("zookeeper")[:1])
    pass_time(deployed, clock, 13)
    assert len(vms("zookeeper")) == 2
    assert states() == {"stopped"}
    assert act(folder, "status")["deadline"]["state"] == "fired"


def test_a_deadline_that_has_stopped_nothing_names_what_sets_a_new_one(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    act(folder, "pause", "--only", "core-nodes")
    for name in client("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]:
        client("iam").delete_role_policy(RoleName=ROLE, PolicyName=name)
    pass_time(deployed, clock, 13)
    shown = act(folder, "status")
    assert shown["deadline"]["state"] == "passed"
    assert "resume starts what is paused and sets a new deadline" in hints(shown)
    act(folder, "resume")
    assert act(folder, "status")["deadline"]["state"] == "set"


ROLE = "lambda-fs-deadline"


def into_the_window(cloud: RehearsalCloud, clock: Calendar, folder: Path) -> None:
    """Let the deadline stop clients, groups and nodes; the servers' schedules are still to come."""
    left = time_of(act(folder, "status")) - clock.today() + timedelta(minutes=5)
    pass_time(cloud, clock, left / timedelta(hours=1))
    assert states() == {"running", "stopped"}


@pytest.mark.parametrize("after", ["12h", "2d"])
def test_a_run_that_changes_something_while_the_deadline_is_carried_out_does_not_move_it(
    deployed: RehearsalCloud, clock: Calendar, folder: Path, after: str
) -> None:
    into_the_window(deployed, clock, folder)
    before = schedules(deployed)
    write_config(folder, **{**SMALL, "tags": {"Team": "storage"}, "auto_pause_after": after})
    changed = act(folder, "create", "--only", "security group")
    assert changed["deadline"]["state"] == "fired"
    assert schedules(deployed) == before
    pass_time(deployed, clock, 0.4)
    assert states() == {"stopped"}


def test_extend_does_not_keep_only_the_servers_running(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    into_the_window(deployed, clock, folder)
    before = schedules(deployed)
    refused = act(folder, "extend", "6h", code=2)["problems"][0]
    assert refused["what"] == "the deployment is being stopped"
    assert "resume, which sets a new deadline" in refused["hint"]
    assert schedules(deployed) == before
    act(folder, "resume")
    pass_time(deployed, clock, 1)
    assert states() == {"running"}, "the fix works at once"
    assert act(folder, "status")["deadline"]["state"] == "set"
    pass_time(deployed, clock, 12)
    assert states() == {"stopped"}


def as_another_version(patch: pytest.MonkeyPatch) -> None:
    """Let this version write its schedules with other content than the one that set them."""
    patch.setitem(
        deadline.RETRY, "MaximumRetryAttempts", deadline.RETRY["MaximumRetryAttempts"] + 1
    )


def test_schedules_of_another_version_are_not_said_to_stop_nothing(
    deployed: RehearsalCloud, clock: Calendar, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_another_version(monkeypatch)
    shown = act(folder, "status")
    assert shown["deadline"]["state"] == "set"
    assert all(text.startswith("whether the deadline stops ") for text in warned(shown))
    assert "another version has set them" in " ".join(one["why"] for one in shown["warnings"])
    assert "create_aws_infrastructure.py" in hints(shown)
    into_the_window(deployed, clock, folder)
    shown = act(folder, "status")
    assert (shown["deadline"]["state"], warned(shown)) == ("fired", [])
    write_config(folder, **{**SMALL, "tags": {"Team": "storage"}})
    act(folder, "create", "--only", "security group")
    pass_time(deployed, clock, 0.6)
    assert states() == {"stopped"}


def test_create_writes_the_schedules_of_another_version_again(
    deployed: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = time_of(act(folder, "status"))
    as_another_version(monkeypatch)
    act(folder, "create")
    shown = act(folder, "status")
    assert (time_of(shown), warned(shown)) == (before, [])
    assert len(schedules(deployed)) == 11
