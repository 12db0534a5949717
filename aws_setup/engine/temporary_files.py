"""Temporary files and folders: what a killed run leaves of them, a later run deletes.

They hold secrets: a token of the cluster, a key that is half written, a jar with its configuration.
A run deletes its own, unless it is killed (SIGKILL, power cut). So their names say which process
made them, and whoever makes the next one, or starts a run, deletes those of ended processes. Where
nobody can say whether a process runs (on Windows, after a restart), they stay for a day.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aws_setup.engine.processes import ProcessId, is_running, this_process
from aws_setup.errors import SetupError

PREFIX = "lambda-fs-"
"""How the names in the computer's temporary folder begin."""

UNKNOWN_SECONDS = 24 * 3600.0
"""Age at which a file is deleted of which nobody can say whether its process still runs."""

FOR_PROGRAM = ".for-program"
"""How the name of a file ends that a program reads, which may outlive a killed run."""

OUTLIVING_SECONDS = 16 * 60.0
"""Age up to which such a file is kept: the program may go on for 15 minutes, the longest that one
gets, and may read it more than once."""

HIDDEN = "."
"""How the names of files begin that are not complete yet, beside those that they will replace."""

_OWNER = re.compile(r"(?<=[.-])(?P<computer>[0-9a-f]{16})-(?P<pid>\d{1,10})-(?P<started>\d*)-")


class NoTemporaryFile(SetupError):
    """No file can be written to the temporary folder."""


@contextlib.contextmanager
def temporary_file(text: str, *, suffix: str) -> Iterator[Path]:
    """Yield a file with `text` that only its owner may read; it is deleted afterwards.

    Raises:
        NoTemporaryFile: it cannot be written.
    """
    folder = temporary_root()
    with contextlib.ExitStack() as stack:
        try:
            prefix = owned_prefix(folder, PREFIX)
            handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=folder)
            stack.callback(Path(name).unlink, missing_ok=True)
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as error:
            raise unwritable(error) from error
        yield Path(name)


def temporary_root() -> Path:
    """Return the computer's folder for temporary files, in which a file can be written.

    Raises:
        NoTemporaryFile: there is none.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> NoTemporaryFile:
    """Return the error of a file or folder that cannot be written there."""
    return NoTemporaryFile(
        "no file can be written to the temporary folder",
        str(error),
        "free space there, or set TMPDIR to a folder that has some",
    )


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder for its owner only; it is deleted afterwards.

    Raises:
        NoTemporaryFile: no temporary folder can be written to.
    """
    folder = temporary_root()
    prefix = owned_prefix(folder, PREFIX)
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=folder)
    except OSError as error:
        raise unwritable(error) from error
    with made as name:
        yield Path(name)


def write_temporary(path: Path, data: bytes) -> None:
    """Write a file in a temporary folder.

    Raises:
        NoTemporaryFile: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise unwritable(error) from error


def unnamed_folder(parent: Path, before: str) -> Path:
    """Make a folder that gets its name when it is complete; the caller renames or deletes it."""
    return Path(tempfile.mkdtemp(prefix=owned_prefix(parent, before), dir=parent))


def owned_prefix(folder: Path, before: str) -> str:
    """Return how a temporary name of this process begins; those of ended processes are deleted.

    Of files that are not complete, those of all kinds are: a destroy, which writes the last one,
    leaves none.

    Args:
        folder: where the name will be.
        before: what all names of this kind begin with.
    """
    delete_abandoned(folder, HIDDEN if before.startswith(HIDDEN) else before)
    me = this_process()
    return f"{before}{me.computer}-{me.pid}-{me.started}-"


def delete_abandoned(folder: Path, before: str = PREFIX) -> None:
    """Delete what ended processes of this user have left; what cannot be deleted stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(before):
                owner = _OWNER.search(entry.name, len(before))
                if owner and _is_abandoned(entry, owner):
                    _delete(entry)


def _is_abandoned(entry: os.DirEntry[str], owner: re.Match[str]) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        return False
    process = ProcessId(owner["computer"], int(owner["pid"]), owner["started"])
    running, age = is_running(process), time.time() - found.st_mtime
    if running is None:
        return age > UNKNOWN_SECONDS
    return not running and not (entry.name.endswith(FOR_PROGRAM) and age < OUTLIVING_SECONDS)


def _delete(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            Path(entry.path).unlink()
