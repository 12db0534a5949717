"""An inner limit never outlives an outer one, whoever waits inside."""

from __future__ import annotations

import pytest

from aws_setup.engine.deadline import LAST_TRY, remaining, within
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from tests.support.clock import RecordingClock

pytestmark = pytest.mark.kind("C4")


def test_what_runs_inside_gets_what_is_left() -> None:
    clock = RecordingClock()
    assert remaining(600) == 600
    with within(100, clock=clock):
        assert remaining(600) == 100
        assert remaining(20) == 20
        clock.sleep(90)
        assert remaining(600) == 10
        with within(500, clock=clock) as granted:
            assert granted == 10
        clock.sleep(50)
        assert remaining(600) == LAST_TRY
        assert remaining(1) == 1
    assert remaining(600) == 600


def test_a_wait_inside_a_wait_ends_with_the_outer_one() -> None:
    clock, granted = RecordingClock(), []

    def inner() -> str | Pending:
        granted.append(remaining(1000))
        return Pending("starting")

    def outer() -> str | Pending:
        return wait_until("inner", inner, clock=clock, deadline=900, pause=10)

    with pytest.raises(SetupError, match="inner"):
        wait_until("outer", outer, clock=clock, deadline=60, pause=5)
    assert clock.now() <= 80
    assert max(granted) == 60
