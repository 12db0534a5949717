"""Progress of uploads on stderr: bytes, rate and what is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from aws_setup.engine.wait import format_duration
from aws_setup.namenodes.deploy import Event, Kind, Listener, Task

MIB = 1024 * 1024

WORDS = {Kind.DONE: "done", Kind.FAILED: "failed", Kind.NOTE: ""}
STYLES = {Kind.DONE: "green", Kind.FAILED: "bold red", Kind.NOTE: "yellow"}


class Meter:
    """How many bytes and tasks are done, how fast, and how long the rest will take."""

    def __init__(self, tasks: Sequence[Task], *, now: float) -> None:
        self.total_bytes = sum(task.size for task in tasks)
        self.total = len(tasks)
        self.sent = self.ended = 0
        self._began = now

    def take(self, event: Event) -> None:
        """Count an event in."""
        self.sent += event.bytes
        self.ended += event.kind in {Kind.DONE, Kind.FAILED}

    def text(self, now: float) -> str:
        """Return the state in words."""
        said = f"{self.ended} of {self.total}"
        if not self.total_bytes:
            return said
        seconds = max(now - self._began, 0.001)
        rate = self.sent / seconds
        left = max(self.total_bytes - self.sent, 0)
        said += f", {self.sent / MIB:.0f} of {self.total_bytes / MIB:.0f} MiB"
        said += f", {rate / MIB:.1f} MiB/s"
        return said + (f", {format_duration(left / rate)} left" if left and rate else "")


@contextmanager
def plain(console: Console, tasks: Sequence[Task], *, quiet: bool) -> Iterator[Listener]:
    """Show each end and each repeat as one line; with `quiet` only failures."""
    began = time.monotonic()
    meter, lock = Meter(tasks, now=began), threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            meter.take(event)
            if event.kind not in WORDS or (quiet and event.kind is not Kind.FAILED) or not tasks:
                return
            now = time.monotonic()
            line = Text(f"{format_duration(now - began):>12}  ", style="dim")
            line.append(_wording(event), style=STYLES[event.kind])
            line.append(f"  ({meter.text(now)})", style="dim")
            console.print(line, soft_wrap=True)

    yield tell


@contextmanager
def live(console: Console, tasks: Sequence[Task]) -> Iterator[Listener]:
    """Show one bar over all uploads; repeats and failures are lines above it."""
    total = sum(task.size for task in tasks)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    if total:
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        ]
    meter, lock = Meter(tasks, now=time.monotonic()), threading.Lock()
    with Progress(*columns, console=console, transient=True, disable=not tasks) as bar:
        whole = bar.add_task(f"0 of {len(tasks)}", total=total or len(tasks))

        def tell(event: Event) -> None:
            with lock:
                meter.take(event)
                done = meter.sent if total else meter.ended
                text = f"{meter.ended} of {len(tasks)}"
            bar.update(whole, completed=done, description=text)
            if event.kind in {Kind.NOTE, Kind.FAILED}:
                console.print(Text(_wording(event), style=STYLES[event.kind]), soft_wrap=True)

        yield tell


def _wording(event: Event) -> str:
    word = WORDS[event.kind]
    deed = "" if event.deed == "nothing" else f"{event.deed} "
    return f"{event.name}: {deed}{word}{': ' if word and event.text else ''}{event.text}".rstrip()
