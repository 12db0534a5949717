"""What is left of a deadline that was removed: nothing, neither in AWS nor in what a run says."""

from __future__ import annotations

from pathlib import Path

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from tests.pause.deployment import (
    NODES,
    SCRIPT,
    SMALL,
    act,
    client,
    instances,
    node_group,
    shape,
)
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

GROUP = "lambda-fs-deadline"
NEVER = {**SMALL, "auto_pause_after": "never"}


def marked() -> set[str]:
    """Return everything that has a tag of a deadline, or the sizes that one would restore."""
    keys = {"lambda-fs:deadline", "lambda-fs:paused-sizes"}
    found = {
        name for name, item in instances().items() if keys & {tag["Key"] for tag in item["Tags"]}
    }
    for group in client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]:
        if keys & {tag["Key"] for tag in group["Tags"]}:
            found.add(group["AutoScalingGroupName"])
    return found | {name for name in NODES if keys & node_group(name)["tags"].keys()}


def test_never_removes_the_tags_with_the_schedules(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    """With them, a machine stopped by hand counted as one that the deadline had stopped."""
    assert marked() >= {*NODES, "lambda_fs_clients_ags"}
    write_config(folder, **NEVER)
    created = act(folder, "create")
    assert (schedules(deployed), marked()) == ({}, set())
    assert created["deadline"] == {
        "auto_pause_after": "never",
        "state": "never",
        "deadline": None,
        "paused_at": None,
    }
    assert act(folder, "status")["cost"]["deadline"] is None
    before = len(deployed.calls.writes())
    assert {row["action"] for row in act(folder, "create")["steps"]} == {"exists"}
    assert len(deployed.calls.writes()) == before
    pass_time(deployed, clock, 13)
    client("ec2").stop_instances(InstanceIds=[next(iter(instances()))])
    document = act(folder, "status")
    assert (document["paused_since"], document["paused_parts"]) == (None, [])


def test_tags_are_removed_though_the_schedules_are_gone_already(
    deployed: RehearsalCloud, folder: Path
) -> None:
    """As when a run is killed between the two, or the group was deleted in the console."""
    client("scheduler").delete_schedule_group(Name=GROUP)
    assert act(folder, "status")["cost"]["deadline"] is None, "no schedule stops anything"
    write_config(folder, **NEVER)
    planned = {row["name"]: row["action"] for row in act(folder, "plan")["steps"]}
    assert planned["deadline"] == "delete"
    act(folder, "create")
    assert marked() == set()


def test_until_create_has_removed_the_schedules_status_says_when_they_stop_the_machines(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    deadline = time_of(act(folder, "status"))
    write_config(folder, **NEVER)
    document = act(folder, "status")
    assert (document["deadline"]["state"], time_of(document)) == ("set", deadline)
    assert document["cost"]["deadline"] == f"{deadline:%Y-%m-%dT%H:%M:%SZ}"
    shown = run(SCRIPT, folder, "status").stdout
    assert f"AWS still stops machines at {deadline:%Y-%m-%d %H:%M} UTC" in shown
    assert "create removes that deadline" in shown
    pass_time(deployed, clock, 13)
    assert states() == {"stopped"}


def test_what_the_deadline_has_stopped_is_resumed_without_one(
    deployed: RehearsalCloud, clock: Calendar, folder: Path
) -> None:
    before = shape()
    pass_time(deployed, clock, 13)
    write_config(folder, **NEVER)
    assert act(folder, "status")["deadline"]["state"] == "fired"
    act(folder, "resume")
    after = shape()
    assert (after["vms"], after["nat"]) == (before["vms"], before["nat"])
    assert {name: sizes[:4] for name, sizes in after["groups"].items()} == {
        name: sizes[:4] for name, sizes in before["groups"].items()
    }
    assert {name: sizes for name, (sizes, _) in after["nodes"].items()} == {
        name: sizes for name, (sizes, _) in before["nodes"].items()
    }
    assert (schedules(deployed), marked()) == ({}, set())


def test_a_deadline_deleted_by_itself_leaves_no_tags(
    deployed: RehearsalCloud, folder: Path
) -> None:
    act(folder, "destroy", "--only", "deadline")
    assert (schedules(deployed), marked()) == ({}, set())


def test_who_may_not_remove_the_tags_is_warned(deployed: RehearsalCloud, folder: Path) -> None:
    write_config(folder, **NEVER)
    deployed.settings.deny = [DeniedPermission(action="ec2:DeleteTags")]
    try:
        document = act(folder, "create")
    finally:
        deployed.settings.deny = []
    assert "the deadline's tags were not removed" in [it["what"] for it in document["warnings"]]
    assert schedules(deployed) == {}
    act(folder, "create")
    assert marked() == set()
