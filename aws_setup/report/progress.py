"""Progress of a run on stderr: live in a terminal, one plain line for each event elsewhere.

A run over steps with needs shows each step. A run over many uploads shows one bar over all of
them, or on each plain line how many are done, the bytes, the rate and the time left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.live import Live
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
from rich.table import Table
from rich.text import Text

from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.safe_text import one_line
from aws_setup.engine.wait import format_duration

Needs = Mapping[str, Sequence[str]]
"""Step -> the steps that have to end before it."""

ROWS = 20
"""Lines of the live table; ended steps are dropped first."""

MIB = 1024 * 1024

STYLES = {
    EventKind.START: "cyan",
    EventKind.NOTE: "cyan",
    EventKind.REQUESTED: "cyan",
    EventKind.PROGRESS: "cyan",
    EventKind.DONE: "green",
    EventKind.FAILED: "bold red",
    EventKind.BLOCKED: "yellow",
}


SILENT = frozenset({EventKind.START, EventKind.PROGRESS})
"""Events without a plain line."""


class Progress:
    """Takes the events of a run; subclasses show them."""

    def __call__(self, event: StepEvent) -> None:
        """Take one event; called from many threads."""


@dataclass
class _Line:
    state: str = ""
    style: str = "dim"
    started: float | None = None
    ended: float | None = None


class _Plain(Progress):
    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console, self._quiet = console, quiet
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, event: StepEvent) -> None:
        if event.kind in SILENT or (self._quiet and event.kind is not EventKind.FAILED):
            return
        with self._lock:
            at = format_duration(time.monotonic() - self._began)
            text = Text(f"{at:>12}  ", style="dim")
            text.append(f"{event.step}: {action_text(event)}", style=STYLES[event.kind])
            self._console.print(text, soft_wrap=True)


class _Table(Progress):
    """What the live table shows; rich asks for it four times a second."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._lines = {name: _Line() for name in needs}
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, event: StepEvent) -> None:
        if event.kind is EventKind.PROGRESS:
            return
        now = time.monotonic()
        with self._lock:
            line = self._lines.setdefault(event.step, _Line())
            line.started = line.started or now
            line.state, line.style = action_text(event), STYLES[event.kind]
            if event.kind in (EventKind.DONE, EventKind.FAILED, EventKind.BLOCKED):
                line.ended = now

    def __rich__(self) -> RenderableType:
        with self._lock:
            open_lines = [(n, x) for n, x in self._lines.items() if not x.ended]
            ended = [(n, x) for n, x in self._lines.items() if x.ended]
            shown = (ended + open_lines)[-ROWS:] if len(open_lines) < ROWS else open_lines[:ROWS]
            table = Table(box=None, pad_edge=False, show_header=False)
            for fixed in (True, True, False):  # the name is whole, the state is cut where it must
                table.add_column(overflow="ellipsis", no_wrap=fixed)
            for name, line in shown:
                state = line.state if line.started else self._waits_for(name)
                table.add_row(Text(name), _elapsed(line), Text(state, line.style, no_wrap=True))
            clock = format_duration(time.monotonic() - self._began)
            table.caption = f"{len(ended)} of {len(self._lines)} steps, {clock}"
            table.caption_justify = "left"
            return table

    def _waits_for(self, name: str) -> str:
        """Return which steps a step that has not started waits for."""
        needs = [need for need in self._needs[name] if need in self._lines]
        left = [need for need in needs if not self._lines[need].ended]
        return f"waits for {', '.join(left)}" if left else "about to start"


def _elapsed(line: _Line) -> Text:
    if line.started is None:
        return Text("")
    return Text(format_duration((line.ended or time.monotonic()) - line.started), justify="right")


def action_text(event: StepEvent) -> str:
    """Return the text of an event as one line that is safe to print."""
    return one_line(_action_text(event))


def _action_text(event: StepEvent) -> str:
    if event.kind is EventKind.START:
        return str(event.action)
    if event.kind is EventKind.DONE and event.text:
        return event.text
    if event.kind is EventKind.DONE:
        past = {"create": "created", "update": "updated", "delete": "deleted"}
        return f"{past.get(event.action, str(event.action))} {event.id}".rstrip()
    if event.kind is EventKind.BLOCKED:
        return "not started: a step that it needs failed"
    return f"failed: {event.text}" if event.kind is EventKind.FAILED else event.text


@contextmanager
def plain(console: Console, *, quiet: bool) -> Iterator[Progress]:
    """Show each event as one line; with `quiet` only failures."""
    yield _Plain(console, quiet=quiet)


@contextmanager
def live(console: Console, needs: Needs) -> Iterator[Progress]:
    """Show a table that follows the events until the run ends."""
    table = _Table(needs)
    with Live(table, console=console, refresh_per_second=4):
        yield table


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
            self._console.print(line, soft_wrap=True)


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
            self._console.print(Text(line, style=STYLES[event.kind]), soft_wrap=True)


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
