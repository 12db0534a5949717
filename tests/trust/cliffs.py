"""The writes of a run, and what can happen to each of them.

A `Tap` sees every write of AWS, Kubernetes, helm, SSH and OpenWhisk before and after it is carried
out. A `Cliff` names one write by its name and how often it was made before in the run: the steps
run in parallel, so that a number in the whole run would name another write each time.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aws_setup.rehearsal.environment import Environment
from tests.support.signals import family


class Kind(StrEnum):
    """What happens at a write."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    LOST = "answer lost"
    THROTTLED = "throttled"
    DENIED = "denied"
    INTERNAL = "internal error"


ENDS_RUN = (Kind.KILLED_BEFORE, Kind.KILLED_AFTER)
PERSISTENT = (Kind.THROTTLED, Kind.DENIED, Kind.INTERNAL)
"""From the write on, every write of that name fails: it lasts longer than any retries."""


LOCAL_KINDS = (Kind.KILLED_BEFORE, Kind.KILLED_AFTER, Kind.INTERNAL)
"""What can happen when a file on the operator's computer is written: its disk is full."""

LOCAL = "local "
"""How the name of such a write begins; the process of the run itself lets it go wrong."""

READ = "read "
"""How the name of a request begins that writes nothing."""


@dataclass(frozen=True)
class Cliff:
    """One write (or read) of one run, and what happens at it."""

    phase: str
    write: str
    number: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.phase}: {self.kind} {self.write} #{self.number}"


class Cut(Exception):
    """The connection breaks: the client has been killed, or its answer is lost."""


@dataclass
class Tap:
    """Counts the writes of a run and lets some of them go wrong."""

    environment: Environment
    pid: int = 0
    """The process of the run."""
    cliffs: Sequence[Cliff] = ()
    """What goes wrong in the run, each at a write (or read) of another name."""
    reached: set[Cliff] = field(default_factory=set)
    dead: bool = False
    names: list[str] = field(default_factory=list)
    """The writes of the run, one after the other; `reads` are its other requests."""
    reads: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)
    phase: str = ""
    """The command of the run, where `at_write` asks for it."""
    gate: Callable[[], None] = lambda: None
    """Called before each request, of reads too; it may stop a run, or raise."""
    at_write: Callable[[Cliff], None] | None = None
    """Called before and after each write, with the kill that would be there; no other request is
    worked on meanwhile."""

    before_write: Callable[[str], None] = lambda _: None
    """Called before each write, with its name."""
    sent: Callable[[str, bytes], None] = lambda place, content: None
    """Called with what is sent to AWS, and with each command on a machine."""
    helm: Callable[[], None] = lambda: None
    """Called when helm reads or writes its releases, so that its process is there."""

    def arm(self, *cliffs: Cliff, phase: str = "") -> None:
        """Start to count the writes of the next run, of which some may go wrong."""
        self.phase = phase
        self.cliffs, self.reached, self.dead = cliffs, set(), False
        self.names.clear()
        self.reads.clear()
        self.counts.clear()

    def restart(self) -> None:
        """Forget the run and its requests, in a fork without the threads that had the lock."""
        self.lock = threading.RLock()
        self.at_write, self.pid = None, 0
        self.arm()

    def read(self, name: str, execute: Callable[[], Any], fail: Callable[[Kind], Any]) -> Any:
        """Carry out a request that writes nothing; as `write`, but no run is killed at it."""
        if self.at_write is not None:
            with self.lock:
                return execute()
        kind = self._kind(f"{READ}{name}", self.reads)
        if kind in PERSISTENT:
            return fail(kind)
        answer = execute()
        if kind is None:
            return answer
        raise Cut

    def write(self, name: str, execute: Callable[[], Any], fail: Callable[[Kind], Any]) -> Any:
        """Carry out a write, unless it is the one that goes wrong.

        Args:
            name: the name of the write.
            execute: carries it out and returns the answer.
            fail: returns or raises the error of a kind in PERSISTENT.

        Raises:
            Cut: the connection breaks.
        """
        self.before_write(name)
        if self.at_write is not None:
            return self._observed(name, execute, self.at_write)
        kind = self._kind(name, self.names)
        if kind in PERSISTENT:
            return fail(kind)
        if kind is Kind.KILLED_BEFORE:
            self._kill()
        if kind is None:
            return execute()
        execute()
        if kind is Kind.KILLED_AFTER:
            self._kill()
        raise Cut

    def _observed(
        self, name: str, execute: Callable[[], Any], at_write: Callable[[Cliff], None]
    ) -> Any:
        with self.lock:
            self._kind(name, self.names)
            number = self.counts[name]
            at_write(Cliff(self.phase, name, number, Kind.KILLED_BEFORE))
            try:
                return execute()
            finally:
                at_write(Cliff(self.phase, name, number, Kind.KILLED_AFTER))

    def _kind(self, name: str, names: list[str]) -> Kind | None:
        with self.lock:
            if self.dead:
                raise Cut
            self.counts[name] += 1
            names.append(name)
            number = self.counts[name]
            for cliff in self.cliffs:
                lasts = cliff.kind in PERSISTENT and number > cliff.number
                if name == cliff.write and (number == cliff.number or lasts):
                    self.reached.add(cliff)
                    return cliff.kind
            return None

    def _kill(self) -> None:
        """End the run as a power cut does: with the programs that it has started."""
        with self.lock, suppress(ProcessLookupError):
            # It does nothing more while its children are looked for.
            os.kill(self.pid, signal.SIGSTOP)
        with self.lock:
            self.dead = True
            for pid in reversed(family(self.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        raise Cut
