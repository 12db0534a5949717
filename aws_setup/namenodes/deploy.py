"""Brings many actions to what is wanted, a few at a time: upload, repeat, stop, sum up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import StrEnum

from aws_setup.errors import Interrupted
from aws_setup.namenodes.action import Deed


class Kind(StrEnum):
    """What happened to a task."""

    START = "start"
    BYTES = "bytes"
    NOTE = "note"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Event:
    """Something that happened: `bytes` of a body went out (less than 0: they count anew)."""

    kind: Kind
    name: str
    deed: Deed
    text: str = ""
    bytes: int = 0


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Task:
    """One action and what is to be done about it; `size` is the bytes that it will send."""

    name: str
    deed: Deed
    size: int = 0


@dataclass
class Outcome:
    """How every task ended: a text for what was done, an error for what failed."""

    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    not_started: list[str] = field(default_factory=list)
    interrupted: bool = False


class Abort(threading.Event):
    """Set at the second Ctrl-C: uploads under way break off at their next piece."""

    def check(self) -> None:
        """Raise Interrupted when set."""
        if self.is_set():
            raise Interrupted


@dataclass(frozen=True)
class Pool:
    """How tasks run: `jobs` at a time; `stop` wakes sleepers when the run is broken off."""

    jobs: int
    abort: Abort
    stop: Callable[[], None]

    def run(
        self, tasks: Sequence[Task], act: Callable[[Task, Listener], str], tell: Listener
    ) -> Outcome:
        """Do every task; after a failure or Ctrl-C no new one starts and running ones end."""
        outcome = Outcome()
        waiting = list(reversed(tasks))
        running: dict[Future[str], Task] = {}
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="whisk") as executor:

            def work(task: Task) -> str:
                tell(Event(Kind.START, task.name, task.deed))
                return act(task, tell)

            def fill() -> None:
                while waiting and len(running) < self.jobs:
                    running[executor.submit(work, waiting[-1])] = waiting[-1]
                    waiting.pop()

            try:
                while True:
                    if not outcome.failed:
                        fill()
                    if not running:
                        break
                    _collect(running, outcome, tell)
            except KeyboardInterrupt:
                self._drain(running, outcome, tell)
        outcome.not_started = [task.name for task in reversed(waiting)]
        return outcome

    def _drain(self, running: dict[Future[str], Task], outcome: Outcome, tell: Listener) -> None:
        """Let running tasks end; another Ctrl-C breaks them off."""
        outcome.interrupted = True
        self.stop()
        while running:
            try:
                _collect(running, outcome, tell)
            except KeyboardInterrupt:
                self.abort.set()


def _collect(running: dict[Future[str], Task], outcome: Outcome, tell: Listener) -> None:
    """Wait for the next task to end and note how it did.

    A task leaves `running` last: one whose note Ctrl-C breaks off is noted again.
    """
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in ended:
        _note(future, running[future], outcome, tell)
        del running[future]


def _note(future: Future[str], task: Task, outcome: Outcome, tell: Listener) -> None:
    error = future.exception()
    if error is None:
        outcome.done[task.name] = future.result()
        tell(Event(Kind.DONE, task.name, task.deed, outcome.done[task.name]))
    elif isinstance(error, Interrupted):
        outcome.interrupted = True
        outcome.failed[task.name] = error
    elif isinstance(error, Exception):
        outcome.failed[task.name] = error
        tell(Event(Kind.FAILED, task.name, task.deed, str(error)))
    else:
        raise error
