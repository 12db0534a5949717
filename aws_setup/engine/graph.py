"""Runs a graph of named jobs in parallel: a job starts when every job that it needs succeeded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from aws_setup.engine.flag import SIGNAL_DELAY
from aws_setup.engine.handing_over import HandOver, handing_over
from aws_setup.errors import Interrupted, SetupError

N = TypeVar("N", bound=Hashable)
"""The name of a job."""

WORKERS = 32
"""Jobs that run at the same time; a job that waits costs a thread and nothing else."""


@dataclass(frozen=True)
class Limits:
    """How a graph runs: `workers` jobs at a time.

    With `fail_fast` no job starts after a failure; without it, only the jobs that need the failed
    one do not start. `abort` is called at each Ctrl-C after the first, to end running jobs early;
    None lets the second Ctrl-C end the run itself.
    """

    workers: int = WORKERS
    fail_fast: bool = False
    abort: Callable[[], None] | None = None


def run_graph(
    needs: Mapping[N, Set[N]],
    work: Callable[[N], bool],
    *,
    stop: Callable[[], None],
    limits: Limits | None = None,
) -> list[N]:
    """Call `work` for every name, in parallel, each after all the names that it needs.

    Args:
        needs: name -> the names that must succeed before it.
        work: does the job; False means that it failed.
        stop: called at the first Ctrl-C, to wake jobs that sleep; the run then waits for the
            running jobs.
        limits: how many jobs run at a time, and what a failure and a second Ctrl-C do.

    Returns:
        the names that never started because of a failure.

    Raises:
        Interrupted: Ctrl-C was pressed; every running job has ended.
        SetupError: this computer starts no thread for the jobs.
        ValueError: a cycle, or a need that is not in the graph.
    """
    unknown = {need for names in needs.values() for need in names} - needs.keys()
    if unknown:
        raise ValueError(f"needed but not in the graph: {sorted(map(str, unknown))}")
    graph = _Graph(needs, limits or Limits())
    with ThreadPoolExecutor(graph.limits.workers, thread_name_prefix="step") as pool:
        try:
            with handing_over(pool) as start:
                graph.drive(start, work)
        except KeyboardInterrupt:
            graph.drain(stop)
            raise Interrupted from None
    return [name for name in needs if name not in graph.started]


@dataclass(frozen=True)
class _Ended(Generic[N]):
    """How a job ended: with its result, or with an error."""

    name: N
    succeeded: bool = False
    error: BaseException | None = None


class _Graph(Generic[N]):
    """The state of one run: what is ready, what runs, and what has started.

    The main thread hears of the jobs' ends from a queue and takes no lock that they need: Ctrl-C
    can interrupt it after it has acquired a Python-level lock such as a Condition, and before it
    would release it, and `concurrent.futures.wait` acquires one of each future. The jobs would then
    wait for ever. A SimpleQueue is reentrant:
    https://docs.python.org/3/library/queue.html#queue.SimpleQueue
    """

    def __init__(self, needs: Mapping[N, Set[N]], limits: Limits) -> None:
        self.limits = limits
        self.started: set[N] = set()
        self._sorter = TopologicalSorter(needs)
        self._sorter.prepare()
        self._ready: deque[N] = deque()
        self._running: set[N] = set()
        self._failed = False
        self._ended: SimpleQueue[_Ended[N]] = SimpleQueue()
        self._counting = threading.Lock()
        self._active = 0

    def drive(self, start: HandOver, work: Callable[[N], bool]) -> None:
        """Run all jobs; a job is handed over only when a worker is free for it."""
        while True:
            self._ready.extend(self._sorter.get_ready())
            while self._ready and len(self._running) < self.limits.workers and not self._stopping:
                name = self._ready.popleft()
                self.started.add(name)
                self._running.add(name)
                start(partial(self._job, work, name), partial(self._not_started, name))
            if not self._running:
                return
            with suppress(Empty):
                self._note(self._ended.get(timeout=SIGNAL_DELAY))

    def _note(self, ended: _Ended[N]) -> None:
        self._running.discard(ended.name)
        if ended.error:
            raise ended.error
        if ended.succeeded:
            self._sorter.done(ended.name)
        else:
            self._failed = True

    def drain(self, stop: Callable[[], None]) -> None:
        """Wake sleeping jobs and wait for the running ones; each further Ctrl-C aborts them."""
        while True:
            try:
                stop()
                while self._active:
                    with suppress(Empty):
                        self._ended.get(timeout=SIGNAL_DELAY)
            except KeyboardInterrupt:
                if self.limits.abort is None:
                    raise
                self.limits.abort()
            else:
                return

    def _not_started(self, name: N, error: SetupError) -> None:
        self._ended.put(_Ended(name, error=error))

    def _job(self, work: Callable[[N], bool], name: N) -> None:
        """Do one job, count it while it runs, and say how it ended."""
        with self._counting:
            self._active += 1
        ended: _Ended[N] = _Ended(name)
        try:
            ended = _Ended(name, work(name))
        except BaseException as error:  # noqa: BLE001 -- the main thread raises it
            ended = _Ended(name, error=error)
        finally:
            with self._counting:
                self._active -= 1
            self._ended.put(ended)

    @property
    def _stopping(self) -> bool:
        return self._failed and self.limits.fail_fast


def transitive_reduction(needs: Mapping[str, Set[str]]) -> dict[str, list[str]]:
    """Return the needs without those that follow from other needs of the same name, sorted.

    `needs` must be transitively closed: the needs of each need are among them too.
    """
    return {
        name: sorted(need for need in names if not any(need in needs[other] for other in names))
        for name, names in needs.items()
    }


def all_needs(name: N, needs: Mapping[N, Set[N]]) -> set[N]:
    """Return every name without which a name cannot be done, directly or through others."""
    found: set[N] = set()
    pending = list(needs[name])
    while pending:
        need = pending.pop()
        if need not in found:
            found.add(need)
            pending.extend(needs[need])
    return found
