"""Disturbs the process of a run: its clock is wrong, no file may grow, and it waits for little.

Also when it puts one of its files into its place, it may be killed or find the disk full.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

CLOCK = "TRUST_CLOCK"
"""Variable: by how many seconds the clock of a run is wrong, or a file that says it."""

FILE_SIZE = "TRUST_FILE_SIZE"
"""Variable: the size in bytes that no file of the run may exceed, as on a full disk."""

LOCAL = "TRUST_LOCAL"
"""Variable: FILE|NUMBER|KIND, what happens when a file gets its content for the n-th time."""

WRITTEN = "local-writes.log"
"""Names the files that the run has written, in its folder; REACHED says that one went wrong."""
REACHED = "local-reached.log"


def install() -> None:
    """Disturb this process as its variables say."""
    from aws_setup.openwhisk import release

    # As in a terminal: a program that nohup started would pass on that it ignores SIGHUP.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # For a killed run's helm that may still work: its processes end with it here.
    release.OTHER_RUN = 0.2
    if FILE_SIZE in os.environ:
        import resource

        size = int(os.environ[FILE_SIZE])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if CLOCK in os.environ:
        _change_clock(os.environ[CLOCK])
    if LOCAL in os.environ:
        _disturb_files(*os.environ[LOCAL].split("|"))


def _disturb_files(name: str, number: str, kind: str) -> None:
    from aws_setup.engine import private_files

    plain, counts, folder = private_files._replace, Counter[str](), Path.cwd()

    def replace(complete: Path, path: Path) -> None:
        counts[path.name] += 1
        with (folder / WRITTEN).open("a") as log:
            log.write(f"{path.name}\n")
        here = path.name == name and counts[name] == int(number)
        if here:
            (folder / REACHED).touch()
        if here and kind == "internal error":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        if here and kind == "killed before":
            _end()
        plain(complete, path)
        if here and kind == "killed after":
            _end()

    private_files._replace = replace


def _end() -> None:
    """End this process as a power cut does, with the programs that it has started."""
    from tests.support.signals import family

    for pid in reversed(family(os.getpid())):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _change_clock(source: str) -> None:
    import botocore.auth

    plain = time.time

    def offset() -> float:
        return float(Path(source).read_text() if "/" in source else source)

    time.time = lambda: plain() + offset()
    vars(botocore.auth)["get_current_datetime"] = lambda: datetime.fromtimestamp(
        time.time(), UTC
    ).replace(tzinfo=None)
