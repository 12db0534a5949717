"""The cloud's clock: fast durations, and the calendar of every other program."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from aws_setup.rehearsal.core import internal_errors
from aws_setup.rehearsal.core.clock import CloudClock, ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.types import AwsError
from tests.support.aws import client, refused


def test_what_a_fast_cloud_dates_is_not_in_the_future_of_the_scripts() -> None:
    clock = CloudClock(speed=1e9)
    while clock.now() < 3600:
        time.sleep(0.001)
    assert clock.today() <= datetime.now(UTC)


def test_another_speed_does_not_move_the_clock() -> None:
    clock = CloudClock(speed=1e6)
    while (before := clock.now()) < 3600:
        time.sleep(0.001)
    for speed in (60.0, 0.0):
        clock.speed = speed
        assert before <= clock.now()


def test_a_manual_clock_moves_its_calendar() -> None:
    clock = ManualClock()
    before = clock.today()
    clock.advance(90)
    assert clock.today() - before == timedelta(seconds=90)


def test_a_transition_that_fails_is_seen_and_answers_no_call_with_its_own_error(
    cloud: RehearsalCloud,
) -> None:
    def fail() -> None:
        raise AwsError("ScalingActivityInProgress", "of another resource")

    done: list[str] = []
    with cloud.lock:
        cloud.clock.after(0, fail)
        cloud.clock.after(0, lambda: done.append("the next"))
    assert refused(client("ec2").describe_vpcs) == "InternalFailure"
    client("ec2").describe_vpcs()
    assert done == ["the next"]
    assert [type(error) for error in cloud.clock.failed] == [AwsError]
    cloud.clock.failed.clear()
    assert len(internal_errors.take()) == 1
