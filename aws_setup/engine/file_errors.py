"""What an error of the operating system says of a file or folder of this computer, with its fix."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aws_setup.errors import Problem

NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""The disk is full, or the user's share of it."""

NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

FREE_SPACE = "free space on this computer's disk"


def is_full(error: OSError) -> bool:
    """Whether the disk is full."""
    return error.errno in NO_SPACE


def fix_of(error: OSError, otherwise: str) -> str:
    """Return the fix of a file that cannot be written: `otherwise`, unless the disk is full."""
    return f"{FREE_SPACE}, then run the same command again" if is_full(error) else otherwise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in the errors of its writes: the operating system does not, nor Python."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def file_problem(error: OSError) -> Problem | None:
    """Return the problem of a file; None for an error that names none, as of a connection."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    if not names and not is_full(error):
        return None
    what = f"{' or '.join(names)} cannot be used" if names else "a file cannot be written"
    return Problem(what, error.strerror or str(error), _fix(error))


def _fix(error: OSError) -> str:
    if error.errno in NOT_ALLOWED:
        return "make it one that you may read and write, then run the same command again"
    if error.errno == errno.EISDIR:
        return "remove or rename that folder, then run the same command again"
    return fix_of(error, "correct that path, then run the same command again")
