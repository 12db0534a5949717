"""The files that a deployment keeps on this computer: for their owner only, and never elsewhere.

A symbolic link in the place of such a file is not followed: who can write to the folder could
otherwise choose which of the user's files is written.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import tempfile
from pathlib import Path

from aws_setup.config.regular_files import read_file
from aws_setup.engine.file_errors import naming
from aws_setup.engine.temporary_files import owned_prefix
from aws_setup.engine.wait import SystemClock

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)  # without it Windows writes \r\n for \n

WINDOWS = os.name == "nt"

PAUSES = (0.02, 0.05, 0.1, 0.3, 1.0)
"""Seconds between attempts to replace a file that another program of Windows has open."""


def make_private_folder(folder: Path) -> None:
    """Create a folder, and those above it, for its owner only; an existing one stays as it is.

    Raises:
        OSError: it cannot be created.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file atomically; only its owner may read it. A symbolic link is replaced.

    A device, such as /dev/null, is not: root could replace it for all programs.

    Raises:
        OSError: the folder cannot be created or written, or the path is no regular file.
    """
    make_private_folder(path.parent)
    _refuse_special(path, replaced=True)
    prefix = owned_prefix(path.parent, f".{path.name}.")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        _replace(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _replace(complete: Path, path: Path) -> None:
    """Put a complete file in the place of another one.

    Windows refuses that while another program reads the old one, and a virus scanner or a second
    terminal does so for a moment (MoveFileEx, ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION).
    """
    clock = SystemClock(pace=1.0)
    for pause in PAUSES if WINDOWS else ():
        try:
            complete.replace(path)
        except PermissionError:
            clock.sleep(pause)
        else:
            return
    complete.replace(path)


def keep_copy(path: Path, content: str | bytes) -> Path:
    """Write a copy for its owner only, never over an earlier one; return its path.

    The path is the one given, or with the first number whose file is free or has the same content.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    make_private_folder(path.parent)
    data = content if isinstance(content, bytes) else content.encode()
    for number in itertools.count():
        copy = path.with_name(path.name + (f".{number}" if number else ""))
        try:
            handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
        except FileExistsError:
            if copy.is_file() and read_file(copy) == data:
                return copy
            continue
        with naming(copy), os.fdopen(handle, "wb") as file:
            file.write(data)
        return copy
    raise AssertionError("counting ends")


def append_private(path: Path, text: str) -> None:
    """Append to a file in one write, so that lines of concurrent runs do not mix.

    Raises:
        OSError: the file cannot be opened or written, or is a link or no regular file.
    """
    handle = open_private(path, append=True)
    try:
        with naming(path):
            os.write(handle, text.encode("utf-8", "replace"))
    finally:
        os.close(handle)


def open_private(path: Path, *, append: bool = False) -> int:
    """Return the handle of a file for writing, created with mode 0600; its folder is created too.

    Raises:
        OSError: it cannot be opened, or is a symbolic link or no regular file.
    """
    make_private_folder(path.parent)
    _refuse_special(path, replaced=False)
    flags = os.O_WRONLY | os.O_CREAT | _NO_FOLLOW | _NO_WAIT | _BINARY
    handle = os.open(path, flags | (os.O_APPEND if append else os.O_TRUNC), 0o600)
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise _refusal(path, "it is not a regular file")
        if stat.S_IMODE(state.st_mode) & 0o077 and hasattr(os, "fchmod"):
            os.fchmod(handle, 0o600)
    except OSError:
        os.close(handle)
        raise
    return handle


def check_private(path: Path, *, replaced: bool = False) -> None:
    """Check that a file can be written, and read if there is one; creates only its folder.

    Args:
        path: the file.
        replaced: whether `write_private` will write it; else it will be opened.

    Raises:
        OSError: it could not be read or written later.
    """
    make_private_folder(path.parent)
    _refuse_special(path, replaced=replaced)
    target = path if path.exists() and not replaced else path.parent
    if not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, "you have no write permission", str(target))
    if path.is_file() and not os.access(path, os.R_OK):
        raise OSError(errno.EACCES, "you may not read it", str(path))


def _refuse_special(path: Path, *, replaced: bool) -> None:
    """Raise OSError for what is no file; a rename replaces a link, and nothing is written to one.

    A folder has the error of the operating system, whose fix is another one.
    """
    if path.is_symlink():
        if replaced:
            return
        raise _refusal(path, "it is a symbolic link, which is not followed")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if path.exists() and not path.is_file():
        raise _refusal(path, "it is not a regular file")


def _refusal(path: Path, why: str) -> OSError:
    return OSError(errno.ELOOP, why, str(path))
