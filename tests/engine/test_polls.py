"""When a wait asks: seldom until the usual time, then so often that little time is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aws_setup.engine.step import RunContext
from aws_setup.engine.wait import SHORTEST_NEAR, Pending, pause_after, wait_until
from tests.support.clock import RecordingClock


def polls(lasts: float, *, usual: float, pause: float = 10.0) -> tuple[int, float]:
    """Return how often a wait of `lasts` seconds asks, and when it ends."""
    clock, asked = RecordingClock(), []

    def probe() -> bool | Pending:
        asked.append(clock.now())
        return clock.now() >= lasts or Pending("starting")

    wait_until("it", probe, clock=clock, deadline=10_000, pause=pause, usual=usual)
    return len(asked), clock.now()


@pytest.mark.parametrize("usual", [12, 25, 60, 150, 380, 560])
@pytest.mark.parametrize("factor", [0.96, 1.0, 1.003, 1.1, 1.5, 3.0])
def test_a_wait_near_its_usual_time_or_later_loses_two_percent(usual: float, factor: float) -> None:
    lasts = usual * factor
    asked, ended = polls(lasts, usual=usual)
    assert lasts <= ended <= max(1.02 * lasts, lasts + SHORTEST_NEAR)
    assert asked <= 22 + 55 * (factor > 1.2)


@pytest.mark.parametrize("factor", [0.1, 0.5, 0.9])
def test_a_wait_that_ends_early_loses_a_tenth_of_its_usual_time(factor: float) -> None:
    _, ended = polls(560 * factor, usual=560)
    assert ended - 560 * factor <= 56


def test_without_a_usual_time_the_pauses_are_even_until_they_are_two_percent() -> None:
    assert polls(100, usual=0) == (11, 100)
    assert pause_after(3, pause=10, usual=0) == 10
    assert pause_after(1000, pause=10, usual=0) == 20


def test_what_has_passed_since_the_request_counts() -> None:
    clock = RecordingClock()
    ctx = RunContext(clock=clock)
    since = clock.today() - timedelta(seconds=500)
    ctx.wait_until(
        "it",
        lambda: clock.now() >= 60 or Pending("CREATING"),
        deadline=900,
        pause=20,
        usual=560,
        since=since,
    )
    assert 500 + clock.now() <= 1.02 * 560
    assert len(clock.slept) <= 8


def test_a_request_of_long_ago_says_nothing() -> None:
    clock = RecordingClock()
    RunContext(clock=clock).wait_until(
        "it",
        lambda: clock.now() >= 60 or Pending("UPDATING"),
        deadline=900,
        pause=20,
        usual=560,
        since=clock.today() - timedelta(days=9),
    )
    assert list(clock.slept) == [20, 20, 20], "else it would be 2 % of nine days"
