"""The event log: what each run did and when, as JSON lines beside the receipt; never needed by us.

docs/report.md describes the lines. Nothing secret and no account id gets into it.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_setup.engine.receipt import write_private
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.errors import Problem

KEPT_BYTES = 2 * 1024 * 1024
"""A log larger than this loses its oldest runs when the next run begins."""

NOTES = 40
"""Notes of one step that are kept; later ones of the same run are left out."""

TEXT = 400
"""Characters that are kept of a text."""


@dataclass(frozen=True)
class PlannedStep:
    """What the look before a run said about a step: what to do, and what is there."""

    action: str
    id: str = ""
    state: str = ""


@dataclass(frozen=True)
class RunStarted:
    """What a run is: its `run` line.

    `needs` maps each step, in the table's order, to those that must end before it starts (of a
    removal: to those that must be gone before it goes). `started` is ISO 8601 in UTC. `parts` and
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


@dataclass(frozen=True)
class RunEnded:
    """How a run ended: its `end` line; `seconds` count from its start, consent not included."""

    result: str
    seconds: float
    api_calls: int
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """One run as the log has it; `end` is None while it goes on, and for ever when it was killed.

    The `at` of its events is seconds since the run's start.
    """

    head: RunStarted
    events: tuple[StepEvent, ...] = ()
    end: RunEnded | None = None


class EventLog:
    """Writes one run into the log, line by line; it can be told events from many threads.

    A line that cannot be written (a full disk, a read-only folder) ends the writing with a
    `warning`, never the run; `record` has the whole run all the same.
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
        """Write the `run` line; `now` is on the clock of the events; None keeps nothing on disk."""
        self.head, self._began, self._path = head, now, path
        if path:
            self._guard(lambda: _prepare(path))
        self._write({"kind": "run"} | _document(head))

    def tell(self, event: StepEvent) -> None:
        """Take one event of the run; bytes on their way are not part of the record."""
        if event.kind is EventKind.PROGRESS:
            return
        with self._lock:
            noted = self._notes[event.step] = self._notes.get(event.step, 0) + 1
            if event.kind is EventKind.NOTE and noted > NOTES:
                return
            kept = StepEvent(
                max(0.0, round(event.at - (self._began or 0.0), 3)),
                event.kind,
                event.step,
                event.action,
                self.scrub(event.text),
                self.scrub(event.id),
            )
            self._events.append(kept)
            self._write(_document(kept))

    def finish(
        self, *, now: float, result: str, api_calls: int, problems: Sequence[Problem] = ()
    ) -> None:
        """Write the `end` line."""
        told = tuple(
            Problem(self.scrub(p.what), self.scrub(p.why), self.scrub(p.hint)) for p in problems
        )
        seconds = 0.0 if self._began is None else round(now - self._began, 3)
        self._end = RunEnded(result, seconds, api_calls, told)
        with self._lock:
            self._write({"kind": "end"} | _document(self._end))

    def scrub(self, text: str) -> str:
        """Return a text without secrets, cut to the length that is kept."""
        return self._redact(text)[:TEXT]

    def record(self) -> RunRecord:
        """Return the run so far."""
        with self._lock:
            return RunRecord(self.head, tuple(self._events), self._end)

    def _write(self, line: Mapping[str, Any]) -> None:
        path = self._path
        if path:
            text = json.dumps({"run": self._id, **line}, ensure_ascii=False) + "\n"
            self._guard(lambda: _append(path, text))

    def _guard(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            why = f"{self._path}: {error.strerror or error}"
            hint = "the run went on without it; only reports and timelines miss it"
            self.warning = Problem("the event log could not be written", why, hint)
            self._path = None


def _document(thing: RunStarted | StepEvent | RunEnded) -> dict[str, Any]:
    """Return a line's fields in their order, without those that are empty."""
    fields = asdict(thing)
    fields.pop("bytes", None)
    return {key: value for key, value in fields.items() if value not in ("", {}, ())}


def _append(path: Path, text: str) -> None:
    """Add a line in one write, so that two runs at the same time do not mix theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, text.encode("utf-8", "replace"))
    finally:
        os.close(handle)


def _prepare(path: Path) -> None:
    """Drop the oldest runs of a log that has grown too large, and end a line that is torn."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    if len(text.encode()) > KEPT_BYTES:
        write_private(path, _newest(text.split("\n")))
    elif text and not text.endswith("\n"):
        _append(path, "\n")


def _newest(lines: Sequence[str]) -> str:
    """Return the newest whole runs that fit into half of what is kept."""
    size, first = 0, len(lines)
    while first and size + len(lines[first - 1].encode()) < KEPT_BYTES // 2:
        first -= 1
        size += len(lines[first].encode()) + 1
    whole = {line["run"] for line in _lines(lines[first:]) if line["kind"] == "run"}
    kept = [text for text in lines[first:] for line in _lines([text]) if line["run"] in whole]
    return "".join(f"{text}\n" for text in kept)


def read_events(path: Path) -> list[RunRecord]:
    """Return the runs of a log, the oldest first; lines that a crash left torn are passed over.

    Raises:
        OSError: the log cannot be read.
    """
    return parse(path.read_text(encoding="utf-8", errors="replace").split("\n"))


def parse(lines: Iterable[str]) -> list[RunRecord]:
    """Return the runs that some lines of a log tell of, in the order of their beginning."""
    heads: dict[str, RunStarted] = {}
    events: dict[str, list[StepEvent]] = {}
    ends: dict[str, RunEnded] = {}
    for line in _lines(lines):
        own, kind = line["run"], line["kind"]
        if kind == "run":
            heads[own] = _head(line)
        elif kind == "end":
            ends[own] = _end(line)
        elif kind in set(EventKind):
            events.setdefault(own, []).append(_event(line))
    return [
        RunRecord(head, tuple(events.get(own, ())), ends.get(own)) for own, head in heads.items()
    ]


def _lines(texts: Iterable[str]) -> Iterable[dict[str, Any]]:
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and {"run", "kind"} <= line.keys():
            yield line


def _head(line: Mapping[str, Any]) -> RunStarted:
    known = {key: line[key] for key in RunStarted.__dataclass_fields__ if key in line}
    known["needs"] = {step: tuple(needs) for step, needs in line.get("needs", {}).items()}
    known["plan"] = {step: PlannedStep(**row) for step, row in line.get("plan", {}).items()}
    return RunStarted(**known)


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
    problems = tuple(Problem(**problem) for problem in line.get("problems", ()))
    return RunEnded(line["result"], float(line["seconds"]), int(line["api_calls"]), problems)


def timestamp(moment: datetime) -> str:
    """Return a moment as the `run` line writes it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
