"""Runs that fail, are interrupted or killed: what runs then has a deadline, or the user is told."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import NODE_SCRIPT, SCRIPT, SMALL, act, instances
from tests.support.scripts import prepare, run
from tests.support.signals import deliver

PROGRAM = Path(__file__).resolve().parents[2] / SCRIPT.name
MACHINES: dict[str, Any] = {**SMALL, "create_eks_cluster": False}
NOTHING_STOPS = "nothing will stop this deployment by itself"
ZONES = [f"us-east-1{letter}" for letter in "abcdef"]


def schedules(cloud: RehearsalCloud) -> list[str]:
    """Return what the schedules stop, by the beginnings of their names."""
    groups = cloud.store_of(ScheduleStore).groups.values()
    return sorted(name.partition(".")[0] for group in groups for name in group.schedules)


def covered(cloud: RehearsalCloud) -> set[str]:
    """Return the ids of the machines that a schedule stops."""
    groups = cloud.store_of(ScheduleStore).groups.values()
    inputs = [
        json.loads(one.request["Target"]["Input"])
        for group in groups
        for one in group.schedules.values()
    ]
    return {name for one in inputs for name in one.get("InstanceIds", ())}


def warnings(document: dict[str, Any]) -> list[str]:
    return [one["what"] for one in document["warnings"]]


@pytest.fixture
def without_capacity(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return the folder of a deployment of which no zone has capacity for the NDB datanodes."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    kind = "r5.2xlarge"
    for zone in ZONES:
        cloud.faults.add({"fault": "no-capacity", "zone": zone, "instance_type": kind})
    return prepare(tmp_path / "work", **MACHINES, ndb_datanode_instance_type=kind)


def machines() -> set[str]:
    """Return the ids of the VMs that are no group's."""
    return {
        name
        for name, item in instances().items()
        if not any(tag["Key"] == "aws:autoscaling:groupName" for tag in item["Tags"])
    }


def test_a_first_create_without_capacity_for_one_group_has_a_deadline(
    cloud: RehearsalCloud, without_capacity: Path
) -> None:
    document = act(without_capacity, "create", code=1)
    assert any("capacity" in f"{one['what']} {one['why']}" for one in document["problems"])
    assert machines()
    assert covered(cloud) == machines()
    assert "lambda_fs_clients_ags" in schedules(cloud)
    assert document["deadline"]["state"] == "set"
    assert NOTHING_STOPS not in warnings(document)
    cloud.faults.clear()
    act(without_capacity, "create")
    assert covered(cloud) == machines()
    assert act(without_capacity, "destroy")["leftovers"] == []


def at_launch(
    cloud: RehearsalCloud, patch: pytest.MonkeyPatch, kind: str, act: Callable[[], None]
) -> None:
    """Call `act` once, when machines of a type are requested, before AWS has answered."""
    plain, left = cloud.handle, [act]

    def handle(request: HttpRequest) -> HttpAnswer:
        body = request.body
        if b"Action=RunInstances" in body and kind.encode() in body and b"DryRun" not in body:
            while left:
                left.pop()()
        return plain(request)

    patch.setattr(cloud, "handle", handle)


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), *words, "--yes", "--json"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


ROLE_LAG = {
    "fault": "fail",
    "action": "CreateSchedule",
    "code": "ValidationException",
    "message": "The execution role you provide must allow AWS EventBridge Scheduler to assume "
    "the role.",
    "calls": [1, 2],
}


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux_only
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_first_create_sets_the_deadline_of_what_it_has_requested(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its role may be too new for EventBridge Scheduler, and the run's waits have ended."""
    folder = prepare(tmp_path / "work", **MACHINES, ndb_datanode_instance_type="r5.2xlarge")
    cloud.faults.add(ROLE_LAG)
    running: list[subprocess.Popen[str]] = []
    at_launch(cloud, monkeypatch, "r5.2xlarge", lambda: deliver(running[0], signal.Signals[name]))
    running.append(start(folder, "create"))
    out, err = running[0].communicate(timeout=240)
    assert running[0].returncode == 130, err
    document = json.loads(out)
    assert document["result"] == "interrupted"
    assert machines()
    assert covered(cloud) == machines()
    assert document["deadline"]["state"] == "set"
    assert NOTHING_STOPS not in warnings(document)


@linux_only
def test_a_machine_that_aws_does_not_list_yet_has_a_deadline_after_ctrl_c(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is what it was before the run for three more calls."""
    folder = prepare(tmp_path / "work", **MACHINES, ndb_datanode_instance_type="r5.2xlarge")
    running: list[subprocess.Popen[str]] = []
    asked: list[str] = []

    def interrupt() -> None:
        asked.append("")
        deliver(running[0], signal.SIGINT)

    at_launch(cloud, monkeypatch, "r5.2xlarge", interrupt)
    late, before, left = cloud.handle, dict[bytes, HttpAnswer](), [1, 1, 1]

    def handle(request: HttpRequest) -> HttpAnswer:
        listing = b"Action=DescribeInstances" in request.body
        if listing and asked and request.body in before and left:
            left.pop()
            return before[request.body]
        answer = late(request)
        if listing and not asked:
            before.setdefault(request.body, answer)
        return answer

    monkeypatch.setattr(cloud, "handle", handle)
    running.append(start(folder, "create"))
    out, err = running[0].communicate(timeout=240)
    assert running[0].returncode == 130, err
    assert left == []
    assert covered(cloud) == machines() != set()
    assert json.loads(out)["deadline"]["state"] == "set"


@linux_only
def test_a_second_ctrl_c_ends_while_the_deadline_is_being_set(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(tmp_path / "work", **MACHINES, ndb_datanode_instance_type="r5.2xlarge")
    monkeypatch.setenv("AWS_SETUP_PACE", "1")
    running: list[subprocess.Popen[str]] = []
    at_launch(cloud, monkeypatch, "r5.2xlarge", lambda: deliver(running[0], signal.SIGINT))
    plain = cloud.handle

    def handle(request: HttpRequest) -> HttpAnswer:
        if request.method == "POST" and "/schedules/" in request.target:
            deliver(running[0], signal.SIGINT)
        return plain(request)

    monkeypatch.setattr(cloud, "handle", handle)
    cloud.faults.add({**ROLE_LAG, "calls": []})
    running.append(start(folder, "create"))
    out, err = running[0].communicate(timeout=240)
    assert running[0].returncode == 130, err
    assert json.loads(out)["result"] == "interrupted"
    asked = [call for call in cloud.calls if call.action == "CreateSchedule"]
    assert len(asked) == 1, "it is not repeated"


def test_after_a_kill_status_and_plan_say_that_nothing_will_stop_the_machines(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(tmp_path / "work", **MACHINES, ndb_datanode_instance_type="r5.2xlarge")
    running: list[subprocess.Popen[str]] = []

    def kill() -> None:
        running[0].kill()

    at_launch(cloud, monkeypatch, "r5.2xlarge", kill)
    running.append(start(folder, "create"))
    running[0].communicate(timeout=240)
    assert machines()
    assert schedules(cloud) == []
    for verb in ("status", "plan"):
        assert warnings(act(folder, verb)).count(NOTHING_STOPS) == 1
        shown = run(SCRIPT, folder, verb)
        assert f"warning: {NOTHING_STOPS}: its machines run, and no deadline is set" in shown.stderr
        assert re.search(r"create_aws_infrastructure\.py -y \S+ pause", shown.stderr)
    act(folder, "create")
    assert covered(cloud) == machines()
    assert warnings(act(folder, "status")) == []


def test_a_machine_without_its_schedule_is_named(cloud: RehearsalCloud, tmp_path: Path) -> None:
    """As after a run that was killed between two schedules."""
    folder = prepare(tmp_path / "work", **MACHINES)
    act(folder, "create")
    (group,) = cloud.store_of(ScheduleStore).groups.values()
    for name in [name for name in group.schedules if name.startswith("zookeeper")]:
        del group.schedules[name]
    document = act(folder, "status")
    assert document["deadline"]["state"] == "partial"
    assert warnings(document) == ["nothing will stop zookeeper by itself"]
    act(folder, "create")
    assert act(folder, "status")["deadline"]["state"] == "set"


def rows(document: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["action"] for row in document["steps"]}


def test_machines_that_only_was_asked_for_have_a_deadline_that_is_in_the_plan(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work", **MACHINES)
    assert "deadline" not in rows(act(folder, "plan", "--only", "nat gateway"))
    act(folder, "create", "--only", "nat gateway")
    assert schedules(cloud) == []
    words = ("--only", "zookeeper")
    planned = rows(act(folder, "plan", *words))
    assert (planned["deadline role"], planned["deadline"]) == ("create", "create")
    assert "ndb manager" not in planned
    document = act(folder, "create", *words)
    assert covered(cloud) == machines() != set()
    assert document["deadline"]["state"] == "set"
    assert NOTHING_STOPS not in warnings(document)
    assert set(rows(act(folder, "plan", *words)).values()) == {"exists"}


def test_configure_sets_the_deadline_that_create_could_not_set(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work", **SMALL)
    cloud.settings.deny = [DeniedPermission(action="scheduler:*")]
    with EksApiServers(cloud):
        act(folder, "create")
        assert schedules(cloud) == []
        cloud.settings.deny = []
        words = ("configure", "--only", "core-nodes", "--yes", "--json")
        ended = run(NODE_SCRIPT, folder, *words)
    assert ended.exit_code == 0, ended.document["problems"]
    made = rows(ended.document)
    assert (made["core-nodes"], made["deadline"]) == ("create", "create")
    assert ended.document["deadline"]["state"] == "set"
    assert "core-nodes" in schedules(cloud)
    assert covered(cloud) == machines()


@pytest.mark.parametrize("lost", [True, False])
def test_a_role_that_was_refused_once_is_made_at_the_end_of_the_run(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    folder = prepare(tmp_path / "work", **MACHINES)
    action = "PutRolePolicy" if lost else "CreateRole"
    fault = {"fault": "fail", "action": action, "calls": [1], "code": "ServiceFailure"}
    cloud.faults.add({**fault, "status": 500})
    document = act(folder, "create", code=1)
    assert covered(cloud) == machines()
    assert document["deadline"]["state"] == "set"
    cloud.faults.clear()
    rows = {row["name"]: row["action"] for row in act(folder, "plan")["steps"]}
    assert (rows["deadline role"], rows["deadline"]) == ("exists", "exists")


def test_a_failed_run_that_may_not_set_a_deadline_writes_nothing_of_it(
    cloud: RehearsalCloud, without_capacity: Path
) -> None:
    cloud.settings.deny = [DeniedPermission(action="scheduler:CreateSchedule")]
    document = act(without_capacity, "create", code=1)
    assert warnings(document).count(NOTHING_STOPS) == 1
    assert [call for call in cloud.calls.writes() if call.service == "scheduler"] == []


def test_a_deadline_that_aws_refuses_is_told_with_a_fix_of_its_cause(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    """No permission is missing, so no administrator can help."""
    folder = prepare(tmp_path / "work", **MACHINES)
    fault = {"fault": "fail", "action": "CreateScheduleGroup", "code": "ValidationException"}
    cloud.faults.add({**fault, "message": "1 validation error detected", "status": 400})
    document = act(folder, "create", code=1)
    (warned,) = [one for one in document["warnings"] if one["what"] == NOTHING_STOPS]
    assert "1 validation error detected" in warned["why"]
    assert "create again" in warned["hint"]
    assert "administrator" not in warned["hint"]
    assert document["deadline"]["state"] == "none"
