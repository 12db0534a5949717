"""Hands jobs to a pool of threads so that a Ctrl-C cannot leave one of the pool's locks taken.

Signals are handled by the main thread, between any two of its bytecodes:
https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers
`ThreadPoolExecutor.submit` enters Python-level locks there, those of its semaphore of idle threads
and of the event of a thread that starts. If it is interrupted after it has entered one, the pool's
threads wait for that lock for ever, and the end of the pool for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from queue import SimpleQueue

Job = Callable[[], object]


@contextmanager
def handing_over(executor: Executor) -> Iterator[Callable[[Job], None]]:
    """Yield what hands a job to a pool and returns at once; another thread submits it.

    Jobs are submitted in their order. What has not been submitted when the pool is shut down is
    not done; so end this block before the pool's.
    """
    jobs: SimpleQueue[Job | None] = SimpleQueue()
    # A daemon: the process's end does not wait for it where its own start was interrupted.
    thread = threading.Thread(target=_submit, args=(executor, jobs), name="hand-over", daemon=True)
    try:
        thread.start()
        yield jobs.put
    finally:
        jobs.put(None)


def _submit(executor: Executor, jobs: SimpleQueue[Job | None]) -> None:
    while job := jobs.get():
        try:
            executor.submit(job)
        except RuntimeError:
            return  # the pool is shut down
