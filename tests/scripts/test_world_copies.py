"""A copy of a file's world that a time-out ends leaves the world to the tests after it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NoReturn

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.copies import CAN_COPY, World, in_a_copy


class TimeOutError(BaseException):
    """What pytest-timeout raises in the main thread."""


@pytest.mark.skipif(not CAN_COPY, reason="forks")
def test_a_copy_that_is_timed_out_ends_and_the_next_one_starts_from_the_same_state(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder, told = tmp_path / "world", tmp_path / "pid"
    folder.mkdir()
    (folder / "state").write_text("first")
    world = World(cloud, folder)

    def hang() -> None:
        (folder / "state").write_text("changed")
        told.write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGUSR1)
        while True:
            signal.pause()

    def time_out(*_: object) -> NoReturn:
        raise TimeOutError

    before = signal.signal(signal.SIGUSR1, time_out)
    try:
        with pytest.raises(TimeOutError):
            in_a_copy(world, hang)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
    in_a_copy(world, lambda: (tmp_path / "seen").write_text((folder / "state").read_text()))
    assert (tmp_path / "seen").read_text() == "first"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("world.")]
