"""autoscaling_group_desired_capacity and the bounds on a deployment that exists."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.inventory import tag_of
from aws_setup.aws.paused import SIZES_TAG
from aws_setup.infrastructure.scaling_obstacles import held_state
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission, Settings
from aws_setup.rehearsal.vms.ec2_sync import sync_vms
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from create_aws_infrastructure import SCRIPT
from tests.support.aws import IMAGE, client
from tests.support.calendar import Calendar, movable_calendar
from tests.support.clock import advance_by_calls
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import prepare, run

ONLY_GROUPS: dict[str, Any] = {
    "create_eks_cluster": False,
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
}
GROUPS = {"lambda_fs_clients_ags", "hopsfs_clients_ags", "hopsfs_namenodes_ags"}
CLIENTS = "auto-scaling group lambda_fs_clients_ags"
DESIRED = "autoscaling_group_desired_capacity"
MAXIMUM = "autoscaling_group_max_size"


@pytest.fixture(scope=SHARED)
def calendar() -> Iterator[Calendar]:
    with movable_calendar() as calendar:
        yield calendar


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory, calendar: Calendar) -> Iterator[World]:
    """A deployment whose groups have two machines each."""
    with shared_cloud() as cloud:
        folder = prepare(tmp_path_factory.mktemp("world") / "work", **ONLY_GROUPS, **{DESIRED: 2})
        act(folder, "create", "--yes")
        yield World(cloud, folder)


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> RehearsalCloud:
    return world.enter(monkeypatch)


@pytest.fixture
def folder(world: World, deployed: RehearsalCloud) -> Path:
    return world.folder


def act(folder: Path, *words: str) -> dict[str, Any]:
    ended = run(SCRIPT, folder, *words, "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    return ended.document


def changed(folder: Path, **keys: Any) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Change the configuration; return the plan, and the drift of each scaling group as texts."""
    prepare(folder, **ONLY_GROUPS, **keys)
    plan = act(folder, "plan")
    rows = [row for row in plan["steps"] if row["action"] == "update"]
    return plan, {
        row["name"]: [f"{one['what']}: {one['has']} -> {one['wants']}" for one in row["drift"]]
        for row in rows
        if row["name"].startswith("auto-scaling group")
    }


def group(name: str = "lambda_fs_clients_ags") -> dict[str, Any]:
    found = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return dict(found["AutoScalingGroups"][0])


def running() -> int:
    """Return how many machines of the scaling groups run."""
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    answer = client("ec2").describe_instances(Filters=states)["Reservations"]
    return sum(len(one["Instances"]) for one in answer)


def left(folder: Path) -> list[Any]:
    """Return what the next run would change."""
    rows = act(folder, "plan")["steps"]
    return [(row["name"], row["drift"]) for row in rows if row["action"] != "exists"]


def test_more_machines_are_launched_and_priced(folder: Path) -> None:
    plan, drift = changed(folder, **{DESIRED: 5})
    assert drift[CLIENTS] == ["machines: 2 -> 5 (3 launched)"]
    assert len(drift) == 3
    assert plan["prices"]["parts"]["auto scaling"] == pytest.approx(15 * 1.013)
    act(folder, "create", "--yes")
    assert running() == 15
    assert tag_of(group(), SIZES_TAG) == "0/8/5", "what resume restores after the deadline"
    assert left(folder) == []


def test_fewer_machines_are_terminated_and_the_plan_says_so(folder: Path) -> None:
    _, drift = changed(folder, **{DESIRED: 1})
    lost = "machines: 2 -> 1 (1 is terminated; what is on the disks is lost)"
    assert drift[CLIENTS] == [lost]
    prepare(folder, **ONLY_GROUPS, **{DESIRED: 0})
    assert "2 are terminated" in run(SCRIPT, folder, "plan").stdout
    plan = act(folder, "create", "--yes")
    assert running() == 0
    assert "auto scaling" not in plan["prices"]["parts"]
    assert left(folder) == []


@pytest.mark.parametrize("keys", [{}, {"auto_pause_after": "never"}])
def test_a_group_that_was_emptied_is_not_paused_after_the_deadline(
    folder: Path, calendar: Calendar, keys: dict[str, str]
) -> None:
    prepare(folder, **ONLY_GROUPS, **{DESIRED: 2}, **keys)
    act(folder, "create", "--yes")
    changed(folder, **{DESIRED: 0}, **keys)
    act(folder, "create", "--yes")
    calendar.skip(13)
    act(folder, "create", "--yes")
    act(folder, "resume", "--yes")
    assert running() == 0


def test_smaller_bounds_say_what_they_terminate(folder: Path) -> None:
    _, drift = changed(folder, **{DESIRED: 1, MAXIMUM: 1})
    assert drift[CLIENTS] == [
        "sizes (min-max): 0-8 -> 0-1",
        "machines: 2 -> 1 (1 is terminated; what is on the disks is lost)",
    ]
    act(folder, "create", "--yes")
    assert running() == 3
    assert left(folder) == []


def test_larger_bounds_say_what_they_launch(folder: Path) -> None:
    _, drift = changed(folder, **{DESIRED: 3, "autoscaling_group_min_size": 3})
    assert drift[CLIENTS] == [
        "sizes (min-max): 0-8 -> 3-8",
        "machines: 2 -> 3 (1 launched)",
    ]


def test_a_change_by_hand_is_brought_back(folder: Path) -> None:
    client("autoscaling").set_desired_capacity(
        AutoScalingGroupName="lambda_fs_clients_ags", DesiredCapacity=4
    )
    _, drift = changed(folder, **{DESIRED: 2})
    lost = "machines: 4 -> 2 (2 are terminated; what is on the disks is lost)"
    assert drift == {CLIENTS: [lost]}
    act(folder, "create", "--yes")
    assert group()["DesiredCapacity"] == 2


def put_policy(name: str) -> None:
    client("autoscaling").put_scaling_policy(
        AutoScalingGroupName=name, PolicyName="mine", AdjustmentType="ChangeInCapacity"
    )


def put_schedule(name: str) -> None:
    client("autoscaling").put_scheduled_update_group_action(
        AutoScalingGroupName=name, ScheduledActionName="mine", DesiredCapacity=4
    )


@pytest.mark.parametrize("put", [put_policy, put_schedule])
def test_a_policy_of_the_user_decides_and_the_user_is_told(folder: Path, put: Any) -> None:
    name = "lambda_fs_clients_ags"
    put(name)
    client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=4)
    plan, drift = changed(folder, **{DESIRED: 2})
    assert drift == {}
    (warning,) = plan["warnings"]
    assert name in warning["what"]
    assert "mine decides" in warning["why"]
    _, drift = changed(folder, **{DESIRED: 2, MAXIMUM: 3})
    assert drift[CLIENTS] == [
        "sizes (min-max): 0-8 -> 0-3",
        "machines: 4 -> 3 (1 is terminated; what is on the disks is lost)",
    ]
    act(folder, "create", "--yes")
    assert group()["DesiredCapacity"] == 3


def test_a_group_that_becomes_spot_replaces_its_machines_and_the_plan_says_so(
    folder: Path,
) -> None:
    _, drift = changed(folder, **{DESIRED: 2}, spot=["clients"])
    replaced = "2 running machines are replaced, one after the other; what is on the disks is lost"
    assert drift[CLIENTS] == [f"machines are: on demand -> Spot r5.4xlarge ({replaced})"]
    assert len(drift) == 2
    before = {one["InstanceId"] for one in group()["Instances"]}
    act(folder, "create", "--yes")
    after = {one["InstanceId"] for one in group()["Instances"]}
    assert len(after - before) == 2
    _, drift = changed(folder, **{DESIRED: 2})
    assert "those that run stay" in drift[CLIENTS][0]
    act(folder, "create", "--yes")
    assert {one["InstanceId"] for one in group()["Instances"]} == after
    assert left(folder) == []


@pytest.mark.parametrize("settings", [Settings(latencies={"instance terminated": 300})])
def test_a_run_ends_when_the_terminated_machines_are_gone(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    advance_by_calls(cloud, 2)
    folder = prepare(tmp_path / "work", **ONLY_GROUPS, **{DESIRED: 1})
    act(folder, "create", "--yes")
    prepare(folder, **ONLY_GROUPS, **{DESIRED: 0})
    act(folder, "create", "--yes")
    assert group()["Instances"] == []
    ended = [{"Name": "instance-state-name", "Values": ["shutting-down"]}]
    assert client("ec2").describe_instances(Filters=ended)["Reservations"] == []


def test_machines_that_a_group_launches_later_are_configured_by_that_run(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    software = {
        **ONLY_GROUPS,
        "create_lambda_fs_client_vm": True,
        "configure_clients": True,
        "sftp_ssh_key": True,
        "num_namenode_deployments": 1,
    }
    with InProcessVmPool(tmp_path / "vms") as machines, sync_vms(cloud, machines):
        keys = {**software, "ssh_config_path": str(machines.ssh_config)}
        folder = prepare(tmp_path / "work", **keys)
        act(folder, "create", "--yes")
        prepare(folder, **keys, **{DESIRED: 2})
        act(folder, "create", "--yes")
        assert left(folder) == [], "configured, authorised, and followers of the benchmark"
        prepare(folder, **keys, **{DESIRED: 0})
        act(folder, "create", "--yes")
        assert left(folder) == [], "the followers that are gone are removed"


def refusal(folder: Path, *words: str) -> dict[str, str]:
    """Run a command that fails, and return its only problem."""
    ended = run(SCRIPT, folder, *words, "--yes", "--json")
    assert ended.exit_code == 1, ended.document
    (problem,) = ended.document["problems"]
    return dict(problem)


def test_a_group_that_may_not_launch_is_named_at_once_with_what_resumes_it(folder: Path) -> None:
    name = "lambda_fs_clients_ags"
    scaling = client("autoscaling")
    scaling.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=["Launch"])
    changed(folder, **{DESIRED: 3})
    problem = refusal(folder, "create")
    assert "its process Launch is suspended: User suspended at" in problem["why"]
    command = f"resume-processes --auto-scaling-group-name {name} --scaling-processes Launch"
    assert command in problem["hint"]
    scaling.resume_processes(AutoScalingGroupName=name, ScalingProcesses=["Launch"])
    act(folder, "create", "--yes")
    assert left(folder) == []


def suspend_terminations(name: str) -> str:
    client("autoscaling").suspend_processes(
        AutoScalingGroupName=name, ScalingProcesses=["Terminate"]
    )
    return "resume-processes"


def protect_machines(name: str) -> str:
    ids = [machine["InstanceId"] for machine in group(name)["Instances"]]
    client("autoscaling").set_instance_protection(
        AutoScalingGroupName=name, InstanceIds=ids, ProtectedFromScaleIn=True
    )
    return "--no-protected-from-scale-in"


def stand_by(name: str) -> str:
    ids = [machine["InstanceId"] for machine in group(name)["Instances"]]
    client("autoscaling").enter_standby(
        AutoScalingGroupName=name, InstanceIds=ids, ShouldDecrementDesiredCapacity=True
    )
    return "exit-standby"


def test_a_machine_in_standby_is_named_at_once_by_pause(folder: Path) -> None:
    name = "lambda_fs_clients_ags"
    fix, machines = stand_by(name), [one["InstanceId"] for one in group(name)["Instances"]]
    problem = refusal(folder, "pause")
    assert machines[0] in problem["why"]
    assert fix in problem["hint"]
    scaling = client("autoscaling")
    scaling.exit_standby(AutoScalingGroupName=name, InstanceIds=machines)
    act(folder, "pause", "--yes")
    assert running() == 0


def detach(name: str) -> None:
    (first, *_) = group(name)["Instances"]
    client("autoscaling").detach_instances(
        AutoScalingGroupName=name,
        InstanceIds=[first["InstanceId"]],
        ShouldDecrementDesiredCapacity=True,
    )


def untag(name: str) -> None:
    lost = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
    keys = ("lambda-fs:deployment", "lambda-fs:step")
    client("autoscaling").delete_tags(Tags=[{**lost, "Key": key} for key in keys])


@pytest.mark.kind("A4")
@pytest.mark.parametrize("change", [detach, untag])
def test_destroy_ends_machines_of_a_group_that_are_known_by_their_own_tags(
    folder: Path, change: Any
) -> None:
    change("lambda_fs_clients_ags")
    act(folder, "destroy", "--yes")
    assert running() == 0
    assert client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_destroy_deletes_groups_though_templates_cannot_be_listed(
    deployed: RehearsalCloud, folder: Path
) -> None:
    deployed.settings.deny = [DeniedPermission(action="ec2:DescribeLaunchTemplates")]
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code != 0
    deployed.settings.deny = []
    assert client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
    act(folder, "destroy", "--yes")


@pytest.mark.parametrize("keep", [suspend_terminations, protect_machines])
@pytest.mark.parametrize("command", ["create", "pause"])
def test_machines_that_a_group_may_not_terminate_are_named_at_once(
    folder: Path, keep: Any, command: str
) -> None:
    fix = keep("lambda_fs_clients_ags")
    changed(folder, **{DESIRED: 1})
    problem = refusal(folder, command)
    assert problem["what"].startswith(CLIENTS)
    assert fix in problem["hint"]
    assert len(group()["Instances"]) == 2
    act(folder, "destroy", "--yes")


def exchange_template(name: str) -> None:
    ec2, data = client("ec2"), {"ImageId": IMAGE, "InstanceType": "t3.micro"}
    made = ec2.create_launch_template(LaunchTemplateName="mine", LaunchTemplateData=data)
    template = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}
    client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=name, LaunchTemplate=template
    )


def delete_template(name: str) -> None:
    template = group(name)["LaunchTemplate"]["LaunchTemplateId"]
    client("ec2").delete_launch_template(LaunchTemplateId=template)


@pytest.mark.kind("A2")
@pytest.mark.parametrize("change", [exchange_template, delete_template])
def test_a_group_launches_from_its_own_template_again(folder: Path, change: Any) -> None:
    change("lambda_fs_clients_ags")
    _, drift = changed(folder, **{DESIRED: 3})
    assert drift[CLIENTS][1].startswith("launch template: lt-")
    act(folder, "create", "--yes")
    own = client("ec2").describe_launch_templates(LaunchTemplateNames=["lambda_fs_clients"])
    template = {"LaunchTemplateId": own["LaunchTemplates"][0]["LaunchTemplateId"]}
    used = group()["LaunchTemplate"]
    assert used.items() >= (template | {"Version": "$Default"}).items()
    types = {one["InstanceType"] for one in group()["Instances"]}
    assert (len(group()["Instances"]), types) == (3, {"r5.4xlarge"})
    assert left(folder) == []


@pytest.mark.kind("A2")
def test_a_group_that_has_lost_both_its_tags_is_named_with_what_restores_them(
    folder: Path,
) -> None:
    untag("lambda_fs_clients_ags")
    problem = refusal(folder, "create")
    assert "it has no deployment's tag" in problem["why"]
    command = shlex.split(problem["hint"].partition("`")[2].partition("`")[0])
    tags = [dict(pair.split("=") for pair in word.split(",")) for word in command[4:]]
    client("autoscaling").create_or_update_tags(
        Tags=[{**tag, "PropagateAtLaunch": tag["PropagateAtLaunch"] == "true"} for tag in tags]
    )
    act(folder, "create", "--yes")
    assert left(folder) == []


@pytest.mark.kind("A2")
def test_machines_that_a_lifecycle_hook_holds_are_named_with_what_ends_it(folder: Path) -> None:
    name, scaling = "lambda_fs_clients_ags", client("autoscaling")
    hook = {"AutoScalingGroupName": name, "LifecycleHookName": "mine"}
    scaling.put_lifecycle_hook(**hook, LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING")
    scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
    (held,) = (it for it in group()["Instances"] if it["LifecycleState"] == "Pending:Wait")
    state = held_state(group(), "2 of 3 machines")
    assert f"a lifecycle hook holds machines: {held['InstanceId']} is Pending:Wait" in state.state
    assert f"delete-lifecycle-hook --auto-scaling-group-name {name}" in state.hint
    scaling.delete_lifecycle_hook(**hook)
    assert held_state(group(), "3 of 3 machines").state == "3 of 3 machines"
    changed(folder, **{DESIRED: 3})
    act(folder, "create", "--yes")
    assert left(folder) == []
