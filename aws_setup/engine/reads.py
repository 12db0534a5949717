"""Jobs that change nothing, in threads of their own, with results that a Ctrl-C cannot hang.

`ThreadPoolExecutor.submit` and `Future.result` enter Python-level locks in the thread that calls
them; interrupted there, the main thread leaves one acquired, for which the pool's threads then wait
for ever, and the end of the process for them (see `handing_over`, for jobs whose end has to be
waited for). Here the main thread starts daemon threads and waits for flags. A thread that its
interrupt catches at the start waits for its own event alone, and nobody for it.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, Self, TypeVar

from aws_setup.engine.flag import Flag
from aws_setup.errors import Interrupted

S = TypeVar("S")
T = TypeVar("T")


class Reading(Generic[T]):
    """What a job returns or raises, for any number of threads; it may still be at work."""

    def __init__(self, job: Callable[[], T]) -> None:
        self._job = job
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._ended = Flag()

    def find(self) -> None:
        """Do the job and keep what it returns or raises."""
        try:
            self._results.append(self._job())
        except BaseException as error:  # noqa: BLE001 -- who waits for the result raises it
            self._error = error
        finally:
            self._ended.set()

    def result(self) -> T:
        """Return what the job returned, once it has; raises what it raised."""
        self._ended.wait(math.inf)
        if self._error is not None:
            raise self._error
        return self._results[0]


class Reads:
    """Starts jobs that change nothing, each in a thread; as a block it closes itself.

    One thread at a time may start jobs.
    """

    def __init__(self, name: str) -> None:
        """Start nothing yet; `name` is the one of the threads."""
        self._name = name
        self._threads: list[threading.Thread] = []

    def start(self, job: Callable[[], T]) -> Reading[T]:
        """Start a job and return where its result will be."""
        reading = Reading(job)
        thread = threading.Thread(target=reading.find, name=self._name, daemon=True)
        thread.start()
        self._threads = [it for it in self._threads if it.is_alive()] + [thread]
        return reading

    def each(self, job: Callable[[S], T], items: Iterable[S]) -> list[T]:
        """Call `job` for all items at the same time; return the results in their order."""
        readings = [self.start(partial(job, item)) for item in items]
        return [reading.result() for reading in readings]

    def close(self) -> None:
        """Wait for the jobs that are at work; at a Ctrl-C do not: they may take minutes."""
        if not isinstance(sys.exception(), (KeyboardInterrupt, Interrupted)):
            for thread in self._threads:
                thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
