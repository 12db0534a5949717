"""Disturbs the process of a run: its clock is wrong, no file may grow, and it waits for little."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

CLOCK = "TRUST_CLOCK"
"""Variable: by how many seconds the clock of a run is wrong, or a file that says it."""

FILE_SIZE = "TRUST_FILE_SIZE"
"""Variable: the size in bytes that no file of the run may exceed, as on a full disk."""


def install() -> None:
    """Make the clock of this process wrong, and its disk full, as its variables say."""
    from aws_setup.openwhisk import release

    # For a killed run's helm that may still work: its processes end with it here.
    release.OTHER_RUN = 0.2
    if FILE_SIZE in os.environ:
        import resource

        size = int(os.environ[FILE_SIZE])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if CLOCK in os.environ:
        _change_clock(os.environ[CLOCK])


def _change_clock(source: str) -> None:
    import botocore.auth

    plain = time.time

    def offset() -> float:
        return float(Path(source).read_text() if "/" in source else source)

    time.time = lambda: plain() + offset()
    vars(botocore.auth)["get_current_datetime"] = lambda: datetime.fromtimestamp(
        time.time(), UTC
    ).replace(tzinfo=None)
