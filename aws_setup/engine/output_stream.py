"""What is printed: an output that cannot be written does not end a run.

A run that creates machines would otherwise stop where it is when `head` has read enough, or when
the disk of its output is full, and its machines would run on without a deadline.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from aws_setup.engine.file_errors import FREE_SPACE, is_full
from aws_setup.errors import Problem

READABLE = {"×": "x", "…": "~", "λ": "lambda", "µ": "u", "→": "->", "≤": "<=", "█": "#", "░": "."}
READABLE |= dict.fromkeys("─━╸╺–—·", "-")
"""Character -> what an encoding that lacks it gets instead; all others are a `?`.

In tables and bars it is one character again: … and the lines.
"""


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(READABLE.get(character, "?") for character in lacking), error.end


codecs.register_error("readable", _readable)


def make_readable(stream: TextIO) -> None:
    """Let a terminal or a pipe get a similar character for one that its encoding lacks."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="readable")


class OutputStream:
    """A text stream that discards everything after its first error.

    `error` is that error; None also after a reader has gone, because it wanted no more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text; returns its length, also where it is discarded."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._end(error)
            return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except OSError as error:
            self._end(error)

    def __getattr__(self, name: str) -> Any:
        """Return what else the stream has, such as its encoding."""
        return getattr(self._stream, name)

    def _end(self, error: OSError) -> None:
        if not reader_has_gone(error, windows=os.name == "nt"):
            self.error = error
        discard(self._stream)


def reader_has_gone(error: OSError, *, windows: bool) -> bool:
    """Tell whether a pipe cannot be written because nobody reads it any more.

    On Windows this may be EINVAL: https://bugs.python.org/issue35754
    """
    return isinstance(error, BrokenPipeError) or (windows and error.errno == errno.EINVAL)


def discard(stream: TextIO) -> None:
    """Let what is written to a stream from now on, and what it still holds, be lost."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def open_missing() -> None:
    """Open the outputs that the caller has closed (`>&-`): Python has None for them.

    A file of the run would otherwise get their descriptor, and what children print would be in it.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(null, "w", encoding="utf-8", newline="\n"))


def unwritten(error: OSError) -> Problem:
    """Return the problem of an output that cannot be written."""
    fix = FREE_SPACE if is_full(error) else "send it to another file"
    why = error.strerror or str(error)
    return Problem("the output cannot be written", why, f"{fix}, then run the same command again")
