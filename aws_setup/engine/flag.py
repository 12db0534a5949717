"""An event that a Ctrl-C cannot leave locked.

`threading.Event` has a Python-level lock: https://github.com/python/cpython/blob/main/Lib/threading.py
(Event.wait, Condition.__enter__). A signal's exception that arrives after the main thread has
acquired it, and before the block that releases it has begun, leaves it acquired: who sets the
event, or waits for it, then waits for ever.
"""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue

SIGNAL_DELAY = 0.5
"""Seconds after which the main thread wakes: a Ctrl-C that arrives just before it blocks on a lock
does not interrupt the lock, so that Python would handle it at the end of the wait only."""


class Flag:
    """Something that has happened or not; any number of threads may wait for it.

    A SimpleQueue is reentrant: https://docs.python.org/3/library/queue.html#queue.SimpleQueue
    """

    def __init__(self) -> None:
        self._set = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Wake every thread that waits; later waits end at once."""
        self._set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Return whether it is set, at once."""
        return self._set

    def clear(self) -> None:
        """Let later waits wait again."""
        self._set = False

    def wait(self, seconds: float) -> bool:
        """Return whether it is set, as soon as it is, and after some seconds at the latest."""
        end = time.monotonic() + seconds
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            # Who is interrupted between the two calls wakes nobody: the others look for themselves.
            with suppress(Empty):
                self._wake.get(timeout=min(left, SIGNAL_DELAY))
                if self.is_set():
                    self._wake.put(None)
        return self._set
