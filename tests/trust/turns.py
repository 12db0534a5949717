"""Two runs at once, of which one works at a time: which one, a seed says at each request.

A run whose turn has ended is stopped (SIGSTOP) with its helm, as on a computer that gives it no
time. So the order of the requests of both is drawn from the seed, and no time is waited for.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Sequence

from tests.support.script_runs import Run
from tests.support.signals import family
from tests.trust.cliffs import Tap

LENGTHS = (1, 3, 10, 40, 150)
"""Mean lengths of a turn in requests; a seed has one of them."""


class Turns:
    """The turns of some runs; it is the gate of a tap while they run."""

    def __init__(self, tap: Tap, seed: str) -> None:
        """Draw the turns from a seed."""
        self._tap, self._dice = tap, random.Random(seed)
        self._mean = self._dice.choice(LENGTHS)
        self._mutex = threading.Lock()
        self._waiting: list[int] = []
        self._current = 0
        self._left = 0
        self.switches = 0
        """How often one run was stopped and another one continued."""

    def play(self, runs: Sequence[Run]) -> list[int]:
        """Let the runs work in turn until both have ended; return their exit codes.

        They were started a moment ago: a run that has its turn later is stopped here.
        """
        for run in runs:
            _signal(run.pid, signal.SIGSTOP)
        self._waiting = [run.pid for run in runs]
        self._dice.shuffle(self._waiting)
        codes: dict[int, int] = {}

        def wait(run: Run) -> None:
            codes[run.pid] = run.wait()
            self._end(run.pid)

        threads = [threading.Thread(target=wait, args=(run,)) for run in runs]
        self._tap.gate = self._pass
        try:
            for thread in threads:
                thread.start()
            with self._mutex:
                self._next()
            for thread in threads:
                thread.join()
        finally:
            self._tap.gate = lambda: None
        return [codes[run.pid] for run in runs]

    def _pass(self) -> None:
        """Count a request of the present turn; after its last one the other run has a turn."""
        with self._mutex:
            self._left -= 1
            if self._left <= 0 and self._waiting and self._current:
                _signal(self._current, signal.SIGSTOP)
                self._waiting.append(self._current)
                self.switches += 1
                self._next()

    def _end(self, pid: int) -> None:
        with self._mutex:
            if pid in self._waiting:
                self._waiting.remove(pid)
            if pid == self._current:
                self._current = 0
                self._next()

    def _next(self) -> None:
        if self._waiting:
            self._current = self._waiting.pop(0)
            self._left = 1 + int(self._dice.expovariate(1 / self._mean))
            _signal(self._current, signal.SIGCONT)


def _signal(pid: int, number: int) -> None:
    """Send a signal to a run and to the programs that it has started."""
    for one in family(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, number)
