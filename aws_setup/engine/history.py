"""The event log: what each run did and when, as JSON lines beside the receipt.

docs/report.md describes the lines. No run depends on the log; it holds no secret and no account
number.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_setup.config.regular_files import read_file
from aws_setup.engine.decoding import Undecodable, json_object
from aws_setup.engine.file_errors import FREE_SPACE, is_full
from aws_setup.engine.private_files import append_private, write_private
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.safe_text import json_text, one_line
from aws_setup.engine.step import Action
from aws_setup.errors import Problem

KEPT_BYTES = 2 * 1024 * 1024
"""The oldest runs of a larger log are dropped when the next run starts."""

NOTES = 40
"""Notes of one step that are kept; further notes of the same run are dropped."""

TEXT = 400
"""Characters of a text that are kept."""


@dataclass(frozen=True)
class PlannedStep:
    """A step of the plan before a run: the action, and the id and state of what exists."""

    action: str
    id: str = ""
    state: str = ""


@dataclass(frozen=True)
class RunStarted:
    """The start of a run: its `run` line.

    `needs` maps each step, in the table's order, to the steps that must end before it starts (of
    a removal: to the steps that must be deleted first); `follows` to those that must be requested
    before it starts, and end before it is waited for. `started` is ISO 8601 in UTC. `parts` and
    `hourly_usd` are US dollars an hour; without a price `hourly_usd` is None.
    """

    command: str
    script: str
    deployment: str = ""
    region: str = ""
    started: str = ""
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hourly_usd: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    plan: Mapping[str, PlannedStep] = field(default_factory=dict)
    follows: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def predecessors(self, step: str) -> tuple[str, ...]:
        """Return the steps that a step needs or follows."""
        return (*self.needs.get(step, ()), *self.follows.get(step, ()))


@dataclass(frozen=True)
class RunEnded:
    """The end of a run: its `end` line; `seconds` count from the start, which is after consent."""

    result: str
    seconds: float
    api_calls: int
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """One run as recorded in the log; `end` is None while it runs, and after it was killed.

    The `at` of its events is seconds since the run's start.
    """

    head: RunStarted
    events: tuple[StepEvent, ...] = ()
    end: RunEnded | None = None


class EventLog:
    """Writes one run to the log, line by line; thread-safe.

    When a line cannot be written (full disk, read-only folder), writing stops with a `warning`
    and the run continues; `record` returns the complete run all the same.
    """

    def __init__(self, *, script: str, command: str, redact: Callable[[str], str] = str) -> None:
        self.head = RunStarted(command, script)
        self._redact = redact
        self.warning: Problem | None = None
        self._events: list[StepEvent] = []
        self._end: RunEnded | None = None
        self._notes: dict[str, int] = {}
        self._path: Path | None = None
        self._began: float | None = None
        self._id = secrets.token_hex(4)
        self._lock = threading.Lock()

    def begin(self, head: RunStarted, *, now: float, path: Path | None) -> None:
        """Write the `run` line; `now` is on the events' clock; no file without `path`."""
        self.head, self._began, self._path = head, now, path
        if path:
            self._guard(lambda: _prepare(path))
        self._write({"kind": "run"} | _document(head))

    def tell(self, event: StepEvent) -> None:
        """Record one event of the run, except what only a live display shows."""
        if event.kind in (EventKind.PROGRESS, EventKind.AGAIN):
            return
        with self._lock:
            count = self._notes[event.step] = self._notes.get(event.step, 0) + 1
            if event.kind is EventKind.NOTE and count > NOTES:
                return
            recorded = StepEvent(
                max(0.0, round(event.at - (self._began or 0.0), 3)),
                event.kind,
                event.step,
                event.action,
                self.scrub(event.text),
                self.scrub(event.id),
            )
            self._events.append(recorded)
            self._write(_document(recorded))

    def finish(
        self, *, now: float, result: str, api_calls: int, problems: Sequence[Problem] = ()
    ) -> None:
        """Write the `end` line."""
        scrubbed = tuple(
            Problem(self.scrub(p.what), self.scrub(p.why), self.scrub(p.hint)) for p in problems
        )
        seconds = 0.0 if self._began is None else round(now - self._began, 3)
        self._end = RunEnded(result, seconds, api_calls, scrubbed)
        with self._lock:
            self._write({"kind": "end"} | _document(self._end))

    def scrub(self, text: str) -> str:
        """Return a text as one safe line without secrets, cut to TEXT characters."""
        return one_line(self._redact(text))[:TEXT]

    def record(self) -> RunRecord:
        """Return the run as recorded so far."""
        with self._lock:
            return RunRecord(self.head, tuple(self._events), self._end)

    def _write(self, line: Mapping[str, Any]) -> None:
        path = self._path
        if path:
            text = json_text({"run": self._id, **line}) + "\n"
            self._guard(lambda: append_private(path, text))

    def _guard(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            why = f"{self._path}: {error.strerror or error}; the run continued without it"
            fix = FREE_SPACE if is_full(error) else "make the file writable"
            hint = f"{fix}, if you need reports and timelines of the next runs"
            self.warning = Problem("the event log could not be written", why, hint)
            self._path = None


def _document(line: RunStarted | StepEvent | RunEnded) -> dict[str, Any]:
    """Return a line's fields in their order, without the empty ones."""
    fields = asdict(line)
    fields.pop("bytes", None)
    return {key: value for key, value in fields.items() if value not in ("", {}, ())}


def _prepare(path: Path) -> None:
    """Drop the oldest runs of a log that is too large, and end an incomplete last line."""
    if not path.is_file():
        return
    text = read_file(path).decode("utf-8", "replace")
    if len(text.encode()) > KEPT_BYTES:
        write_private(path, _newest_runs(text.split("\n")))
    elif text and not text.endswith("\n"):
        append_private(path, "\n")


def _newest_runs(lines: Sequence[str]) -> str:
    """Return the newest complete runs that fit into half of KEPT_BYTES."""
    size, first = 0, len(lines)
    while first and size + len(lines[first - 1].encode()) < KEPT_BYTES // 2:
        first -= 1
        size += len(lines[first].encode()) + 1
    complete = {line["run"] for line in _lines(lines[first:]) if line["kind"] == "run"}
    kept = [text for text in lines[first:] for line in _lines([text]) if line["run"] in complete]
    return "".join(f"{text}\n" for text in kept)


def read_events(path: Path) -> list[RunRecord]:
    """Return the runs of a log, the oldest first; lines that a crash left incomplete are skipped.

    Raises:
        OSError: the log cannot be read.
    """
    return parse(read_file(path).decode("utf-8", "replace").split("\n"))


def parse(lines: Iterable[str]) -> list[RunRecord]:
    """Return the runs that the lines of a log describe, in the order of their start."""
    heads: dict[str, RunStarted] = {}
    events: dict[str, list[StepEvent]] = {}
    ends: dict[str, RunEnded] = {}
    for line in _lines(lines):
        run_id, kind = line["run"], line["kind"]
        # A line of another version, or one that was changed by hand, is passed over.
        with suppress(LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            if kind == "run":
                heads[run_id] = _head(line)
            elif kind == "end":
                ends[run_id] = _end(line)
            elif kind in set(EventKind):
                events.setdefault(run_id, []).append(_event(line))
    return [
        RunRecord(head, tuple(events.get(run_id, ())), ends.get(run_id))
        for run_id, head in heads.items()
    ]


def _lines(texts: Iterable[str]) -> Iterable[dict[str, Any]]:
    for text in texts:
        try:
            line = json_object(text)
        except Undecodable:
            continue
        if isinstance(line.get("run"), str) and isinstance(line.get("kind"), str):
            yield line


def _head(line: Mapping[str, Any]) -> RunStarted:
    texts = ("command", "script", "deployment", "region", "started")
    needs, follows = (
        {step: tuple(map(str, names)) for step, names in line.get(key, {}).items()}
        for key in ("needs", "follows")
    )
    hourly = line.get("hourly_usd")
    return RunStarted(
        **{key: str(line[key]) for key in texts if key in line},
        needs=needs,
        follows=follows,
        hourly_usd=None if hourly is None else float(hourly),
        parts={part: float(price) for part, price in line.get("parts", {}).items()},
        plan={
            step: PlannedStep(**_texts(PlannedStep, row))
            for step, row in line.get("plan", {}).items()
        },
    )


def _texts(kind: type[PlannedStep | Problem], row: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a class that a row of this or a later version has."""
    return {key: str(row[key]) for key in kind.__dataclass_fields__ if key in row}


def _event(line: Mapping[str, Any]) -> StepEvent:
    return StepEvent(
        float(line["at"]),
        EventKind(line["kind"]),
        str(line["step"]),
        Action(line.get("action", Action.EXISTS)),
        str(line.get("text", "")),
        str(line.get("id", "")),
    )


def _end(line: Mapping[str, Any]) -> RunEnded:
    problems = tuple(Problem(**_texts(Problem, row)) for row in line.get("problems", ()))
    return RunEnded(str(line["result"]), float(line["seconds"]), int(line["api_calls"]), problems)


def timestamp(moment: datetime) -> str:
    """Return a time in the format of the `run` line."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
