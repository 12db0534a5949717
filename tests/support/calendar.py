"""A calendar that a test moves forward: that of the scripts, of the cloud and of moto."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from types import ModuleType
from typing import Any
from unittest.mock import patch

import moto.core.utils

from aws_setup.engine import wait
from aws_setup.rehearsal.core import clock


class Calendar:
    """How far the calendar is ahead of the computer's; durations and pauses are not changed."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def skip(self, hours: float) -> None:
        """Move the calendar forward."""
        self.ahead += timedelta(hours=hours)


@contextmanager
def movable_calendar() -> Iterator[Calendar]:
    """Give scripts, cloud and moto a calendar that the test moves."""
    calendar = Calendar()

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + calendar.ahead

    module = ModuleType("datetime")
    module.__dict__.update(vars(moto.core.utils.datetime), datetime=Moved)
    with (
        patch.object(wait, "datetime", Moved),
        patch.object(clock, "datetime", Moved),
        patch.object(moto.core.utils, "datetime", module),
    ):
        yield calendar
