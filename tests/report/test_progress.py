"""How uploads look while they run: bytes, rate, what is left; plain lines and a bar."""

from __future__ import annotations

import io

from rich.console import Console

from aws_setup.namenodes.action import Deed
from aws_setup.namenodes.deploy import Event, Kind, Task
from aws_setup.report.upload_progress import MIB, Meter, live, plain

TASKS = [Task(f"namenode{index}", Deed.CREATE, 10 * MIB) for index in range(4)]


def event(kind: Kind, index: int = 0, *, text: str = "", size: int = 0) -> Event:
    return Event(kind, f"namenode{index}", Deed.CREATE, text, size)


def test_the_meter_tells_bytes_rate_and_what_is_left() -> None:
    meter = Meter(TASKS, now=100.0)
    meter.take(event(Kind.BYTES, size=10 * MIB))
    meter.take(event(Kind.DONE))
    assert meter.text(102.0) == "1 of 4, 10 of 40 MiB, 5.0 MiB/s, 6 s left"


def test_bytes_of_a_failed_attempt_do_not_count() -> None:
    meter = Meter(TASKS, now=0.0)
    meter.take(event(Kind.BYTES, size=8 * MIB))
    meter.take(event(Kind.BYTES, size=-8 * MIB))
    assert meter.text(1.0) == "0 of 4, 0 of 40 MiB, 0.0 MiB/s"


def test_without_bytes_only_tasks_are_counted() -> None:
    meter = Meter([Task("namenode0", Deed.DELETE)], now=0.0)
    meter.take(event(Kind.DONE))
    assert meter.text(1.0) == "1 of 1"


def lines(*, quiet: bool) -> str:
    console = Console(file=io.StringIO(), width=200)
    with plain(console, TASKS, quiet=quiet) as tell:
        tell(event(Kind.START))
        tell(event(Kind.BYTES, size=MIB))
        tell(event(Kind.NOTE, text="tried again: HTTP 503"))
        tell(event(Kind.DONE, text="version 0.0.1"))
        tell(event(Kind.FAILED, 1, text="HTTP 403"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_tell_ends_and_repeats() -> None:
    text = lines(quiet=False)
    assert len(text.splitlines()) == 3
    assert "namenode0: create tried again: HTTP 503" in text
    assert "namenode0: create done: version 0.0.1" in text
    assert "(2 of 4, 1 of 40 MiB" in text


def test_quiet_tells_failures_only() -> None:
    text = lines(quiet=True)
    assert len(text.splitlines()) == 1
    assert "namenode1: create failed: HTTP 403" in text


def test_the_bar_moves_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, no_color=True)
    with live(console, TASKS) as tell:
        for index in range(4):
            tell(event(Kind.BYTES, index, size=10 * MIB))
        for index in range(3):
            tell(event(Kind.DONE, index))
        tell(event(Kind.FAILED, 3, text="HTTP 403"))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "4 of 4" in text
    assert "40.0/40.0 MiB" in text
    assert "failed: HTTP 403" in text
