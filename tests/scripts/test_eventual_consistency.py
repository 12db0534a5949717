"""Resources that become visible late: a run waits, and creates nothing twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from aws_setup.aws.idempotency import retry_not_found, wait_visible
from aws_setup.engine.retry import VISIBLE
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import Settings
from create_aws_infrastructure import SCRIPT
from tests.support.clock import RecordingClock
from tests.support.scripts import prepare, run

SPEED = 60.0


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "CreateSubnet")


@pytest.fixture
def settings() -> Settings:
    """A cloud in which seconds pass, sixty times faster."""
    return Settings(speed=SPEED, latencies={"cluster active": 30, "nat available": 20})


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AWS_SETUP_PACE", f"{1 / SPEED:g}")
    return prepare(tmp_path / "work")


def kinds(cloud: RehearsalCloud) -> Counter[tuple[str, str]]:
    return Counter(
        (resource.kind, resource.tags.get("lambda-fs:step", "")) for resource in cloud.snapshot()
    )


def test_every_resource_may_become_visible_late(cloud: RehearsalCloud, folder: Path) -> None:
    empty = kinds(cloud)
    cloud.faults.add({"fault": "stale-read", "action": "*", "seconds": 4})
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    made = kinds(cloud)
    assert made["vpc", "vpc"] == made["elastic-ip", "elastic ip"] == 1
    cloud.faults.clear()
    again = run(SCRIPT, folder, "--yes", "--json")
    assert {step["action"] for step in again.document["steps"]} == {"exists"}
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0
    assert kinds(cloud) == empty


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "lose-answer"},
        {"fault": "fail", "code": "InternalError", "status": 500},
    ],
)
def test_a_lost_answer_and_late_visibility_create_nothing_twice(
    cloud: RehearsalCloud, folder: Path, fault: dict[str, object]
) -> None:
    cloud.faults.add(
        {"fault": "stale-read", "action": "*", "seconds": 4},
        *(
            fault | {"action": action, "calls": [1]}
            for action in (
                "CreateVpc",
                "CreateSubnet",
                "CreateSecurityGroup",
                "CreateInternetGateway",
                "AllocateAddress",
                "CreateLaunchTemplate",
                "CreateAutoScalingGroup",
                "CreateRole",
            )
        ),
    )
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    made = {step: count for (kind, step), count in kinds(cloud).items() if kind != "volume"}
    once = ("vpc", "elastic ip", "internet gateway", "security group", "public subnet 1")
    assert {step: made[step] for step in once} == dict.fromkeys(once, 1)


@pytest.mark.parametrize(
    ("action", "listed", "kind", "code"),
    [
        (
            "AttachInternetGateway",
            "DescribeInternetGateways",
            "internet gateway",
            "InvalidInternetGatewayID.NotFound",
        ),
        ("ModifyVpcAttribute", "DescribeVpcs", "vpc", "InvalidVpcID.NotFound"),
    ],
)
def test_what_stays_unknown_is_not_created_again(
    cloud: RehearsalCloud, folder: Path, action: str, listed: str, kind: str, code: str
) -> None:
    cloud.faults.add({"fault": "stale-read", "action": listed, "seconds": 5000})
    fault = {"fault": "fail", "code": code, "status": 400, "calls": list(range(1, 100))}
    cloud.faults.add(fault | {"action": action})
    ended = run(SCRIPT, folder, "--yes", "--json", "--only", "public route")
    assert ended.exit_code == 1
    assert "does not know it yet" in ended.document["problems"][0]["what"]
    assert kinds(cloud)[(kind.replace(" ", "-"), kind)] == 1
    cloud.faults.clear()
    assert run(SCRIPT, folder, "--yes", "--only", "public route").exit_code == 0
    assert kinds(cloud)[(kind.replace(" ", "-"), kind)] == 1


def test_a_retry_ends_when_the_resource_is_visible() -> None:
    answers = iter([refusal("InvalidVpcID.NotFound"), refusal("NatGatewayNotFound"), None])

    def act() -> str:
        error = next(answers)
        if error:
            raise error
        return "done"

    clock = RecordingClock()
    assert retry_not_found(act, clock=clock) == "done"
    assert clock.slept == list(VISIBLE.pauses())[:2]


@pytest.mark.parametrize(
    "code", ["UnauthorizedOperation", "InvalidKeyPair.NotFound", "VpcLimitExceeded"]
)
def test_an_error_that_waiting_does_not_fix_is_raised_at_once(code: str) -> None:
    calls: list[str] = []

    def act() -> None:
        calls.append(code)
        raise refusal(code)

    with pytest.raises(ClientError):
        retry_not_found(act, clock=RecordingClock())
    assert calls == [code]


def test_a_retry_ends_with_awss_message() -> None:
    def act() -> None:
        raise refusal("InvalidVpcID.NotFound")

    clock = RecordingClock()
    with pytest.raises(ClientError, match="InvalidVpcID"):
        retry_not_found(act, clock=clock)
    assert clock.slept == list(VISIBLE.pauses())
    results = iter([None, None, "vpc-1"])
    assert wait_visible(lambda: next(results), clock=clock) == "vpc-1"
    assert wait_visible(lambda: None, clock=clock) is None
