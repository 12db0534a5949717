"""Whether this run may write now: asked before each write, wherever it goes.

A run that may no longer change its deployment, because another one has taken its place, must stop
before its next write, whichever server that goes to. The process has one run, so that
the guard is the process's, and the adapters need not be given it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aws_setup.errors import Interrupted

_GUARDS: list[Callable[[], None]] = []

_ENDED: list[int] = []
"""The thread in which a run was interrupted: its other threads may still be at work."""


@contextmanager
def guarding(check: Callable[[], None]) -> Iterator[None]:
    """Have `check` called before each write inside; it raises SetupError to refuse it."""
    _ENDED.clear()
    _GUARDS.append(check)
    try:
        yield
    except KeyboardInterrupt:
        _ENDED.append(threading.get_ident())
        raise
    finally:
        _GUARDS.remove(check)


def before_write() -> None:
    """Return while this run may write.

    Raises:
        SetupError: it may not; the error says why.
        Interrupted: it was interrupted, and this is one of its threads that still works.
    """
    if _ENDED and threading.get_ident() not in _ENDED:
        raise Interrupted
    for check in tuple(_GUARDS):
        check()
