"""Progress of many uploads: one bar over all of them, or a plain line for each end.

A plain line has how many are done, the bytes, the rate and the time left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.wait import format_duration
from aws_setup.report.folding import print_line
from aws_setup.report.progress import STYLES, Progress, action_text

MIB = 1024 * 1024


class Meter:
    """How many steps and bytes of a run are done, the rate, and the time left."""

    def __init__(self, total: int, total_bytes: int, *, now: float) -> None:
        self.total, self.total_bytes = total, total_bytes
        self.sent = self.ended = 0
        self._began = now

    def take(self, event: StepEvent) -> None:
        """Count an event."""
        self.sent += event.bytes
        self.ended += event.kind in {EventKind.DONE, EventKind.FAILED}

    def text(self, now: float) -> str:
        """Return the state at a moment of the clock, in seconds."""
        text = f"{self.ended} of {self.total}"
        if not self.total_bytes:
            return text
        rate = self.sent / max(now - self._began, 0.001)
        left = max(self.total_bytes - self.sent, 0)
        text += f", {self.sent / MIB:.0f} of {self.total_bytes / MIB:.0f} MiB"
        text += f", {rate / MIB:.1f} MiB/s"
        return text + (f", {format_duration(left / rate)} left" if left and rate else "")


LOUD = frozenset({EventKind.NOTE, EventKind.DONE, EventKind.FAILED})
"""Events of many uploads with a plain line: ends and retries."""


class _Counted(Progress):
    """A plain line for each end and each retry, with the state of the whole run."""

    def __init__(self, console: Console, meter: Meter, *, quiet: bool, now: float) -> None:
        self._console, self._meter, self._quiet = console, meter, quiet
        self._began = now
        self._lock = threading.Lock()

    def __call__(self, event: StepEvent) -> None:
        with self._lock:
            self._meter.take(event)
            if event.kind not in LOUD or (self._quiet and event.kind is not EventKind.FAILED):
                return
            now = time.monotonic()
            line = Text(f"{format_duration(now - self._began):>12}  ", style="dim")
            line.append(f"{event.step}: {action_text(event)}", style=STYLES[event.kind])
            line.append(f"  ({self._meter.text(now)})", style="dim")
            print_line(self._console, line)


@contextmanager
def counted(console: Console, total: int, total_bytes: int, *, quiet: bool) -> Iterator[Progress]:
    """Show each end and each retry as one line with the run's state; with `quiet` only failures."""
    now = time.monotonic()
    yield _Counted(console, Meter(total, total_bytes, now=now), quiet=quiet, now=now)


class _BarProgress(Progress):
    """Moves one bar; retries and failures are lines above it."""

    def __init__(self, console: Console, meter: Meter, bar: Bar) -> None:
        self._console, self._meter, self._bar = console, meter, bar
        self._task = bar.add_task(meter.text(0.0), total=meter.total_bytes or meter.total)
        self._lock = threading.Lock()

    def __call__(self, event: StepEvent) -> None:
        with self._lock:
            self._meter.take(event)
            done = self._meter.sent if self._meter.total_bytes else self._meter.ended
            text = f"{self._meter.ended} of {self._meter.total}"
        self._bar.update(self._task, completed=done, description=text)
        if event.kind in {EventKind.NOTE, EventKind.FAILED}:
            line = f"{event.step}: {action_text(event)}"
            print_line(self._console, Text(line, style=STYLES[event.kind]))


@contextmanager
def bar(console: Console, total: int, total_bytes: int) -> Iterator[Progress]:
    """Show one bar over all steps of a run: bytes where there are any, else steps."""
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    if total_bytes:
        columns += [DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn()]
    else:
        columns.append(MofNCompleteColumn())
    meter = Meter(total, total_bytes, now=time.monotonic())
    with Bar(*columns, console=console, transient=True, disable=not total) as shown:
        yield _BarProgress(console, meter, shown)
