"""Whether this run may write now: asked before each write, wherever it goes.

A run that may no longer change its deployment, because another one has taken its place, must stop
before its next write, whichever server that goes to. The process has one run, so that
the guard is the process's, and the adapters need not be given it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_GUARDS: list[Callable[[], None]] = []


@contextmanager
def guarding(check: Callable[[], None]) -> Iterator[None]:
    """Have `check` called before each write inside; it raises SetupError to refuse it."""
    _GUARDS.append(check)
    try:
        yield
    finally:
        _GUARDS.remove(check)


def before_write() -> None:
    """Return while this run may write.

    Raises:
        SetupError: it may not; the error says why.
    """
    for check in tuple(_GUARDS):
        check()
