"""An inner limit never outlives an outer one, whoever waits inside."""

from __future__ import annotations

import pytest

from aws_setup.engine.deadline import LAST_TRY, remaining, within
from aws_setup.engine.wait import Pending, SystemClock, wait_until
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


class SleepyClock(RecordingClock):
    """A clock that counts an hour of the computer's sleep in its third pause."""

    def sleep(self, seconds: float) -> None:
        """Pause, once for an hour longer."""
        super().sleep(seconds + (HOUR if len(self.slept) == 2 else 0))


HOUR = 3600.0


def ready_after(polls: int) -> tuple[SleepyClock, str]:
    """Wait 100 seconds, in pauses of 10, for what is ready at a poll; return clock and result."""
    clock, states = SleepyClock(), iter([*["starting"] * (polls - 1), "ready"])

    def probe() -> str | Pending:
        return Pending(state) if (state := next(states)) != "ready" else state

    def outer() -> str | Pending:
        return wait_until("inner", probe, clock=clock, deadline=100, pause=10)

    return clock, wait_until("outer", outer, clock=clock, deadline=100, pause=10)


@pytest.mark.parametrize("polls", [4, 5, 10])
def test_an_hour_asleep_does_not_count_for_a_deadline(polls: int) -> None:
    clock, found = ready_after(polls)
    assert found == "ready"
    assert clock.now() == HOUR + 10 * (polls - 1)


def test_after_the_sleep_a_wait_still_ends() -> None:
    with pytest.raises(SetupError, match="not within 1 min 40 s") as caught:
        ready_after(1000)
    assert "again" in caught.value.problems[0].hint


def test_a_pause_that_a_pace_makes_longer_is_no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, time = SystemClock(pace=1000.0), RecordingClock()
    monkeypatch.setattr(clock, "now", time.now)
    monkeypatch.setattr(clock, "sleep", lambda seconds: time.sleep(seconds * clock.pace))
    with pytest.raises(SetupError, match="not within 1 min 40 s"):
        wait_until("it", lambda: Pending("starting"), clock=clock, deadline=100, pause=10)
    assert len(time.slept) == 1
