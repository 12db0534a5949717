"""Run as a program beside a rehearsal: ends what it started, should it be killed.

Argument: the folder to remove. On stdin it is told each process that starts (`+pid`) and ends
(`-pid`); when stdin ends, the rehearsal is over. Imports nothing of this project, to start at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

TERMINATE_TIMEOUT_SECONDS = 10.0
"""Seconds that a process gets to end by itself, and that the folder may be busy."""


def main() -> None:
    """Listen until stdin ends, then clean up."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    running: set[int] = set()
    for line in sys.stdin:
        number = int(line[1:])
        running.add(number) if line.startswith("+") else running.discard(number)
    for number in running:
        terminate_process(number)
    if len(sys.argv) > 1:
        remove_folder(Path(sys.argv[1]))


def terminate_process(number: int) -> None:
    """Ask a process to end, wait, and kill it."""
    with contextlib.suppress(OSError):
        os.kill(number, signal.SIGTERM)
        if os.name == "nt":
            return  # there, SIGTERM kills, and 0 is no question but Ctrl-C
        deadline = time.monotonic() + TERMINATE_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.1)
            os.kill(number, 0)
        os.kill(number, getattr(signal, "SIGKILL", signal.SIGTERM))


def remove_folder(folder: Path) -> None:
    """Remove a folder; machines that are just going down may still write into it."""
    deadline = time.monotonic() + TERMINATE_TIMEOUT_SECONDS
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)
        if not folder.exists() or time.monotonic() > deadline:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main()
