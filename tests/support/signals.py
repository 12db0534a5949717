"""Signals to other processes, sent so that a test knows when they have arrived."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path


def deliver(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal and return once the process handles it (or has ended).

    A Python process then runs its handler before any other bytecode of its main thread.
    """
    process.send_signal(number)
    while _is_pending(process.pid, number):
        time.sleep(0.002)


def _is_pending(pid: int, number: signal.Signals) -> bool:
    """Say whether a signal waits for its process (proc_pid_status(5): ShdPnd)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:")]
    return bool(int(masks[0], 16) >> (number - 1) & 1)
