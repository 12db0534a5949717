"""The signals that end the rehearsal, which may come several at a time."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from aws_setup.rehearsal.core.cleanup import stop_flag

pytestmark = pytest.mark.timeout(30)


def test_a_second_signal_in_the_handler_of_the_first_hangs_nothing() -> None:
    """As when a terminal sends Ctrl-C to the process group, and a program to the process."""
    sent: list[str] = []

    def again(_: Any, event: str, __: Any) -> None:
        if event in ("call", "c_call") and len(sent) < 50:
            sent.append(event)
            signal.raise_signal(signal.SIGTERM)

    with stop_flag() as stop:
        sys.setprofile(again)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            sys.setprofile(None)
        assert stop.is_set()
        assert len(sent) > 3, "signals came at several places of the handler"


def test_the_handlers_of_before_are_set_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_flag() as stop:
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert not stop.is_set()
