"""Errors of the emulation itself: they are recorded, as whoever asked may not notice them.

A client sees an answer 500, or a connection that ends, and tries again; the thread of a request has
nobody who looks at it. So tests look here.
"""

from __future__ import annotations

import threading
import traceback

_recorded: list[str] = []
_lock = threading.Lock()


def record(what: str, error: BaseException) -> None:
    """Record an error: what could not be done, and the traceback."""
    text = "".join(traceback.format_exception(error))
    with _lock:
        _recorded.append(f"{what}: {text}")


def take() -> list[str]:
    """Return what has been recorded since the last call."""
    with _lock:
        found = _recorded[:]
        _recorded.clear()
    return found
