"""Plays one act as a subprocess, and ends it when the story is stopped."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_setup.rehearsal.guard import Cleanup
from aws_setup.rehearsal.story.acts import DemoStep

ROOT = Path(__file__).resolve().parents[3]
"""The checkout: the three scripts stand in it."""

EXIT_WAIT_SECONDS = 2.0
"""Seconds in which a script ends that got the terminal's Ctrl-C too."""

TERMINATE_WAIT_SECONDS = 15.0


class DemoStopped(Exception):
    """The story is to end: Ctrl-C, a signal, or a closed terminal."""


@dataclass(frozen=True)
class ScriptRunner:
    """Runs the scripts in the guard's folder, with one environment."""

    guard: Cleanup
    environment: Mapping[str, str]
    stop: threading.Event

    def play(self, act: DemoStep) -> int:
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
                    _terminate_script(process)
                    raise DemoStopped
        return process.returncode


def _terminate_script(process: subprocess.Popen[bytes]) -> None:
    """Wait for a script that heard Ctrl-C itself; else ask it, and at last kill it."""
    for seconds, push in ((EXIT_WAIT_SECONDS, process.terminate), (TERMINATE_WAIT_SECONDS, process.kill)):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            push()
        else:
            return
    process.wait()
