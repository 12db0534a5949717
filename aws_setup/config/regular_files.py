"""Reads files, and refuses what is none: a named pipe, a socket or a device would block the run."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)

KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What is no file, and what it is called; folders have an error of their own."""


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, and return at once whatever is in its place.

    The null device is an empty file: it is the usual way to say that there is none.

    Raises:
        OSError: there is no file, it may not be read, or it is no file.
        ValueError: the path contains a NUL.
    """
    if why := special(path):
        raise OSError(errno.EINVAL, why, str(path))
    # It may have been replaced since: opening without waiting, and asking again, decides.
    handle = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY)
    try:
        _refuse_special(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_file(path: Path, *, most: int = -1) -> bytes:
    """Return the bytes of a file, the first `most` of them where that is not negative.

    Raises:
        OSError: as `open_file`.
        ValueError: as `open_file`.
    """
    with open_file(path) as file:
        return file.read(most)


def special(path: Path) -> str:
    """Return what is in the place of a file and is none, as a sentence; '' for files and folders.

    Raises:
        OSError: there is nothing, or it cannot be asked.
        ValueError: the path contains a NUL.
    """
    return _special(path.stat(), path)


def _refuse_special(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if why := _special(found, path):
        raise OSError(errno.EINVAL, why, str(path))


def _special(found: os.stat_result, path: Path) -> str:
    if stat.S_ISCHR(found.st_mode) and os.path.realpath(path) == os.path.realpath(os.devnull):
        return ""
    kinds = [title for is_kind, title in KINDS if is_kind(found.st_mode)]
    return f"it is {kinds[0]}, not a file" if kinds else ""
