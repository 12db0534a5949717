"""What an error of the operating system says of a file or folder of this computer, with its fix."""

from __future__ import annotations

import errno

from aws_setup.errors import Problem

NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""The disk is full, or the user's share of it."""

NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def file_problem(error: OSError) -> Problem | None:
    """Return the problem of a file; None for an error that names none, as of a connection."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    if not names and error.errno not in NO_SPACE:
        return None
    what = f"{' or '.join(names)} cannot be used" if names else "a file cannot be written"
    return Problem(what, error.strerror or str(error), _fix(error.errno))


def _fix(number: int | None) -> str:
    if number in NO_SPACE:
        return "free space on this computer's disk, then run the same command again"
    if number in NOT_ALLOWED:
        return "make it one that you may read and write, then run the same command again"
    return "correct that path, then run the same command again"
