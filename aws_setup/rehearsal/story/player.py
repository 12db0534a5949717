"""Plays one act as a subprocess, and ends it when the story is stopped."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_setup.rehearsal.guard import Guard
from aws_setup.rehearsal.story.acts import Act

ROOT = Path(__file__).resolve().parents[3]
"""The checkout: the three scripts stand in it."""

BY_ITSELF = 2.0
"""Seconds in which a script ends that got the terminal's Ctrl-C too."""

AFTER_ASKING = 15.0


class Stopped(Exception):
    """The story is to end: Ctrl-C, a signal, or a closed terminal."""


@dataclass(frozen=True)
class Player:
    """Runs the scripts in the guard's folder, with one environment."""

    guard: Guard
    environment: Mapping[str, str]
    stop: threading.Event

    def play(self, act: Act) -> int:
        """Run an act's command to its end and return its exit code.

        Raises:
            Stopped: the story was stopped meanwhile; the command has ended.
        """
        process = subprocess.Popen(
            [sys.executable, str(ROOT / act.script), *act.words],
            cwd=self.guard.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
        )
        with self.guard.over(process):
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                if self.stop.is_set():
                    _end(process)
                    raise Stopped
        return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a script that heard Ctrl-C itself; else ask it, and at last kill it."""
    for seconds, push in ((BY_ITSELF, process.terminate), (AFTER_ASKING, process.kill)):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            push()
        else:
            return
    process.wait()
