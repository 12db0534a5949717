"""Where a question may be put to the user: in the main thread."""

from __future__ import annotations

import threading


def require_main_thread(question: str) -> None:
    """Raise RuntimeError in any other thread: a signal would not end the question there.

    Python handles signals in the main thread alone
    (https://docs.python.org/3/library/signal.html#signals-and-threads): at a Ctrl-C that would wait
    for the thread that reads the answer, and a second one would end the process with the terminal's
    echo still off.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"a question was asked outside of the main thread: {question}")
