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
from datetime import UTC, datetime

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
from aws_setup.engine.step import Action
from aws_setup.engine.wait import format_duration
from aws_setup.report.expected import Forecast
from aws_setup.report.folding import print_line

Needs = Mapping[str, Sequence[str]]
"""Step -> the steps that have to end before it."""

ROWS = 20
"""Lines of the live table; ended steps are dropped first."""

BAR = 20
"""Columns of the bar of the whole run."""

MINUTE = 60.0
"""Seconds between two lines about what is running, where there is no live table."""

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


ENDS = frozenset({EventKind.DONE, EventKind.FAILED, EventKind.BLOCKED})
"""Events after which a step is over."""


class _Shown(Progress):
    """What a run's progress knows: the state of each step, and the run's forecast."""

    def __init__(self, needs: Needs, usual: Mapping[str, float]) -> None:
        self._forecast = Forecast(needs, usual)
        self._lines = {name: _Line() for name in needs}
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def _take(self, event: StepEvent, now: float) -> None:
        """Note an event; the caller holds the lock.

        An existing step counts from its first note on: most are only looked at.
        """
        if event.kind is EventKind.START and event.action is Action.EXISTS:
            return
        line = self._lines.setdefault(event.step, _Line())
        self._forecast.started.setdefault(event.step, now)
        line.state, line.style = action_text(event), STYLES[event.kind]
        if event.kind in ENDS:
            self._forecast.ended[event.step] = now


class _Plain(_Shown):
    """One line for each event, and one a minute about what is running."""

    def __init__(
        self, console: Console, needs: Needs, usual: Mapping[str, float], *, quiet: bool
    ) -> None:
        super().__init__(needs, usual)
        self._console, self._quiet = console, quiet
        self._late: set[str] = set()

    def __call__(self, event: StepEvent) -> None:
        if event.kind is EventKind.PROGRESS:
            return
        now = time.monotonic()
        with self._lock:
            self._take(event, now)
            if event.kind in SILENT or (self._quiet and event.kind is not EventKind.FAILED):
                return
            self._print(now, f"{event.step}: {action_text(event)}", STYLES[event.kind])

    def tick(self, now: float) -> None:
        """Print what is running: the longest wait, and the run; once for each step that is late."""
        with self._lock:
            forecast = self._forecast
            running = [s for s in forecast.started if s not in forecast.ended]
            for step in running:
                if forecast.is_late(step, now) and step not in self._late:
                    self._late.add(step)
                    self._print(now, f"{step}: {forecast.late_text(step)}", "yellow")
            if not running:
                return
            left = {step: forecast.usual.get(step, 0.0) for step in running}
            step = max(running, key=lambda step: (left[step], -forecast.started[step]))
            wait = f"{step}: {self._lines[step].state}, {forecast.elapsed(step, now)}"
            summary = forecast.summary(now, self._began, today=datetime.now(UTC))
            self._print(now, f"{wait} ({summary})", "dim")

    def _print(self, now: float, text: str, style: str) -> None:
        line = Text(f"{format_duration(now - self._began):>12}  ", style="dim")
        line.append(one_line(text), style=style)
        print_line(self._console, line)


class _Table(_Shown):
    """What the live table shows; rich asks for it four times a second."""

    def __call__(self, event: StepEvent) -> None:
        if event.kind is EventKind.PROGRESS:
            return
        with self._lock:
            self._take(event, time.monotonic())

    def __rich__(self) -> RenderableType:
        with self._lock:
            now, forecast = time.monotonic(), self._forecast
            open_lines = [name for name in self._lines if name not in forecast.ended]
            ended = [name for name in self._lines if name in forecast.ended]
            shown = (ended + open_lines)[-ROWS:] if len(open_lines) < ROWS else open_lines[:ROWS]
            table = Table(box=None, pad_edge=False, show_header=False)
            for fixed in (True, True, False):  # the name is whole, the state is cut where it must
                table.add_column(overflow="ellipsis", no_wrap=fixed)
            for name in shown:
                state, style = self._state(name, now)
                elapsed = Text(forecast.elapsed(name, now), justify="right")
                table.add_row(Text(name), elapsed, Text(state, style, no_wrap=True))
            today = datetime.now(UTC)
            share = round(BAR * forecast.fraction(now, self._began))
            bar_text = "█" * share + "░" * (BAR - share)
            table.caption = f"{bar_text} {forecast.summary(now, self._began, today=today)}"
            table.caption_justify = "left"
            return table

    def _state(self, name: str, now: float) -> tuple[str, str]:
        """Return the text and the style of a step's state."""
        line = self._lines[name]
        if name not in self._forecast.started:
            return self._waits_for(name), line.style
        if self._forecast.is_late(name, now):
            return f"{line.state}; {self._forecast.late_text(name)}", "yellow"
        return line.state, line.style

    def _waits_for(self, name: str) -> str:
        """Return which steps a step that has not started waits for."""
        needs = [need for need in self._forecast.needs.get(name, ()) if need in self._lines]
        left = [need for need in needs if need not in self._forecast.ended]
        return f"waits for {', '.join(left)}" if left else "about to start"


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
def plain(
    console: Console, needs: Needs, usual: Mapping[str, float], *, quiet: bool
) -> Iterator[Progress]:
    """Show each event as one line, and what is running once a minute; with `quiet` only failures.

    Args:
        console: where it is printed.
        needs: the steps of the run.
        usual: the seconds that they usually take.
        quiet: only failures.
    """
    shown = _Plain(console, needs, usual, quiet=quiet)
    over = threading.Event()

    def tick() -> None:
        while not over.wait(MINUTE):
            shown.tick(time.monotonic())

    ticking = threading.Thread(target=tick, name="progress", daemon=True)
    if not quiet:
        ticking.start()
    try:
        yield shown
    finally:
        over.set()
        if not quiet:
            ticking.join()


@contextmanager
def live(
    console: Console, needs: Needs, usual: Mapping[str, float] | None = None
) -> Iterator[Progress]:
    """Show a table that follows the events until the run ends; `usual` are the usual seconds.

    A run that expects to change nothing has no table: what it changes all the same is a line.
    """
    if not needs:
        with plain(console, needs, usual or {}, quiet=False) as lines:
            yield lines
        return
    table = _Table(needs, usual or {})
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
