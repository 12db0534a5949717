"""What AWS shows late: a run goes on, makes nothing twice, and blames nobody else for its own."""

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
    return Counter((thing.kind, thing.tags.get("lambda-fs:step", "")) for thing in cloud.snapshot())


def test_everything_may_show_late(cloud: RehearsalCloud, folder: Path) -> None:
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
def test_a_lost_answer_and_a_late_show_make_nothing_twice(
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


def test_waiting_ends_when_it_shows_and_not_for_another_error() -> None:
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
def test_what_waiting_does_not_mend_is_said_at_once(code: str) -> None:
    calls: list[str] = []

    def act() -> None:
        calls.append(code)
        raise refusal(code)

    with pytest.raises(ClientError):
        retry_not_found(act, clock=RecordingClock())
    assert calls == [code]


def test_waiting_gives_up_with_awss_own_words() -> None:
    def act() -> None:
        raise refusal("InvalidVpcID.NotFound")

    clock = RecordingClock()
    with pytest.raises(ClientError, match="InvalidVpcID"):
        retry_not_found(act, clock=clock)
    assert clock.slept == list(VISIBLE.pauses())
    looks = iter([None, None, "there"])
    assert wait_visible(lambda: next(looks), clock=clock) == "there"
    assert wait_visible(lambda: None, clock=clock) is None
