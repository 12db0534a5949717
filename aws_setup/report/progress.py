"""Progress of a run on stderr: live in a terminal, one plain line for each event elsewhere.

A run over steps with needs shows each step; a run over many uploads is upload_progress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aws_setup.engine.flag import Flag
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

STYLES = {
    EventKind.START: "cyan",
    EventKind.NOTE: "cyan",
    EventKind.AGAIN: "cyan",
    EventKind.REQUESTED: "cyan",
    EventKind.PROGRESS: "cyan",
    EventKind.DONE: "green",
    EventKind.FAILED: "bold red",
    EventKind.BLOCKED: "yellow",
}


SILENT = frozenset({EventKind.START, EventKind.AGAIN, EventKind.PROGRESS})
"""Events without a plain line."""


class Progress:
    """Takes the events of a run; subclasses show them."""

    def __call__(self, event: StepEvent) -> None:
        """Take one event; called from many threads."""


@dataclass
class _Line:
    state: str = ""
    style: str = "dim"
    done: bool = False


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
        line.done = event.kind is EventKind.DONE
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
            shown = self._rows()
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

    def _rows(self) -> list[str]:
        """Return the steps that have a row now."""
        ended = [name for name in self._lines if name in self._forecast.ended]
        left = [name for name in self._lines if name not in self._forecast.ended]
        return (ended + left)[-ROWS:] if len(left) < ROWS else left[:ROWS]

    def print_cut(self, console: Console) -> None:
        """Print whole, below the table, what a step has made where its row has no room for it.

        Failures are not repeated: the report prints them whole.
        """
        now, shown = time.monotonic(), self._rows()
        columns = [
            [cell_len(text) for text in texts]
            for texts in (shown, [self._forecast.elapsed(name, now) for name in shown])
        ]
        room = console.width - sum(max(column, default=0) + 1 for column in columns)
        for name in shown:
            line = self._lines[name]
            if line.done and cell_len(self._state(name, now)[0]) > room:
                print_line(console, Text(f"{name}: {line.state}", style=line.style))

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
        return event.text or "not started: another step failed"
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
    over = Flag()

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
    try:
        with Live(table, console=console, refresh_per_second=4):
            yield table
    finally:
        table.print_cut(console)
