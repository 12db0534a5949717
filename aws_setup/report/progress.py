"""Progress of a run on stderr: a live table on a terminal, one plain line an event elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.wait import format_duration

Needs = Mapping[str, Sequence[str]]
"""Step -> the steps that have to end before it."""

ROWS = 20
"""Lines of the live table; ended steps leave it first."""

STYLES = {
    EventKind.START: "cyan",
    EventKind.NOTE: "cyan",
    EventKind.DONE: "green",
    EventKind.FAILED: "bold red",
    EventKind.BLOCKED: "yellow",
}


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
        if event.kind is EventKind.START or (self._quiet and event.kind is not EventKind.FAILED):
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
        """Return what a step that has not started waits for."""
        waits = [need for need in self._needs[name] if need in self._lines]
        left = [need for need in waits if not self._lines[need].ended]
        return f"waits for {', '.join(left)}" if left else "about to start"


def _elapsed(line: _Line) -> Text:
    if line.started is None:
        return Text("")
    return Text(format_duration((line.ended or time.monotonic()) - line.started), justify="right")


def action_text(event: StepEvent) -> str:
    """Return an event in words."""
    if event.kind is EventKind.START:
        return str(event.action)
    if event.kind is EventKind.DONE:
        past = {"create": "created", "update": "updated", "delete": "deleted"}
        return f"{past.get(event.action, str(event.action))} {event.id}".rstrip()
    if event.kind is EventKind.BLOCKED:
        return "not started: something that it needs failed"
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
