"""The cloud's clock: fast durations, and the calendar of every other program."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from aws_setup.rehearsal.core.clock import CloudClock, ManualClock


def test_what_a_fast_cloud_dates_is_not_in_the_future_of_the_scripts() -> None:
    clock = CloudClock(speed=1e9)
    while clock.now() < 3600:
        time.sleep(0.001)
    assert clock.today() <= datetime.now(UTC)


def test_a_manual_clock_moves_its_calendar() -> None:
    clock = ManualClock()
    before = clock.today()
    clock.advance(90)
    assert clock.today() - before == timedelta(seconds=90)
