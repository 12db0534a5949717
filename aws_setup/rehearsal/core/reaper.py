"""Runs as a program beside a rehearsal, and ends its processes if the rehearsal is killed.

Argument: the folder to remove. Stdin names each process that starts (`+pid`) and ends (`-pid`);
when stdin ends, the rehearsal has ended. Imports nothing of this project, to start fast.
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
"""Seconds until a process that does not end is killed, and until the folder must be removed."""


def main() -> None:
    """Read stdin until it ends, then clean up."""
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
    """Terminate a process, wait, and kill it."""
    with contextlib.suppress(OSError):
        os.kill(number, signal.SIGTERM)
        if os.name == "nt":
            return  # on Windows SIGTERM kills, and signal 0 is Ctrl-C
        deadline = time.monotonic() + TERMINATE_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.1)
            os.kill(number, 0)
        os.kill(number, getattr(signal, "SIGKILL", signal.SIGTERM))


def remove_folder(folder: Path) -> None:
    """Remove a folder; machines that are stopping may still write into it."""
    deadline = time.monotonic() + TERMINATE_TIMEOUT_SECONDS
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)
        if not folder.exists() or time.monotonic() > deadline:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main()
