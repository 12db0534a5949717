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

from aws_setup.errors import SetupError

Job = Callable[[], object]

Fail = Callable[[SetupError], object]
"""Is told why a job is never done."""

HandOver = Callable[[Job, Fail], None]
"""Hands a job over and returns at once."""


@contextmanager
def handing_over(executor: Executor) -> Iterator[HandOver]:
    """Yield what hands a job to a pool and returns at once; another thread submits it.

    Jobs are submitted in their order. What has not been submitted when the pool is shut down is
    not done; so end this block before the pool's.

    Raises:
        SetupError: no thread can be started.
    """
    jobs: SimpleQueue[tuple[Job, Fail] | None] = SimpleQueue()
    # A daemon: the process's end does not wait for it where its own start was interrupted.
    thread = threading.Thread(target=_submit, args=(executor, jobs), name="hand-over", daemon=True)
    try:
        _start(thread)
        yield lambda job, fail: jobs.put((job, fail))
    finally:
        jobs.put(None)


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        raise _no_thread(error) from None


def _submit(executor: Executor, jobs: SimpleQueue[tuple[Job, Fail] | None]) -> None:
    """Submit the jobs until the pool is shut down.

    Where no further thread can be started, the pool has queued the job all the same, and one of its
    threads does it, if it has any (ThreadPoolExecutor.submit). If not, nothing is submitted any
    more: a thread that started later would do what was said to have failed.
    """
    has_threads, refused = False, None
    while item := jobs.get():
        job, fail = item
        if refused is None:
            try:
                executor.submit(job)
                has_threads = True
            except RuntimeError as error:
                if SHUT_DOWN in str(error):
                    return
                refused = None if has_threads else _no_thread(error)
        if refused is not None:
            fail(refused)


SHUT_DOWN = "shutdown"
"""Is in what Python raises where a pool, or the interpreter, has been shut down."""


def _no_thread(error: RuntimeError) -> SetupError:
    """Return the error of a thread that the system refuses (pthread_create(3): EAGAIN)."""
    return SetupError(
        "no thread can be started on this computer",
        f"its limit of processes and threads is reached ({error})",
        "raise the limit (`ulimit -u`, or the pids limit of the container), or end other programs, "
        "then run the same command again",
    )
